import * as tf from '@tensorflow/tfjs';
import { qlora } from '../../../demo/qlora.ts';
import { UserError } from '../../errors.ts';
import { formatBytes, formatNumber, formatPercent } from '../../format.ts';
import type { TrainingMessage, TrainingOrder, TrainingTask } from '../../live/training.ts';
import type { RunEvent, TrainEvent } from '../../runs/events.ts';
import { withSharedHeap } from '../../tensor/heap.ts';
import { findAdapter, registerWebgpu } from '../../tensor/webgpu/device.ts';
import type { FoundAdapter } from '../../tensor/webgpu/device.ts';
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

/**
 * The GPU, where there is one that reads back what it computes, and else WebAssembly. An order may ask for either; the
 * browser's software adapter is used when asked for alone.
 *
 * @returns Spanish: what computes
 */
async function startBackend(asked: TrainingOrder['backend']): Promise<string> {
  tf.enableProdMode();
  if (asked === 'wasm') return startWasm();
  const { gpu } = navigator as { gpu?: GPU };
  const found = gpu && await findAdapter(gpu).catch(() => undefined);
  if (asked === 'webgpu' && !found) {
    throw new UserError('WebGPU no encuentra ninguna GPU en este navegador: pide «wasm», o nada, en la orden de la página.');
  }
  if (!found || (!asked && found.told.software)) return startWasm();
  const computes = await startWebgpu(found).catch(() => false);
  if (computes) return `WebGPU (${found.told.name})`;
  if (!asked) return `${await startWasm()} (WebGPU no calcula bien en ${found.told.name})`;
  throw new UserError(`WebGPU no calcula bien en este navegador (${found.told.name}): pide «wasm», o nada, en la orden de la página.`);
}

async function startWasm(): Promise<string> {
  if (!await withSharedHeap(wasmBinary, () => tf.setBackend('wasm'))) {
    throw new UserError('WebAssembly no arranca en este navegador: prueba con otro, o reproduce la ejecución grabada.');
  }
  return 'WebAssembly, en un hilo';
}

/** @returns whether it computes */
async function startWebgpu(found: FoundAdapter): Promise<boolean> {
  await registerWebgpu(found, 'pulsa «Entrenar aquí» otra vez, o reproduce la ejecución grabada');
  if (!await tf.setBackend('webgpu')) return false;
  const doubled = tf.tidy(() => tf.range(0, 1000).mul(2));
  const values = await doubled.data();
  doubled.dispose();
  return values.every((value, i) => value === 2 * i);
}
