import { join } from 'node:path';
import { readSafetensors } from '../../../src/checkpoint/safetensors.ts';
import type { Example } from '../../../src/data/batches.ts';
import { loadModel } from '../../../src/model/load.ts';
import type { PeftModel } from '../../../src/peft/adapter.ts';
import { loadAdapter } from '../../../src/peft/folder.ts';

/** What PyTorch and PEFT made of LoRA on a tiny Llama; make.py beside this file tells how. */
const file = readSafetensors(join(import.meta.dirname, 'reference.safetensors'));

/** The model where training starts. */
export function referenceModel(): PeftModel {
  return loadAdapter(loadModel(join(import.meta.dirname, '../families/llama2')), join(import.meta.dirname, 'adapter'));
}

/** The texts trained on: all of them at once, in every step. */
export const referenceExamples: readonly Example[] = (() => {
  const ints = (name: string) => new Int32Array(file.bytes(name).slice().buffer);
  const [tokens, lengths, promptLengths] = [ints('tokens'), ints('lengths'), ints('promptLengths')];
  let end = 0;
  return Array.from(lengths, (length, i) => {
    end += length;
    const record = { instruction: '', input: '', output: '' };
    return { tokens: tokens.subarray(end - length, end), promptLength: promptLengths[i]!, record };
  });
})();

/** One number a step. */
export const referenceSteps = {
  losses: file.float32('losses'), norms: file.float32('norms'), rates: file.float32('rates'),
};

/** `gradient` at the start, or the values `trained` for ten steps, of a parameter of the adapter. */
export function referenceOf(what: 'gradient' | 'trained', parameter: string): Float32Array {
  return file.float32(`${what}.base_model.model.${parameter}`);
}

/** ‖a − b‖ / ‖b‖. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.hypot(...Array.from(a, (value, i) => value - b[i]!)) / Math.hypot(...Array.from(b));
}
