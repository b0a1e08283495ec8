import { filesId, orderId, program, unpack } from '../training.ts';
import type { TrainingMessage, TrainingOrder, TrainingTask } from '../training.ts';

/** Whether the page carries what a training needs. */
export const canTrain = (): boolean => document.getElementById(filesId) !== null;

/**
 * Trains the model that the page carries, in a worker of its own: nothing is asked of the network.
 * @returns stops it at once
 */
export function trainHere(told: (message: TrainingMessage) => void): () => void {
  let [stopped, worker]: [boolean, Worker | undefined] = [false, undefined];
  const stop = () => {
    stopped = true;
    worker?.terminate();
  };
  const fail = (why: string) => {
    stop();
    told({ type: 'failed', reason: `El entrenamiento no puede seguir en esta página (${why}): prueba con otro navegador, o `
      + 'reproduce la ejecución grabada.' });
  };
  const start = async () => {
    const files = unpack(await decode(document.getElementById(filesId)!.textContent));
    if (stopped) return;
    const url = URL.createObjectURL(new Blob([files.get(program)! as BlobPart], { type: 'text/javascript' }));
    worker = new Worker(url);
    worker.onerror = (event) => fail(event.message || 'el programa no arranca');
    worker.onmessage = ({ data }: MessageEvent<TrainingMessage>) => {
      told(data);
      if (data.type !== 'event') stop();
    };
    const order = JSON.parse(document.getElementById(orderId)!.textContent) as TrainingOrder;
    worker.postMessage({ order, files } satisfies TrainingTask);
  };
  start().catch((error: unknown) => fail((error as Error).message));
  return stop;
}

/** The bytes of a text in base64, inflated. */
async function decode(text: string): Promise<Uint8Array> {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
