import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import type { Parameter } from '../model/weights.ts';
import { valuesOf } from '../tensor/read.ts';
import type { TrainingHooks } from './trainable.ts';

export interface BudgetOptions {
  /** The rank that is left in the end, in the mean over the layers. */
  readonly r: number;
  /** Steps at the initial rank, and steps at the final one: if not said, a tenth and three tenths of the run. */
  readonly tinit?: number;
  readonly tfinal?: number;
  /** Steps from one allocation to the next. */
  readonly deltaT: number;
  /** Decay of the importance's mean, and of its uncertainty's. */
  readonly beta1: number;
  readonly beta2: number;
  /** Weight in the loss of how far A and B are from orthogonal. */
  readonly orthRegWeight: number;
}

/** Of one layer: A (r, in), E (r, 1), B (out, r), and 1 for each triplet that is kept, 0 for the others. */
export interface Triplets {
  readonly a: Parameter;
  readonly e: Parameter;
  readonly b: Parameter;
  readonly mask: Float32Array;
}

export interface Phases {
  readonly totalSteps: number;
  readonly tinit: number;
  readonly tfinal: number;
}

/** How many triplets all layers together may keep at a step, from 1: the first budget, a cubic descent, the last. */
export function budgetAt(step: number, [first, last]: readonly [number, number], phases: Phases): number {
  const { tinit, tfinal, totalSteps } = phases;
  if (step <= tinit) return first;
  if (step > totalSteps - tfinal) return last;
  const left = 1 - (step - tinit) / (totalSteps - tfinal - tinit);
  return Math.floor((first - last) * left ** 3 + last);
}

/** What AdaLoRA knows of a parameter: |w · gradient| smoothed, and how far it strays from that, smoothed. */
interface Sensitivity {
  readonly mean: Float32Array;
  readonly uncertainty: Float32Array;
}

/** AdaLoRA's part in the training loop, as PEFT's `RankAllocator` plays it: keeps the triplets that matter most. */
export class RankAllocator implements TrainingHooks {
  readonly state: ReadonlyMap<string, Float32Array>;
  /** Of the run that the adapter was, or is being, trained in. */
  phases: Phases = { totalSteps: 1, tinit: 0, tfinal: 0 };
  private readonly sensitivities: ReadonlyMap<Parameter, Sensitivity>;

  constructor(
    private readonly options: BudgetOptions,
    private readonly layers: ReadonlyMap<string, Triplets>,
    /** All that is trained, in the order of the gradients: modules trained whole are among them. */
    private readonly parameters: readonly Parameter[],
  ) {
    const ours = [...layers.values()].flatMap(({ a, e, b }) => [a, e, b]);
    this.sensitivities = new Map(ours.map((parameter) => {
      const zeros = () => new Float32Array(parameter.values.length);
      return [parameter, { mean: zeros(), uncertainty: zeros() }];
    }));
    this.state = new Map([
      ...[...this.sensitivities].flatMap(([{ name }, { mean, uncertainty }]): [string, Float32Array][] =>
        [[`${name}.importance`, mean], [`${name}.uncertainty`, uncertainty]]),
      ...[...layers].map(([path, { mask }]): [string, Float32Array] => [`${path}.mask`, mask]),
    ]);
  }

  start(totalSteps: number): void {
    const { tinit = Math.floor(0.1 * totalSteps), tfinal = Math.floor(0.3 * totalSteps) } = this.options;
    // The last allocation needs a step before it: without one all triplets are equal, and none would be left.
    if (totalSteps - tfinal <= Math.max(1, tinit)) {
      throw new UserError(
        `AdaLoRA reparte el rango desde el paso --tinit (${tinit}) hasta los --tfinal últimos (${tfinal}), y en `
        + `${totalSteps} no hay sitio: baja esos dos, o entrena más pasos.`,
      );
    }
    this.phases = { totalSteps, tinit, tfinal };
  }

  /** Of weight · mean over all A and B of ‖PPᵀ − I‖, in Frobenius' norm (for B, of its columns). */
  penalty(): Float32Array[] {
    const weight = this.options.orthRegWeight / (2 * this.layers.size);
    const penalized = new Map([...this.layers.values()].flatMap(({ a, b }) => [[a, false], [b, true]] as const));
    return this.parameters.map((parameter) => {
      const columns = penalized.get(parameter);
      if (columns === undefined || weight === 0) return new Float32Array(parameter.values.length);
      return valuesOf(() => {
        const p = parameter.tensor() as Tensor2D;
        const gram = tf.matMul(p, p, columns, !columns); // (r, r)
        const gap = gram.sub<Tensor2D>(tf.eye(gram.shape[0]));
        const norm = gap.square().sum().sqrt();
        // d‖G‖ = 2 G P / ‖G‖; where G is 0 so is the gradient
        return (columns ? tf.matMul(p, gap) : tf.matMul(gap, p)).mul(2 * weight).divNoNan(norm);
      });
    });
  }

  afterStep(step: number, gradients: readonly Float32Array[]): void {
    const { totalSteps, tinit, tfinal } = this.phases;
    const last = totalSteps - tfinal;
    if (step < last) this.observe(gradients);
    const allocates = step === last || (step < last && step > tinit && step % this.options.deltaT === 0);
    if (allocates) this.allocate(step);
    if (allocates || step > last) this.applyMasks();
  }

  private observe(gradients: readonly Float32Array[]): void {
    const { beta1, beta2 } = this.options;
    this.parameters.forEach((parameter, i) => {
      const sensitivity = this.sensitivities.get(parameter);
      if (!sensitivity) return;
      const { mean, uncertainty } = sensitivity;
      parameter.values.forEach((value, j) => {
        const importance = Math.abs(value * gradients[i]![j]!);
        mean[j] = beta1 * mean[j]! + (1 - beta1) * importance;
        uncertainty[j] = beta2 * uncertainty[j]! + (1 - beta2) * Math.abs(importance - mean[j]!);
      });
    });
  }

  /** Keeps as many triplets as the step's budget allows, by their scores; those that score alike go together. */
  private allocate(step: number): void {
    const scores = new Map([...this.layers.values()].map((layer) => [layer, this.scores(layer)]));
    const all = Float32Array.from([...scores.values()].flatMap((values) => [...values])).sort();
    const target = this.options.r * this.layers.size;
    const dropped = all.length - budgetAt(step, [all.length, target], this.phases);
    const threshold = all[dropped - 1]!;
    for (const [{ mask }, values] of scores) values.forEach((score, i) => (mask[i] = score <= threshold ? 0 : 1));
  }

  /** Of each triplet: of its E, plus the mean over its row of A and over its column of B. (r) */
  private scores({ a, e, b }: Triplets): Float32Array {
    const score = (parameter: Parameter) => {
      const { mean, uncertainty } = this.sensitivities.get(parameter)!;
      return mean.map((value, i) => value * uncertainty[i]!);
    };
    const [inA, inE, inB] = [score(a), score(e), score(b)];
    const r = inE.length;
    const [input, out] = [inA.length / r, inB.length / r];
    return inE.map((own, i) => {
      let [sumA, sumB] = [0, 0];
      for (let j = 0; j < input; j++) sumA += inA[i * input + j]!;
      for (let j = 0; j < out; j++) sumB += inB[j * r + i]!;
      return own + sumA / input + sumB / out;
    });
  }

  private applyMasks(): void {
    for (const { e, mask } of this.layers.values()) {
      mask.forEach((kept, i) => {
        if (!kept) e.values[i] = 0;
      });
      e.upload();
    }
  }
}
