import type { Parameter } from '../model/weights.ts';
import { blockwise8bitMoments, float32Moments } from './moments.ts';
import type { Field, FieldArray, MomentFormat } from './moments.ts';
import { Pager } from './pager.ts';
import type { PagerOptions, PagerStats } from './pager.ts';
import { update } from './update.ts';

/** As transformers' `TrainingArguments.optim` calls them. */
export const optimizerNames = ['paged_adamw_32bit', 'paged_adamw_8bit'] as const;
export type OptimizerName = typeof optimizerNames[number];

export interface AdamWOptions {
  readonly optimizer: OptimizerName;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled from the gradient (Loshchilov and Hutter, 2019); of those that `decays` tells. */
  readonly weightDecay: number;
  /** Bytes of a page of states, and of all the pages that may stay in memory. */
  readonly pageBytes: number;
  readonly residentBytes: number;
  /** Where the rest goes: see `PagerOptions`. */
  readonly spillTo?: PagerOptions['spillTo'];
}

export const adamwDefaults: AdamWOptions = {
  optimizer: 'paged_adamw_32bit',
  beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, pageBytes: 64 * 1024, residentBytes: 1024 * 1024,
};

/** Smaller tensors keep float32 moments, as in bitsandbytes. */
const SMALLEST_8BIT = 4096;

/** Parameters `from` to `to` of one tensor, whose moments lie together in a page, from byte `at` on. */
interface Stretch {
  readonly tensor: number;
  readonly from: number;
  readonly to: number;
  readonly page: number;
  readonly at: number;
}

/** An array of one tensor's moments, as a checkpoint keeps it. */
export interface StateArray {
  /** The parameter's name and the field's: `….lora_A.weight.m`. */
  readonly name: string;
  readonly dtype: Field['dtype'];
  readonly length: number;
}

/** AdamW on the host, its two moments paged: in float32, or in 8 bits as bitsandbytes' `PagedAdamW8bit`. */
export class AdamW {
  private readonly formats: readonly MomentFormat[];
  private readonly stretches: readonly Stretch[];
  private readonly pager: Pager;
  steps = 0;

  /** @throws RangeError if a page has no room for a block of moments */
  constructor(
    private readonly parameters: readonly Parameter[],
    private readonly options: AdamWOptions = adamwDefaults,
  ) {
    const { optimizer, pageBytes, residentBytes, spillTo } = options;
    const isSmall = (parameter: Parameter) => parameter.values.length < SMALLEST_8BIT;
    this.formats = parameters.map((parameter) =>
      (optimizer === 'paged_adamw_32bit' || isSmall(parameter) ? float32Moments : blockwise8bitMoments));
    this.stretches = layOut(parameters.map(({ values }) => values.length), this.formats, pageBytes);
    this.pager = new Pager(1 + (this.stretches.at(-1)?.page ?? -1), {
      pageBytes,
      residentPages: Math.max(1, Math.floor(residentBytes / pageBytes)),
      spillTo,
    });
  }

  get stats(): PagerStats {
    return this.pager.stats;
  }

  /**
   * One update of every parameter (Loshchilov and Hutter, 2019).
   *
   * @param gradients one array a parameter, in the same order and as long; scaled by `scale` first
   */
  step(gradients: readonly Float32Array[], learningRate: number, scale = 1): void {
    this.steps++;
    const { stepSize, correction, decay } = stepNumbers(this.options, this.steps, learningRate);
    const common = { ...this.options, scale, stepSize, correction };
    const whole = { ...common, decayBefore: 1, decayAfter: 1 };
    // PyTorch decays a weight before its step, bitsandbytes' kernels after it.
    const decayed = this.options.optimizer === 'paged_adamw_32bit'
      ? { ...common, decayBefore: decay, decayAfter: 1 } : { ...common, decayBefore: 1, decayAfter: decay };
    this.eachStretch(({ tensor, from, to }, format, arrays) => {
      const { name, values } = this.parameters[tensor]!;
      const gradient = gradients[tensor]!;
      const numbers = decays(name) ? decayed : whole;
      format.visit(arrays, to - from, (m, v, at) => update(values, gradient, m, v, from + at, numbers));
    });
    for (const parameter of this.parameters) parameter.upload();
  }

  /** What a checkpoint keeps, whatever the pages: for each parameter, the arrays of its format. */
  get stateArrays(): StateArray[] {
    return this.parameters.flatMap(({ name, values }, tensor) => this.formats[tensor]!.fields.map((field) => (
      { name: `${name}.${field.name}`, dtype: field.dtype, length: lengthOf(field, values.length) })));
  }

  /** The contents of `stateArrays`, by name. */
  exportState(): Map<string, FieldArray> {
    const state = new Map(this.stateArrays.map(({ name, dtype, length }) => [name, new arrayTypes[dtype](length)]));
    this.eachStateArray(state, (paged, whole) => whole.set(paged));
    return state;
  }

  /** Goes on from what `exportState` gave after so many steps. */
  importState(state: ReadonlyMap<string, FieldArray>, steps: number): void {
    this.steps = steps;
    this.eachStateArray(state, (paged, whole) => paged.set(whole));
  }

  close(): void {
    this.pager.close();
  }

  /** Every array that lies in a page, and the part of the whole array that it is. */
  private eachStateArray(
    state: ReadonlyMap<string, FieldArray>, visit: (paged: FieldArray, whole: FieldArray) => void,
  ): void {
    this.eachStretch(({ tensor, from, to }, { fields }, arrays) => fields.forEach((field, i) => {
      const whole = state.get(`${this.parameters[tensor]!.name}.${field.name}`)!;
      visit(arrays[i]!, whole.subarray(lengthOf(field, from), lengthOf(field, to)));
    }));
  }

  private eachStretch(visit: (stretch: Stretch, format: MomentFormat, arrays: FieldArray[]) => void): void {
    for (const stretch of this.stretches) {
      const format = this.formats[stretch.tensor]!;
      const { buffer } = this.pager.page(stretch.page);
      let at = stretch.at;
      visit(stretch, format, format.fields.map((field) => {
        const array = new arrayTypes[field.dtype](buffer, at, lengthOf(field, stretch.to - stretch.from));
        at += array.byteLength;
        return array;
      }));
    }
  }
}

/**
 * What one step takes of its number and the learning rate: η / (1 − β₁ᵗ), √(1 − β₂ᵗ), by which √v is divided, and what
 * decay leaves of a parameter.
 */
export function stepNumbers(
  { beta1, beta2, weightDecay }: Pick<AdamWOptions, 'beta1' | 'beta2' | 'weightDecay'>,
  step: number, learningRate: number,
) {
  return {
    stepSize: learningRate / (1 - beta1 ** step),
    correction: Math.sqrt(1 - beta2 ** step),
    decay: 1 - learningRate * weightDecay,
  };
}

/** Whether a parameter decays: norms and biases do not, as in transformers (`Trainer.get_decay_parameter_names`). */
export function decays(name: string): boolean {
  return !/bias|layernorm|rmsnorm|(^|[._])norm(\.|$)/i.test(name);
}

/** What gradients are scaled by for their norm to be no more than `most`, as `torch.nn.utils.clip_grad_norm_` does. */
export function clipScale(norm: number, most: number): number {
  return Math.min(1, most / (norm + 1e-6));
}

const arrayTypes = { F32: Float32Array, U8: Uint8Array } as const;

/** Elements of a field for so many parameters. */
function lengthOf({ per }: Field, parameters: number): number {
  return Math.ceil(parameters / per);
}

/** Bytes of the moments of so many parameters: whole words, so that the next stretch lies aligned. */
function bytesOf({ fields }: MomentFormat, parameters: number): number {
  const bytes = fields.reduce(
    (sum, field) => sum + lengthOf(field, parameters) * arrayTypes[field.dtype].BYTES_PER_ELEMENT, 0);
  return Math.ceil(bytes / 4) * 4;
}

/**
 * Cuts the tensors into stretches, one after another through the pages, none of them across a page's end.
 * @throws RangeError if a page has no room for a block
 */
function layOut(lengths: readonly number[], formats: readonly MomentFormat[], pageBytes: number): Stretch[] {
  const stretches: Stretch[] = [];
  let page = 0;
  let at = 0;
  lengths.forEach((length, tensor) => {
    const format = formats[tensor]!;
    const blockBytes = bytesOf(format, format.blockSize);
    if (blockBytes > pageBytes) throw new RangeError(`AdamW: a page of ${pageBytes} bytes, a block of ${blockBytes}`);
    for (let from = 0; from < length;) {
      const to = Math.min(length, from + Math.floor((pageBytes - at) / blockBytes) * format.blockSize);
      if (to > from) stretches.push({ tensor, from, to, page, at });
      at += bytesOf(format, to - from);
      from = to;
      if (to < length) {
        page++;
        at = 0;
      }
    }
  });
  return stretches;
}
