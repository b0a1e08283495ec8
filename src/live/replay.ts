import type { TimedEvent } from '../runs/events.ts';

/**
 * Plays the events of a recorded run back, each at its moment: nothing is computed.
 * @param speed 2 takes half the time of the run
 */
export async function* replay(
  events: readonly TimedEvent[], speed: number, signal?: AbortSignal,
): AsyncGenerator<TimedEvent, void, undefined> {
  const began = performance.now();
  let at = 0; // events recorded without their moment follow the one before at once
  for (const event of events) {
    at = event.at ?? at;
    await pause(at * 1000 / speed - (performance.now() - began), signal);
    if (signal?.aborted) return;
    yield event;
  }
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (milliseconds <= 0 || signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener('abort', done);
  });
}
