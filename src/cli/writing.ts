import { setImmediate } from 'node:timers/promises';
import { UserError } from '../errors.ts';
import { interruption } from './main.ts';

/**
 * Runs a generator that writes a folder, one tensor after another, to its end. An interruption is heard between two of
 * them, and leaves nothing written.
 *
 * @param show hears how far it is
 * @returns what the generator returns
 * @throws UserError when it is interrupted, and whatever the generator throws
 */
export async function runWriting<Progress, Result>(
  writing: Generator<Progress, Result>, output: string, show: (progress: Progress) => void,
): Promise<Result> {
  const { signal, release } = interruption();
  try {
    let step = writing.next();
    for (; !step.done; step = writing.next()) {
      show(step.value);
      await setImmediate(); // signals are heard between tensors
      if (signal.aborted) {
        writing.return(undefined as never);
        throw new UserError(`Interrumpido: no se ha escrito nada en «${output}».`);
      }
    }
    return step.value;
  } finally {
    release();
  }
}
