import * as tf from '@tensorflow/tfjs';
import { wantsMixedPrecision } from '../bfloat16.ts';
import { usedAdapter } from './device.ts';
import type { MatrixUnit } from './device.ts';
import { fits, SIDE } from './units.ts';
import type { UnitTile } from './units.ts';

/**
 * How a product is shared out: a workgroup makes `rows` × `columns` numbers, from `depth` steps at a time that lie in
 * its own memory, and each of its invocations 4 · `high` rows of 4 columns.
 */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly high: 1 | 2;
}

/**
 * The larger a tile, the less is read of memory: this is what a discrete card has the lanes and registers for. Its 128
 * invocations have 32 sums each, and its two parts take 16 KiB of the workgroup's memory.
 */
const large: Tile = { rows: 64, columns: 64, depth: 32, high: 2 };

/**
 * By vendor, in lower case as WebGPU tells it; measured on none of these devices. Apple's cores have 32 KiB for all
 * workgroups that they hold, of which half the depth lets there be twice as many. Intel's threads have 128 registers
 * for all of their lanes: 32 sums would fill half of them.
 */
const squares: Readonly<Record<string, Tile>> = {
  nvidia: large,
  amd: large,
  apple: { ...large, depth: 16 },
  intel: { rows: 32, columns: 64, depth: 16, high: 1 },
};
/** Of whom nothing is known. On SwiftShader it is no slower than a large one, and compiles in half the time. */
const anyone: Tile = { rows: 32, columns: 32, depth: 16, high: 1 };

/** LoRA's products have r columns, and a token that is generated, or the gradient of A, few rows. */
const thin: Tile = { rows: 64, columns: 16, depth: 16, high: 1 };
const flat: Tile = { rows: 16, columns: 64, depth: 16, high: 1 };

/** All there are. */
export const tiles: readonly Tile[] = [...new Set([...Object.values(squares), anyone, thin, flat])];

let chosen: Tile | undefined;

/** From now on every product is shared out so, whatever its shape and the device; undefined: as the table has it. */
export function useTile(tile: Tile | undefined): void {
  chosen = tile;
}

export function tileFor(rows: number, columns: number): Tile {
  if (chosen) return chosen;
  if (columns <= 16) return thin;
  if (rows <= 16) return flat;
  return squares[usedAdapter()?.vendor ?? ''] ?? anyone;
}

let inHalf: boolean | undefined;

/** From now on tiles are of float16, or are not; undefined: as is asked for. */
export function useHalves(on: boolean | undefined): void {
  inHalf = on;
}

/**
 * Whether the tiles of a product are of float16, which halves what is read of them; sums are of float32 all the same.
 * Only where mixed precision is asked for and the device has it. A processor in place of a GPU would gain nothing:
 * there losses stay those of other backends. On lavapipe, which has it, the demo's first three change by 2e-4 at most.
 */
export function halfPrecision(): boolean {
  if (inHalf !== undefined) return inHalf;
  const adapter = tf.getBackend() === 'webgpu' ? usedAdapter() : undefined;
  return adapter !== undefined && wantsMixedPrecision() && !adapter.software && adapter.features.includes('shader-f16');
}

let byUnit: boolean | undefined;

/** From now on products go by the device's matrix units wherever they serve, or do not; undefined: as is asked for. */
export function useMatrixUnits(on: boolean | undefined): void {
  byUnit = on;
}

/**
 * Of the two, the one that reads less, if with it there are workgroups enough for a large card's processors. Where
 * there are few, each has more on its way from memory at a time.
 */
export const unitTiles: Readonly<Record<'tall' | 'square', UnitTile>> = {
  tall: { down: 4, across: 2, depth: 32 }, square: { down: 2, across: 2, depth: 64 },
};
const ENOUGH = 128;

/**
 * The matrix unit that a product goes by: one of float16 where that is what is multiplied in, or else of float32. None
 * for a thin product, which would leave most of it idle, and none on a processor in place of a GPU.
 */
export function unitFor(rows: number, columns: number): MatrixUnit | undefined {
  const adapter = tf.getBackend() === 'webgpu' ? usedAdapter() : undefined;
  if (!adapter || !(byUnit ?? !adapter.software) || rows <= 16 || columns <= 16) return undefined;
  const of = (element: MatrixUnit['element']) => adapter.units.find((unit) =>
    unit.element === element && Object.values(unitTiles).every((tile) => fits(unit, tile)));
  return (byUnit || halfPrecision() ? of('f16') : undefined) ?? of('f32');
}

let chosenUnitTile: UnitTile | undefined;

/** From now on products by matrix units are shared out so; undefined: as their shape has it. */
export function useUnitTile(tile: UnitTile | undefined): void {
  chosenUnitTile = tile;
}

export function unitTileFor(rows: number, columns: number): UnitTile {
  if (chosenUnitTile) return chosenUnitTile;
  const { tall, square } = unitTiles;
  const groups = Math.ceil(rows / (SIDE * tall.down)) * Math.ceil(columns / (SIDE * tall.across));
  return groups >= ENOUGH ? tall : square;
}

/** Invocations of its workgroup: 64 to 256 of them. */
export function threadsOf({ rows, columns, high }: Tile): number {
  return rows / (4 * high) * (columns / 4);
}

/** Queries, and keys, of which attention's workgroups have one block at a time. */
export type Block = 8 | 16 | 32;

let largest: Block | undefined;

/** From now on attention's blocks are no larger; undefined: as the device takes them. */
export function useBlock(block: Block | undefined): void {
  largest = block;
}

/**
 * The largest first: each number that is fetched serves for so many products. On SwiftShader 32 is no faster than 16,
 * and takes four times as long to compile.
 */
export function blocksToTry(): Block[] {
  const most = largest ?? (usedAdapter()?.software ? 16 : 32);
  return ([32, 16, 8] as const).filter((block) => block <= most);
}
