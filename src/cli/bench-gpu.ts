import { UserError } from '../errors.ts';
import { formatBytes, formatNumber, formatPercent } from '../format.ts';
import { shapes } from '../model/synthetic.ts';
import type { Shape } from '../model/synthetic.ts';
import { useBackend } from '../tensor/backend.ts';
import { gainsFrom16Bits, useMixedPrecision } from '../tensor/bfloat16.ts';
import type { ProductShape, ProductSpeed } from '../tensor/webgpu/bench.ts';
import { usedAdapter } from '../tensor/webgpu/device.ts';
import { unitFor } from '../tensor/webgpu/tiles.ts';
import type { Measured } from '../train/measure.ts';
import { explain } from './main.ts';

export const gpuShapes = ['SmolLM2-135M', 'TinyLlama-1.1B', 'Llama-2-7B'] as const;
export type GpuShape = typeof gpuShapes[number];

/** What a table and a record say until there has been a GPU to measure on. */
export const unmeasured = 'sin medir en GPU';

/** What the same steps came to in PyTorch and PEFT, on the same card. */
export interface GpuPeer {
  readonly tokensPerSecond: number;
  readonly peakDevice: number | null;
  /** How it holds its base. */
  readonly mode: string;
}

export interface GpuRow {
  readonly name: GpuShape;
  /** Null where it could not be: 7B is more than many a card holds. */
  readonly measured: Measured | null;
  readonly peer: GpuPeer | null;
}

/** Who measures a shape, and who hears of it. */
export interface GpuMeasures {
  readonly measure: (name: GpuShape) => Measured;
  readonly peer: (name: GpuShape) => GpuPeer | null;
  /** A line for people. */
  readonly tell: (line: string) => void;
  /** The rows there are so far. */
  readonly keep: (rows: readonly GpuRow[]) => void;
}

/** Shape by shape: each row is kept as it is measured, and what fails is told and takes nothing else with it. */
export function gpuRows({ measure, peer, tell, keep }: GpuMeasures): GpuRow[] {
  const rows: GpuRow[] = [];
  for (const name of gpuShapes) {
    const tried = <T>(action: (name: GpuShape) => T): T | null => {
      try {
        return action(name);
      } catch (error) {
        tell(`${name}: ${explain(error)}`);
        return null;
      }
    };
    const row = { name, measured: tried(measure), peer: tried(peer) };
    const longest = row.measured?.gpu?.kernels?.slice(0, 5).map(({ name, runs, seconds }) =>
      `${name} ${formatNumber(1000 * seconds, 1)} ms (${runs})`);
    if (longest) tell(`${name}, lo que más tarda: ${longest.join('; ')}`);
    rows.push(row);
    keep([...rows]);
  }
  return rows;
}

/** The card that is measured. */
export interface Card {
  readonly device: string;
  /** Whether products go by its matrix units, tensor cores, in float16. */
  readonly byUnits: boolean;
}

/** The card; or why there is none to measure on, in Spanish. A software adapter is no GPU. */
export async function findGpu(): Promise<Card | { readonly missing: string }> {
  try {
    await useBackend('webgpu');
  } catch (error) {
    if (error instanceof UserError) return { missing: error.message };
    throw error;
  }
  const { name, software } = usedAdapter()!;
  if (software) return { missing: `${name} calcula por software, en la CPU.` };
  useMixedPrecision(gainsFrom16Bits('webgpu'));
  return { device: name, byUnits: unitFor(productShapes[0]!.rows, productShapes[0]!.output)?.element === 'f16' };
}

/** 512 tokens by the layers of TinyLlama-1.1B: q and o, k and v, gate and up, down. */
export const productShapes: readonly ProductShape[] = [
  { rows: 512, input: 2048, output: 2048 }, { rows: 512, input: 2048, output: 256 },
  { rows: 512, input: 2048, output: 5632 }, { rows: 512, input: 5632, output: 2048 },
];

/** The speeds of a product by each way to share it out. */
export interface ProductRow {
  readonly shape: ProductShape;
  readonly speeds: readonly ProductSpeed[];
}

/** What float16 may be off by. */
const MOST_ERROR = 1e-2;

/** A line a product, and a column a way: TFLOP/s there and back, and a cross if they are not the product. */
export function productTable(found: readonly ProductRow[]): string[][] {
  const inTera = (speed: number) => formatNumber(speed / 1e12, 1, true);
  return [
    ['filas × entrada × salida', ...found[0]!.speeds.map(({ name }) => name)],
    ...found.map(({ shape: { rows, input, output }, speeds }) => [
      `${rows} × ${input} × ${output}`, ...speeds.map(({ forward, back, error }) =>
        `${inTera(forward)} / ${inTera(back)}${error <= MOST_ERROR ? '' : ' ✗'}`),
    ]),
  ];
}

/**
 * TFLOP/s in NVIDIA's data sheets: of float32 without tensor cores, and by them of dense float16 that is summed in
 * float32; by the first name that fits.
 */
const peaks: readonly (readonly [name: RegExp, float32: number, byUnits: number])[] = [
  [/H100 PCIe/, 51, 756], [/H100|H200/, 67, 989], [/A100/, 19.5, 312], [/V100/, 15.7, 125], [/L40S/, 91.6, 362],
  [/\bL4\b/, 30.3, 121], [/\bA10\b/, 31.2, 125], [/\bT4\b/, 8.1, 65],
  [/RTX 5090/, 104.8, 209.5], [/RTX 4090/, 82.6, 165.2], [/RTX 3090/, 35.6, 71],
];

/** In operations a second; undefined for a card whose peak is not listed. */
export function peakOf({ device, byUnits }: Card): number | undefined {
  const found = peaks.find(([name]) => name.test(device));
  return found && found[byUnits ? 2 : 1] * 1e12;
}

/**
 * Operations of a step's products by the frozen weights, a token: two a weight, forward, and back to the input, and
 * forward once more in every block but the last, which is not recomputed; the head forward and back.
 */
export function operationsPerToken({ hiddenSize, intermediateSize, layers, heads, kvHeads, vocabSize }: Shape): number {
  const block = hiddenSize * (2 * hiddenSize + 2 * hiddenSize / heads * kvHeads + 3 * intermediateSize);
  return 2 * block * (3 * layers - 1) + 4 * vocabSize * hiddenSize;
}

/** The table: a line a shape. */
export function gpuTable(card: Card, rows: readonly GpuRow[]): string[][] {
  const peak = peakOf(card);
  const compared = rows.some(({ peer }) => peer);
  return [
    [
      '', 'tokens/s', 'TFLOP/s', card.byUnits ? 'del pico fp16' : 'del pico fp32', 'en núcleos', 'base', 'adaptador', 'sus momentos', 'entradas de bloque', 'lo demás', 'pico en la GPU',
      ...(compared ? ['PEFT', 'tokens/s', 'pico', 'veces'] : []),
    ],
    ...rows.map(({ name, measured, peer }) => [
      name, ...(measured ? ownCells(name, measured, peak) : ['sin medir', ...Array<string>(9).fill('')]),
      ...(compared ? [
        peer?.mode ?? '', peer ? formatNumber(peer.tokensPerSecond) : '',
        peer?.peakDevice ? formatBytes(peer.peakDevice) : '',
        measured && peer ? formatNumber(measured.tokensPerSecond / peer.tokensPerSecond, 2, true) : '',
      ] : []),
    ]),
  ];
}

function ownCells(
  name: GpuShape, { tokensPerSecond, base, adapter, moments, checkpoints, gpu, steps }: Measured,
  peak: number | undefined,
): string[] {
  const speed = operationsPerToken(shapes[name]) * tokensPerSecond;
  const kernels = gpu!.kernels?.reduce((sum, { seconds }) => sum + seconds, 0);
  const step = Math.min(...steps.map(({ seconds }) => seconds));
  return [
    formatNumber(tokensPerSecond), formatNumber(speed / 1e12, 2), peak ? formatPercent(speed / peak) : 'sin dato',
    kernels === undefined ? 'sin reloj' : formatPercent(Math.min(1, kernels / step)),
    formatBytes(base), formatBytes(adapter), formatBytes(moments), formatBytes(checkpoints),
    formatBytes(gpu!.peakBytes - base - adapter - moments - checkpoints), formatBytes(gpu!.peakBytes),
  ];
}
