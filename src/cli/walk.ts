import { UserError } from '../errors.ts';
import { Program } from '../live/program.ts';
import { experimentIds } from '../runs/experiments.ts';
import type { ExperimentId } from '../runs/experiments.ts';
import { recordOf } from '../runs/schema.ts';
import type { RunHeader, RunRecord } from '../runs/schema.ts';
import type { TimedEvent } from '../runs/events.ts';
import type { BackendName } from '../tensor/backend.ts';
import { experimentCommand } from './rehearsal.ts';

/**
 * Runs experiments, one after another, each in a process of its own, as the talk does: memories do not add up.
 * @param show hears each event
 * @throws UserError if one fails
 */
export async function* walk(
  backend: BackendName | undefined, show: (event: TimedEvent) => void, ids: readonly ExperimentId[] = experimentIds,
): AsyncGenerator<{ readonly id: ExperimentId; readonly record: RunRecord }, void, undefined> {
  for (const id of ids) {
    const events: TimedEvent[] = [];
    let header: RunHeader | undefined;
    const program = new Program(experimentCommand(backend));
    const end = () => void program.kill().then(() => process.exit(1));
    process.once('SIGINT', end);
    try {
      await program.run({ id }, (message) => {
        if (message.type === 'header') {
          header = message.header;
        } else {
          events.push(message.event);
          show(message.event);
        }
      });
    } catch (error) {
      throw new UserError(`${id}: ${(error as Error).message}`);
    } finally {
      process.off('SIGINT', end);
      await program.kill();
    }
    yield { id, record: recordOf(header!, events) };
  }
}
