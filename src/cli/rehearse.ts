import { join } from 'node:path';
import { saveRun } from '../runs/store.ts';
import { backendOption } from './flags.ts';
import { runCommand } from './main.ts';
import { option, text } from './options.ts';
import { checkOutput } from './output.ts';
import { latestTimes, longestSilence, readRehearsal, rehearsalRow, timesTable, writeRehearsal } from './rehearsal.ts';
import { onScreen } from './screen.ts';
import { walk } from './walk.ts';

const options = {
  backend: backendOption,
  output: option('output', 'DIR', 'carpeta en que deja los tiempos y las medidas', text('una carpeta'), 'out'),
};

/** `npm run rehearse`: every experiment once, before the talk: warms caches, tells what does not fit in its time. */
await runCommand({
  name: 'npm run rehearse',
  about: `Ejecuta una vez cada experimento, como en la charla, y dice cuánto tarda en esta máquina y cuál no cabría en su tiempo; y,
si la charla se ha dado alguna vez con el reloj del presentador en marcha, cuánto tardó cada diapositiva.`,
  options,
}, async (flags) => {
  checkOutput('--output', flags.output);
  const rows = [['experimento', 'tarda', 'tiempo', '']];
  await onScreen(async (screen) => {
    const rehearsed = readRehearsal(flags.output);
    for await (const { id, record } of walk(flags.backend, (event) => screen.show(event))) {
      const { seconds } = record;
      saveRun(join(flags.output, id, 'run.json'), record);
      rehearsed[id] = { seconds, silence: longestSilence(record.events) };
      writeRehearsal(flags.output, rehearsed); // what is known stays known if a later one fails
      rows.push(rehearsalRow(id, seconds));
    }
    screen.line('');
    screen.table(rows);
    const times = latestTimes(flags.output);
    if (times) {
      screen.line('\nLa última vez que la charla se dio con el reloj en marcha:');
      screen.table(timesTable(times));
    }
  });
});
