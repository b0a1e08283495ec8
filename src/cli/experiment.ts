import { pathToFileURL } from 'node:url';
import { holdLifeline } from '../lifeline.ts';
import { order } from '../live/protocol.ts';
import type { ChildMessage } from '../live/protocol.ts';
import { syntaxErrorIn } from '../live/source.ts';
import { experiments } from '../runs/experiments.ts';
import type { ExperimentId } from '../runs/experiments.ts';
import { Recorder } from '../runs/recorder.ts';
import { useBackend } from '../tensor/backend.ts';
import { commandOf, runExperiment } from './experiments.ts';
import { parseDemoFlags } from './flags.ts';
import { explain } from './main.ts';

/**
 * The process that runs one experiment for the talk: it loads everything, waits for its order, and tells what happens.
 * Called with options of the demo, and a channel to the process that starts it.
 */
holdLifeline();
const send = (message: ChildMessage) => process.send!(message);
/** The last word, at which the process is killed: what has been printed goes before it. */
const end = async (message: ChildMessage) => {
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((written) => stream.write('', written))));
  send(message);
};
const fail = (error: unknown) => end({ type: 'failed', message: explain(error).split('\n')[0]! });
process.on('uncaughtException', (error) => void fail(error));
process.on('unhandledRejection', (error) => void fail(error));

const demo = parseDemoFlags(process.argv.slice(2));
const backend = await useBackend(demo.backend);
process.once('message', (message) => void run(order.parse(message)).then(() => end({ type: 'finished' }), fail));
send({ type: 'ready' });

async function run({ id: name, edited }: ReturnType<typeof order.parse>): Promise<void> {
  const id = name as ExperimentId;
  const recorder = new Recorder(
    { id, title: experiments[id].title, command: commandOf(id), backend },
    (event) => send({ type: 'event', event, sentAt: Date.now() }),
    (header) => send({ type: 'header', header }),
  );
  recorder.line(`${experiments[id].title}, con el backend ${backend}${edited === undefined ? '' : ' y el código editado'}`);
  const program = edited === undefined ? {} : await import(pathToFileURL(edited).href).catch((error: Error) => {
    throw syntaxErrorIn(experiments[id], error) ?? error;
  }) as object;
  await runExperiment(id, recorder, demo, program);
}
