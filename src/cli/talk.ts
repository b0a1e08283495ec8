import { z } from 'zod';
import { startTalk } from '../live/start.ts';
import type { ExperimentId } from '../runs/experiments.ts';
import { backendOption } from './flags.ts';
import { lookOptions } from './look.ts';
import { explain, runCommand } from './main.ts';
import { integer, option, optional, positive, text, toggle } from './options.ts';
import type { Idle, Kind } from './options.ts';
import { experimentCommand, latestTimes, limitsOf, readRehearsal, timesTable, writeTimes } from './rehearsal.ts';
import { createScreen } from './screen.ts';
import { interruptedSession, removeSession, writeSession } from './session.ts';

const port: Kind<number> = {
  schema: integer(0).schema.pipe(z.number().max(65_535)),
  expected: 'un puerto, de 0 (uno libre) a 65535',
};
const table = {
  deck: option('deck', 'ARCHIVO', 'presentación, en Markdown', text('un archivo Markdown'), 'slides/modulo-2.md'),
  port: option('port', 'N', 'puerto; 0, uno libre', port, '8080'),
  host: option('host', 'DIRECCIÓN', 'desde dónde se ve; 0.0.0.0, desde toda la red', text('una dirección de esta máquina'), '127.0.0.1'),
  budget: optional('budget', 'S', 'segundos de una ejecución en vivo, como mucho', positive, 'los de cada experimento'),
  replay: toggle('replay', 'reproduce las ejecuciones grabadas, sin calcular nada'),
  speed: option('speed', 'X', 'velocidad de la reproducción', positive, '1'),
  backend: backendOption,
  ...lookOptions,
};

const idle: readonly Idle<typeof table>[] = [
  [['speed'], ({ replay }) => !replay && 'sin --replay'],
  [['budget', 'backend'], ({ replay }) => replay && 'con --replay'],
];

/** Where runs leave what is not for the slides of everyone. */
const output = 'out';

/** `npm run talk`: the deck with its experiments, live. */
await runCommand({
  name: 'npm run talk',
  about: `Presenta: sirve las diapositivas en esta máquina, ejecuta sus experimentos desde ellas y las redibuja cuando
cambian el texto, el tema, el código o las medidas. Quien no abra la dirección con su clave mira, y no toca.`,
  options: table,
  idle,
}, async (flags) => {
  const rehearsed = readRehearsal(output);
  const failed = (error: unknown) => void process.stderr.write(`${explain(error)}\n`);
  const talk = await startTalk({
    deck: flags.deck, look: { theme: flags.theme, size: flags.size }, host: flags.host, port: flags.port, output,
    command: experimentCommand(flags.backend),
    replaySpeed: flags.replay ? flags.speed : undefined,
    limits: (id, record) => limitsOf(id as ExperimentId, record, rehearsed, flags.budget),
    before: latestTimes(output),
    session: interruptedSession(output, flags.port),
    keep: (session) => writeSession(output, flags.port, session),
    timed(times, stopped) {
      if (stopped) createScreen().table(timesTable(times));
      writeTimes(output, times);
    },
    failed,
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () =>
      void talk.close().then(() => removeSession(output, flags.port)).catch(failed).finally(() => process.exit()));
  }
  const look = talk.lookUrls.length === 0 ? '' : `Para mirar desde otra máquina, sin clave: ${talk.lookUrls.join(' o ')}\n`;
  process.stdout.write(`${talk.url}
${look}Teclas: «e» ejecuta o detiene, «c» muestra el código, «g» pasa a más gráficas, «m» abre el planificador, «p» abre la vista
del presentador y ahí «t» pone el reloj en marcha. Ctrl-C termina.
`);
});
