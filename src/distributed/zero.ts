import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { Parameter } from '../model/weights.ts';
import type { Weight } from '../model/weights.ts';
import { linear } from '../tensor/linear.ts';
import { gatherRows } from '../tensor/ops.ts';
import { AdamW, adamwDefaults } from '../train/adamw.ts';
import type { AdamWOptions } from '../train/adamw.ts';
import { differentiate } from '../train/gradients.ts';
import type { PagerStats } from '../train/pager.ts';
import type { Group } from './collectives.ts';
import type { ModelStates } from './planner.ts';
import type { Stage } from './stages.ts';

/** What the ranks share out: 0 nothing (DDP), 1 optimizer states, 2 gradients too, 3 parameters too (FSDP). */
export type ZeroStage = 0 | 1 | 2 | 3;

const nothing = new Float32Array(0);

/** The parameters of one stage of the model in one flat array (FSDP, Zhao et al., 2023, section 3.2), and its share. */
class Unit {
  /** Held between uses: whole, or at stage 3 this rank's part. */
  readonly weights: Float32Array;
  /** Held from the backward pass to the update: whole, or from stage 2 on this rank's part. */
  readonly gradients: Float32Array;
  private readonly places = new Map<Parameter, readonly [from: number, to: number]>();
  private readonly length: number;
  /** This rank's part of the whole. */
  private readonly own: readonly [from: number, to: number];
  /** Whole gradients on their way to being shared out. */
  private pending: Float32Array | undefined;

  /** Takes the parameters' values over. */
  constructor(
    readonly name: string, private readonly parameters: readonly Parameter[],
    private readonly stage: ZeroStage, private readonly group: Group,
  ) {
    let end = 0;
    for (const parameter of parameters) this.places.set(parameter, [end, end += parameter.values.length]);
    this.length = Math.ceil(end / group.size) * group.size; // filled up, so that all parts are alike
    this.own = stage === 0 ? [0, this.length] : group.part(this.length, group.index);
    const whole = new Float32Array(this.length);
    for (const [parameter, [from]] of this.places) {
      whole.set(parameter.values, from);
      parameter.values = nothing;
    }
    this.weights = stage === 3 ? whole.slice(...this.own) : whole;
    this.gradients = new Float32Array(stage >= 2 ? this.length / group.size : this.length);
  }

  /** What this rank's optimizer updates: a view of the weights. */
  get updated(): Float32Array {
    return this.stage === 3 ? this.weights : this.weights.subarray(...this.own);
  }

  get updatedGradients(): Float32Array {
    return this.stage >= 2 ? this.gradients : this.gradients.subarray(...this.own);
  }

  /** Makes the parameters whole, for use. */
  gather(): void {
    let whole = this.weights;
    if (this.stage === 3) {
      whole = new Float32Array(this.length);
      whole.set(this.weights, this.own[0]);
      this.group.allGather(whole);
    }
    for (const [parameter, place] of this.places) parameter.values = whole.subarray(...place);
  }

  /** Lets go of what `gather` made. */
  release(): void {
    for (const parameter of this.parameters) {
      parameter.dispose();
      parameter.values = nothing;
    }
  }

  add(parameter: Parameter, gradient: Tensor): void {
    if (this.stage >= 2) this.pending ??= new Float32Array(this.length);
    const sum = (this.pending ?? this.gradients).subarray(...this.places.get(parameter)!);
    gradient.dataSync<'float32'>().forEach((value, i) => (sum[i]! += value));
    gradient.dispose();
  }

  /** The backward pass has nothing to add any more: from stage 2 on the sums are shared out at once. */
  complete(): void {
    if (!this.pending) return;
    this.group.reduceScatter(this.pending).forEach((value, i) => (this.gradients[i]! += value));
    this.pending = undefined;
  }

  /** The same before an update, of what has been kept whole until then. */
  reduce(): void {
    if (this.stage === 0) this.group.allReduce(this.gradients);
    if (this.stage === 1) this.group.reduceScatter(this.gradients);
  }

  /** After an update: every rank has the whole again, unless it only ever has its part. */
  spread(): void {
    if (this.stage === 1 || this.stage === 2) this.group.allGather(this.weights);
  }

  gradientOf(parameter: Parameter): Float32Array {
    return this.gradients.subarray(...this.places.get(parameter)!);
  }

  /** The sum of squares of reduced gradients, of this rank's part and of the parameters that count. */
  squares(counts: (parameter: Parameter) => boolean): number {
    const [start, end] = this.own;
    const gradients = this.updatedGradients;
    let sum = 0;
    for (const [parameter, [from, to]] of this.places) {
      if (!counts(parameter)) continue;
      for (let i = Math.max(from, start); i < Math.min(to, end); i++) sum += gradients[i - start]! ** 2;
    }
    return sum;
  }
}

/**
 * ZeRO (Rajbhandari et al., 2020): data-parallel ranks that do not all keep the same. Every rank computes with the
 * whole parameters of one stage of the model at a time; between times it keeps its part of what is shared out.
 */
export class Zero {
  private readonly units = new Map<string, Unit>();
  private readonly owners = new Map<Parameter, Unit>();
  private optimizer: AdamW | undefined;

  constructor(
    readonly stage: ZeroStage, private readonly group: Group,
    private readonly options: Pick<AdamWOptions, 'pageBytes' | 'residentBytes' | 'spillTo'>,
  ) {}

  /** Takes over the values of the parameters of one stage of the model. */
  add(name: string, parameters: readonly Parameter[]): void {
    const unit = new Unit(name, parameters, this.stage, this.group);
    this.units.set(name, unit);
    for (const parameter of parameters) this.owners.set(parameter, unit);
  }

  /**
   * Loss of one batch, once forward and back, each stage's input kept and the stage computed again on the way back.
   * @param turn called between the one and the other
   */
  forwardAndBackward(stages: readonly Stage[], turn: () => void): number {
    const inputs: Tensor2D[] = [];
    let x = tf.tensor2d([], [0, 0]); // which the embedding does not look at
    stages.forEach((stage, i) => {
      this.using(stages, i, 1, () => {
        inputs.push(x);
        x = tf.tidy(() => stage.run(x)) as Tensor2D;
      });
    });
    const loss = x.dataSync()[0]!;
    x.dispose();
    turn();
    let dy: Tensor | undefined;
    for (let i = stages.length - 1; i >= 0; i--) {
      this.using(stages, i, -1, () => {
        const before = dy;
        const passOn = stages.slice(0, i).some(({ parameters }) => parameters.length > 0);
        dy = this.backward([stages[i]!], inputs[i]!, dy, passOn);
        tf.dispose([inputs[i]!, ...(before ? [before] : [])]);
      });
    }
    return loss;
  }

  /**
   * Backward through stages that are computed again from their input; adds up the gradients of their parameters.
   * @returns the gradient of x, if it is asked for
   */
  backward(stages: readonly Stage[], x: Tensor2D, dy: Tensor | undefined, passOn: boolean): Tensor | undefined {
    const trained = [...new Set(stages.flatMap(({ parameters }) => parameters))];
    if (trained.length === 0 && !passOn) return undefined;
    const run = () => stages.reduce<Tensor>((input, stage) => stage.run(input as Tensor2D), x);
    const tensors = trained.map((parameter) => parameter.tensor());
    const { value, gradients } = differentiate([...(passOn ? [x] : []), ...tensors], run, dy);
    value.dispose();
    const dx = passOn ? gradients.shift() : undefined;
    trained.forEach((parameter, i) => this.owners.get(parameter)!.add(parameter, gradients[i]!));
    return dx;
  }

  /** Gathers all units at once: for stages that are not shared out, where that costs nothing. */
  gatherAll(): void {
    for (const unit of this.units.values()) unit.gather();
  }

  releaseAll(): void {
    for (const unit of this.units.values()) unit.release();
  }

  /**
   * The parameters of a stage are whole while it is computed. Those of embedding and head are so from the one to the
   * other. FSDP keeps the last ones for the way back; here, as in the paper, they are gathered a second time.
   */
  private using(stages: readonly Stage[], i: number, direction: 1 | -1, compute: () => void): void {
    const { name } = stages[i]!;
    const unit = this.units.get(name);
    const others = (side: readonly Stage[]) => side.some((stage) => stage.name === name);
    const [passed, coming] = direction === 1
      ? [stages.slice(0, i), stages.slice(i + 1)] : [stages.slice(i + 1), stages.slice(0, i)];
    if (!others(passed)) unit?.gather();
    compute();
    if (others(coming)) return;
    unit?.release();
    if (direction === -1) unit?.complete();
  }

  /** What this rank has added up for one parameter: where gradients are not shared out, the whole of it. */
  gradientOf(parameter: Parameter): Float32Array {
    return this.owners.get(parameter)!.gradientOf(parameter);
  }

  /** Brings every gradient's sum to whoever updates its parameter. */
  reduce(): void {
    for (const unit of this.units.values()) unit.reduce();
  }

  squares(counts: (parameter: Parameter) => boolean): number {
    return [...this.units.values()].reduce((sum, unit) => sum + unit.squares(counts), 0);
  }

  /** One step of AdamW over this rank's part, and everybody's parts spread. */
  update(learningRate: number, scale: number): void {
    const units = [...this.units.values()];
    this.optimizer ??= new AdamW(
      units.map(({ name, updated }) => new Parameter(name, updated, [updated.length])),
      { ...adamwDefaults, ...this.options });
    this.optimizer.step(units.map(({ updatedGradients }) => updatedGradients), learningRate, scale);
    for (const unit of units) {
      unit.spread();
      unit.gradients.fill(0);
    }
  }

  get paged(): PagerStats {
    return this.optimizer!.stats;
  }

  /** Bytes of the states that this rank holds from one step to the next: counted from the arrays themselves. */
  get held(): ModelStates {
    const units = [...this.units.values()];
    return {
      weights: units.reduce((sum, { weights }) => sum + weights.byteLength, 0),
      gradients: units.reduce((sum, { gradients }) => sum + gradients.byteLength, 0),
      optimizer: this.optimizer?.stats.residentBytes ?? 0,
    };
  }

  close(): void {
    this.optimizer?.close();
  }
}

/**
 * A frozen weight of which a rank keeps its part of the bytes; every use gathers the whole. With adapters this is what
 * stage 3 shares out: the base.
 */
export class SharedWeight implements Weight {
  readonly trainable = false;
  private readonly part: Uint8Array;
  private readonly length: number;

  /**
   * @param whole its bytes, of which the part is kept
   * @param apart bytes besides them, which every rank keeps
   * @param make the tensor, of the whole
   */
  constructor(
    whole: Uint8Array, private readonly apart: number, readonly shape: readonly number[], private readonly group: Group,
    private readonly make: (whole: Uint8Array<ArrayBuffer>) => Tensor,
  ) {
    this.length = whole.length;
    this.part = whole.slice(...group.part(whole.length, group.index));
  }

  get bytes(): number {
    return this.part.length + this.apart;
  }

  tensor(): Tensor {
    const whole = new Uint8Array(this.length);
    whole.set(this.part, this.group.part(this.length, this.group.index)[0]);
    this.group.allGather(whole);
    return this.make(whole);
  }

  linear(x: Tensor2D): Tensor2D {
    return linear(x, this.tensor() as Tensor2D, false);
  }

  rows(ids: Tensor1D): Tensor2D {
    return gatherRows(this.tensor() as Tensor2D, ids);
  }

  dispose(): void {
    // The garbage collector's.
  }
}
