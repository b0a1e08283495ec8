import { setImmediate } from 'node:timers/promises';
import { UserError } from '../errors.ts';

/**
 * Runs a generator that writes a folder, one tensor after another, to its end. Ctrl-C is heard between two of them, and
 * leaves nothing written.
 *
 * @param show hears how far it is
 * @returns what the generator returns
 * @throws UserError when it is interrupted, and whatever the generator throws
 */
export async function runWriting<Progress, Result>(
  writing: Generator<Progress, Result>, output: string, show: (progress: Progress) => void,
): Promise<Result> {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());
  let step = writing.next();
  for (; !step.done; step = writing.next()) {
    show(step.value);
    await setImmediate(); // signals are heard between tensors
    if (interruption.signal.aborted) {
      writing.return(undefined as never);
      throw new UserError(`Interrumpido: no se ha escrito nada en «${output}».`);
    }
  }
  return step.value;
}
