import { UserError } from '../errors.ts';
import { linearNames, weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import type { LlamaModel } from '../model/llama.ts';
import { Random } from '../random.ts';
import { attach } from './adapter.ts';
import type { PeftModel } from './adapter.ts';
import { Lora, loraDefaults } from './lora.ts';
import type { LoraFactors } from './lora.ts';
import { identity, matrix, multiply, truncatedProduct } from './svd.ts';
import type { Matrix } from './svd.ts';
import { targetPaths } from './targets.ts';

/** What is done to tensors of several adapters: which elements of each are dropped, and whether a sign is elected. */
const ways = {
  linear: { prune: undefined, elects: false },
  ties: { prune: 'smallest', elects: true }, // Yadav et al., 2023
  dare_linear: { prune: 'random', elects: false }, // Yu et al., 2023
  dare_ties: { prune: 'random', elects: true },
  magnitude_prune: { prune: 'smallest', elects: false },
} as const;
type Way = keyof typeof ways;

/** PEFT's `combination_type`. */
export const combinations = [
  'cat', 'svd', 'linear', 'ties', 'ties_svd', 'dare_linear', 'dare_linear_svd', 'dare_ties', 'dare_ties_svd',
  'magnitude_prune', 'magnitude_prune_svd',
] as const;
export type Combination = typeof combinations[number];

export const majoritySigns = ['total', 'frequency'] as const;

export interface CombineOptions {
  /** One for each adapter; any sign. */
  readonly weights: readonly number[];
  /** Share of the elements that is kept, over 0 to 1; of the ways that drop some. */
  readonly density: number;
  /** What elects a sign: the sum of the values, or of their signs. */
  readonly majoritySign: typeof majoritySigns[number];
  /** Rank of what is decomposed again; the largest of the adapters' if not said. */
  readonly rank?: number | undefined;
  /** What DARE drops at random. */
  readonly seed: number;
  /** The same said outright: 1 where an element of an adapter's tensor stays, 0 where it is dropped. */
  readonly kept?: (path: string, tensor: DareTensor, adapter: number) => ArrayLike<number>;
}
export type DareTensor = 'lora_A' | 'lora_B' | 'delta';

export const combineDefaults = { density: 0.5, majoritySign: 'total', seed: 42 } as const;

/** What one adapter learnt of a layer, and which adapter it is. */
interface Part extends LoraFactors {
  readonly adapter: number;
}

/**
 * Several LoRA adapters of one base as a single one, whose scale is 1, as PEFT's `add_weighted_adapter` makes it.
 * `cat` is the exact weighted sum of their updates, at the sum of their ranks; `svd` its best approximation of a given
 * rank. The others work on A and B apart (so that A of one meets B of another, which no sum of updates has), or, as
 * `…_svd`, on the whole updates, which are then brought back to that rank: some 10·n³ products for matrices of n.
 *
 * @throws UserError when they are not two or more, are no plain LoRA, or their ranks do not go together
 */
export function combineAdapters(
  base: LlamaModel, adapters: readonly Lora[], combination: Combination, options: CombineOptions,
): PeftModel<Lora> {
  checkOptions(adapters.length, options);
  checkAdapters(adapters, combination);
  const ranks = adapters.map(({ options: { r, rankPattern } }) => Math.max(r, ...Object.values(rankPattern)));
  const r = combinedRank(combination, ranks, options.rank);
  const paths = targetPaths(base.config, { targetModules: 'all-linear' })
    .filter((path) => adapters.some(({ targets }) => targets.has(path)));
  const shapes = weightShapes(base.config);
  checkRank(options.rank, paths.map((path) => Math.min(...shapes.get(`${path}.weight`)!)));
  const values = new Map<string, Float32Array>();
  for (const path of paths) {
    const parts = adapters.flatMap((lora, adapter): Part[] => {
      const factors = lora.factors(path);
      return factors ? [{ ...factors, adapter }] : [];
    });
    const [out, input] = shapes.get(`${path}.weight`) as [number, number];
    const { a, b } = combineLayer(path, parts, [out, input], combination, r, options);
    // Ranks that a layer does not use stay 0, as in PEFT.
    values.set(`${path}.lora_A.weight`, Float32Array.from(padded(a, r, input).values));
    values.set(`${path}.lora_B.weight`, Float32Array.from(padded(b, out, r).values));
  }
  return attach(base, new Lora(
    base, { ...loraDefaults, r, alpha: r, dropout: 0, targetModules: modulesOf(base.config, paths) },
    (name) => values.get(name)!));
}

function combinedRank(combination: Combination, ranks: readonly number[], wanted: number | undefined): number {
  if (combination === 'cat') return ranks.reduce((sum, rank) => sum + rank, 0);
  if (combination.endsWith('svd') && wanted !== undefined) return wanted;
  return Math.max(...ranks);
}

/** @throws UserError */
export function checkOptions(adapters: number, { weights, density }: CombineOptions): void {
  if (adapters < 2) {
    throw new UserError('--adapter: para reunir adaptadores hacen falta dos o más; repite la opción con cada carpeta.');
  }
  if (weights.length !== adapters) {
    throw new UserError(
      `--weights: hay ${weights.length} pesos y ${adapters} adaptadores; da un peso a cada uno, separados por comas.`,
    );
  }
  if (!(density > 0 && density <= 1)) {
    throw new UserError(`--density: ${density} no es válido; se esperaba un número mayor que 0, hasta 1 (por ejemplo 0.5).`);
  }
}

function checkAdapters(adapters: readonly Lora[], combination: Combination): void {
  const at = adapters.findIndex(({ options, saved }) => options.useDora || saved.size > 0);
  if (at >= 0) {
    const what = adapters[at]!.options.useDora ? 'magnitudes de DoRA' : 'módulos entrenados enteros (modules_to_save)';
    throw new UserError(`--adapter: el ${at + 1}.º tiene ${what}, que no se combinan; elige adaptadores LoRA o rsLoRA.`);
  }
  const ranks = new Set(adapters.map(({ options }) => options.r));
  if (ranks.size > 1 && combination !== 'cat' && !combination.endsWith('svd')) {
    throw new UserError(
      `--combine: «${combination}» pide adaptadores del mismo rango y estos tienen ${[...ranks].join(', ')}; elige cat o svd.`,
    );
  }
}

/** What is past the shorter side of every matrix would be zeros. */
function checkRank(rank: number | undefined, sides: readonly number[]): void {
  const largest = Math.max(...sides);
  if (rank === undefined || rank <= largest) return;
  throw new UserError(`--rank: ${rank} pasa de ${largest}, el mayor rango que puede tener una matriz adaptada; da otro menor.`);
}

function combineLayer(
  path: string, parts: readonly Part[], [out, input]: readonly [number, number], combination: Combination, r: number,
  options: CombineOptions,
): { a: Matrix; b: Matrix } {
  const scales = parts.map(({ adapter, scaling }) => options.weights[adapter]! * scaling);
  const rankOf = ({ a }: Part) => a.shape[0]!;
  const together = (tensor: DareTensor, tensors: readonly ArrayLike<number>[], weights: readonly number[], way: Way) =>
    combineTensors(tensors, weights, way, options, (i) => {
      const { adapter } = parts[i]!;
      return options.kept?.(path, tensor, adapter) ?? drawKept(tensors[i]!.length, path, tensor, adapter, options);
    });

  if (combination === 'cat' || combination === 'svd') {
    // s₁·B₁A₁ + s₂·B₂A₂ = (B₁ B₂) · (s₁A₁; s₂A₂)
    const n = parts.reduce((sum, part) => sum + rankOf(part), 0);
    const [left, right] = [matrix(out, n), matrix(n, input)];
    let at = 0;
    parts.forEach((part, i) => {
      const rank = rankOf(part);
      part.a.values.forEach((value, j) => (right.values[at * input + j] = scales[i]! * value));
      part.b.values.forEach((value, j) => (left.values[Math.floor(j / rank) * n + at + j % rank] = value));
      at += rank;
    });
    return combination === 'cat' ? { a: right, b: left } : truncatedProduct(left, right, r);
  }

  if (combination.endsWith('_svd')) {
    const way = combination.slice(0, -'_svd'.length) as Way;
    const deltas = parts.map((part) => {
      const { values } = multiply(matrix(out, rankOf(part), part.b.values), matrix(rankOf(part), input, part.a.values));
      return values.map((value) => value * part.scaling);
    });
    const sum = matrix(out, input, together('delta', deltas, parts.map(({ adapter }) => options.weights[adapter]!), way));
    return out <= input ? truncatedProduct(identity(out), sum, r) : truncatedProduct(sum, identity(input), r);
  }

  const rank = rankOf(parts[0]!);
  if (parts.some((part) => rankOf(part) !== rank)) {
    throw new UserError(`--combine: «${combination}» pide el mismo rango en cada capa, y en «${path}» no lo es; elige cat o svd.`);
  }
  const way = combination as Way;
  const roots = scales.map((scale) => Math.sqrt(Math.abs(scale)));
  const signed = roots.map((root, i) => (scales[i]! < 0 ? -root : root)); // the sign goes to one of the two
  return {
    a: matrix(rank, input, together('lora_A', parts.map(({ a }) => a.values), signed, way)),
    b: matrix(out, rank, together('lora_B', parts.map(({ b }) => b.values), roots, way)),
  };
}

/** The same tensor of several adapters as one. @param keptOf what DARE keeps of the i-th */
function combineTensors(
  tensors: readonly ArrayLike<number>[], weights: readonly number[], way: Way,
  { density, majoritySign }: CombineOptions, keptOf: (i: number) => ArrayLike<number>,
): Float64Array {
  const { prune, elects } = ways[way];
  const pruned = tensors.map((tensor, i) => {
    const values = Float64Array.from(tensor);
    if (prune === undefined || density === 1) return values;
    const kept = prune === 'random' ? keptOf(i) : largest(values, Math.trunc(density * values.length));
    const scale = prune === 'random' ? 1 / density : 1; // what was dropped is made up for by what is left
    return values.map((value, j) => value * kept[j]! * scale);
  });
  return pruned[0]!.map((_, j) => {
    const sum = (of: (i: number) => number) => pruned.reduce((sum, _, i) => sum + of(i), 0);
    if (!elects) return sum((i) => weights[i]! * pruned[i]![j]!);
    const elected = sum((i) => (majoritySign === 'total' ? pruned[i]![j]! : Math.sign(pruned[i]![j]!))) >= 0 ? 1 : -1;
    const agrees = (i: number) => (Math.sign(pruned[i]![j]!) === elected ? 1 : 0);
    return sum((i) => agrees(i) * weights[i]! * pruned[i]![j]!) / Math.max(1, sum(agrees));
  });
}

/** 1 at the `count` elements of the largest magnitude; of equal ones, at the first. */
function largest(values: Float64Array, count: number): Uint8Array {
  const order = Array.from(values, (_, i) => i).sort((i, j) => Math.abs(values[j]!) - Math.abs(values[i]!) || i - j);
  const kept = new Uint8Array(values.length);
  for (const i of order.slice(0, count)) kept[i] = 1;
  return kept;
}

function drawKept(
  size: number, path: string, tensor: DareTensor, adapter: number, { density, seed }: CombineOptions,
): Uint8Array {
  const random = Random.for(seed, 'dare', path, tensor, adapter);
  return Uint8Array.from({ length: size }, () => (random.uniform() < density ? 1 : 0));
}

function padded({ rows, columns, values }: Matrix, toRows: number, toColumns: number): Matrix {
  const wide = matrix(toRows, toColumns);
  for (let i = 0; i < rows; i++) wide.values.set(values.subarray(i * columns, (i + 1) * columns), i * toColumns);
  return wide;
}

/** How `targetModules` names these layers and no others: by the ends of their names where those are enough. */
function modulesOf(config: LlamaConfig, paths: readonly string[]): 'all-linear' | string[] {
  const ends = [...new Set(paths.map((path) => path.slice(path.lastIndexOf('.') + 1)))];
  if (targetPaths(config, { targetModules: ends }).length !== paths.length) return [...paths];
  return ends.length === linearNames.length ? 'all-linear' : ends;
}
