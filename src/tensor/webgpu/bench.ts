import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { quantize } from '../../quant/quantize.ts';
import { Random } from '../../random.ts';
import { DeviceMatrix } from './packed.ts';
import { tiles, unitFor, unitTiles, useHalves, useMatrixUnits, useTile, useUnitTile } from './tiles.ts';

/** A product of some rows by a 4-bit matrix, W: (out, in). */
export interface ProductShape {
  readonly rows: number;
  readonly input: number;
  readonly output: number;
}

/** Operations a second of one way to share a product out: x · Wᵀ, and dy · W back to its input. */
export interface ProductSpeed {
  readonly name: string;
  readonly forward: number;
  readonly back: number;
  /** How far both are from the same by tiles of float32: the largest difference, by the largest number. */
  readonly error: number;
}

interface Way {
  readonly name: string;
  readonly choose: () => void;
}

/** What the tables of `tiles.ts` choose comes first; then all that they choose from. */
function ways({ rows, output }: ProductShape): Way[] {
  const byUnits = unitFor(rows, output) ? Object.values(unitTiles) : [];
  return [
    { name: 'elegida', choose: () => undefined },
    ...byUnits.map((tile): Way => ({
      name: `unidades ${tile.down} × ${tile.across}, ${tile.depth}`, choose: () => useUnitTile(tile),
    })),
    ...tiles.filter(({ rows, columns }) => rows > 16 && columns > 16).map((tile): Way => ({
      name: `${tile.rows} × ${tile.columns}, ${tile.depth}`, choose: () => {
        useMatrixUnits(false);
        useTile(tile);
      },
    })),
  ];
}

/** How fast each way is, on the device in use: what its line in the tables is to be chosen by. */
export async function productSpeeds(shape: ProductShape): Promise<ProductSpeed[]> {
  const { rows, input, output } = shape;
  const random = Random.for(1, 'bench', rows, input, output);
  const values = (size: number) => Float32Array.from({ length: size }, () => random.normal());
  const matrix = (width: number) => tf.tensor2d(values(rows * width), [rows, width]);
  const weight = new DeviceMatrix(quantize(values(output * input), [output, input]));
  const [x, dy] = [matrix(input), matrix(output)];
  const [forward, back] = [() => weight.product(x, true), () => weight.product(dy, false)];
  const operations = 2 * rows * input * output;
  const speeds: ProductSpeed[] = [];
  try {
    useMatrixUnits(false);
    useHalves(false);
    const exact = [await valuesOf(forward), await valuesOf(back)] as const;
    for (const { name, choose } of ways(shape)) {
      chooseByTables();
      choose();
      speeds.push({
        name, forward: operations / await secondsOf(forward), back: operations / await secondsOf(back),
        error: Math.max(distance(await valuesOf(forward), exact[0]), distance(await valuesOf(back), exact[1])),
      });
    }
  } finally {
    chooseByTables();
    weight.dispose();
    tf.dispose([x, dy]);
  }
  return speeds;
}

async function valuesOf(product: () => Tensor): Promise<Float32Array> {
  const result = product();
  const values = await result.data<'float32'>();
  result.dispose();
  return values;
}

function distance(values: Float32Array, exact: Float32Array): number {
  const most = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return values.reduce((worst, value, i) => Math.max(worst, Math.abs(value - exact[i]!)), 0) / most;
}

function chooseByTables(): void {
  useHalves(undefined);
  useMatrixUnits(undefined);
  useTile(undefined);
  useUnitTile(undefined);
}

/** Long enough for the device to run at its speed, and for the last value's way back not to matter. */
const ENOUGH_SECONDS = 0.1;

/** What a product takes in a row of them: the first call, which compiles it, is none of these. */
async function secondsOf(product: () => Tensor): Promise<number> {
  for (let times = 1; ; times *= 4) {
    const began = performance.now();
    for (let i = 1; i < times; i++) product().dispose();
    const last = tf.tidy(() => product().slice([0, 0], [1, 1]));
    await last.data();
    last.dispose();
    const seconds = (performance.now() - began) / 1000;
    if (times > 1 && seconds > ENOUGH_SECONDS) return seconds / times;
  }
}
