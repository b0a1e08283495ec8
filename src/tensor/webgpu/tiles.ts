import { usedAdapter } from './device.ts';

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
 * By vendor, in lower case as WebGPU tells it. Not measured on the devices yet: a large tile reads memory least, and is
 * what discrete cards have the registers and lanes for; Intel's and phones' have fewer of both. On SwiftShader a small
 * one is no slower and compiles in half the time.
 */
const squares: Readonly<Record<string, Tile>> = {
  nvidia: { rows: 64, columns: 64, depth: 32, high: 2 },
  amd: { rows: 64, columns: 64, depth: 32, high: 2 },
  apple: { rows: 64, columns: 64, depth: 16, high: 2 },
  intel: { rows: 32, columns: 64, depth: 16, high: 1 },
};
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
