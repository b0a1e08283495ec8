import * as tf from '@tensorflow/tfjs';
import { qlora } from '../../../demo/qlora.ts';
import { UserError } from '../../errors.ts';
import { formatBytes, formatNumber, formatPercent } from '../../format.ts';
import type { TrainingMessage, TrainingOrder, TrainingTask } from '../../live/training.ts';
import type { RunEvent, TrainEvent } from '../../runs/events.ts';
import { withSharedHeap } from '../../tensor/heap.ts';
import { findAdapter, registerWebgpu } from '../../tensor/webgpu/device.ts';
import { countResults, sizeResults, trainingResults } from '../qlora-record.ts';
import { carry } from './fs.ts';
import { embedded, wasmBinary } from './paths.ts';

/** The demo in the page: the last slide's program, in a worker, over files that are in memory. */
const began = performance.now();
const send = (message: TrainingMessage) => postMessage(message);
const tell = (event: RunEvent) =>
  send({ type: 'event', event: { at: Math.round(performance.now() - began) / 1000, ...event } });
const line = (text: string, heading?: true) => tell({ type: 'text', text, ...heading && { heading } });

addEventListener('message', ({ data: { order, files } }: MessageEvent<TrainingTask>) => {
  carry(files);
  train(order).then(() => send({ type: 'finished' }), (error: unknown) => send({ type: 'failed', reason: sentence(error) }));
});

function sentence(error: unknown): string {
  if (error instanceof UserError) return error.message;
  return `El entrenamiento falló en esta página (${(error as Error).message}): prueba con otro navegador, o reproduce la `
    + 'ejecución grabada.';
}

async function train({ backend, steps, questions }: TrainingOrder): Promise<void> {
  line(`En esta página, con ${await startBackend(backend)}`);
  line('1/4 · Carga el modelo base en 4 bits', true);
  const { modelDir, data, heldOut } = embedded;
  const events: TrainEvent[] = [];
  const seed = 42;
  await qlora({
    modelDir, outDir: 'out/qlora', quant: { quantType: 'nf4', doubleQuant: true }, adapter: { seed },
    data: {
      files: [data], heldOutFiles: [heldOut], examples: 1000, heldOut: questions, template: 'es', maxLength: 256, seed,
    },
    training: { epochs: 1, steps, seed },
  }, {
    loaded(size) {
      line(`${formatBytes(size.bytes16)} en 16 bits → ${formatBytes(size.bytes)}; matrices en NF4 con doble cuantización: `
        + `${formatNumber(size.bitsPerParameter, 3, true)} bits por parámetro`);
      tell({ type: 'result', results: sizeResults(size) as never });
      line('2/4 · Inserta LoRA (r = 16, alpha = 16, dropout = 0,05)', true);
    },
    adapted(count) {
      line(count.line);
      tell({ type: 'result', results: countResults(count) as never });
      line('3/4 · Entrena', true);
    },
    data: ({ heldOut }) => line(`Pregunta primero a la base sin ajustar (${formatNumber(heldOut.length)} preguntas)…`),
    event(event) {
      events.push(event);
      if (event.type === 'evaluation' && event.when === 'after') line('4/4 · Evalúa', true);
      tell(event);
    },
    saved() {},
  });
  const { before, after } = trainingResults(events).evaluation;
  tell({ type: 'result', results: trainingResults(events) as never });
  if (before && after) {
    line(`Acierto de examen: ${formatPercent(before.exactMatch)} → ${formatPercent(after.exactMatch)}`);
  }
}

/** @returns Spanish: what computes */
async function startBackend(asked: TrainingOrder['backend'] = 'wasm'): Promise<string> {
  tf.enableProdMode();
  if (asked === 'webgpu') return startWebgpu();
  if (!await withSharedHeap(wasmBinary, () => tf.setBackend('wasm'))) {
    throw new UserError('WebAssembly no arranca en este navegador: prueba con otro, o reproduce la ejecución grabada.');
  }
  return 'WebAssembly, en un hilo';
}

async function startWebgpu(): Promise<string> {
  const { gpu } = navigator as { gpu?: GPU };
  const found = gpu && await findAdapter(gpu);
  if (!found) {
    throw new UserError('WebGPU no encuentra ninguna GPU en este navegador: pide «wasm», o nada, en la orden de la página.');
  }
  await registerWebgpu(found);
  await tf.setBackend('webgpu');
  // The loop reads values at once, which in a browser goes by way of a canvas; where that fails it reads zeros.
  const values = Float32Array.from({ length: 1000 }, (_, i) => i - 0.5);
  const doubled = tf.tidy(() => tf.tensor1d(values).mul(2).dataSync<'float32'>());
  if (!values.every((value, i) => doubled[i] === 2 * value)) {
    throw new UserError(`Este navegador no lee bien los valores de la GPU (${found.told.name}): pide «wasm», o nada, en la orden `
      + 'de la página.');
  }
  return `WebGPU (${found.told.name})`;
}
