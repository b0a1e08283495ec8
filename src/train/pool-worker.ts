import { UserError } from '../errors.ts';
import { holdLifeline } from '../lifeline.ts';
import { useBackend } from '../tensor/backend.ts';
import type { BackendName } from '../tensor/backend.ts';
import { order } from './pool.ts';
import type { Answer } from './pool.ts';

/** The process of a pool: does the jobs that it is sent, one after another. Called with the backend to compute on. */
holdLifeline();
const ready = useBackend(process.argv[2] as BackendName);
process.on('message', (message) => void perform(message).then((answer) => process.send!(answer)));

async function perform(message: unknown): Promise<Answer> {
  try {
    await ready;
    const { module, run, options } = order.parse(message);
    const exported = await import(module) as Record<string, unknown>;
    const job = exported[run];
    if (typeof job !== 'function') throw new Error(`${module} exports no function ${run}`);
    const began = performance.now();
    const result = await (job as (options: unknown) => unknown)(options);
    return { type: 'done', result: result as never, seconds: (performance.now() - began) / 1000 };
  } catch (error) {
    const mistake = error instanceof UserError;
    return { type: 'failed', message: mistake ? error.message : (error as Error).stack ?? String(error), mistake };
  }
}
