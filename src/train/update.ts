import { readFileSync } from 'node:fs';

/** What an update takes besides its arrays. */
export interface UpdateNumbers {
  /** Of the gradient. */
  readonly scale: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** η / (1 − β₁ᵗ), and √(1 − β₂ᵗ), by which √v is divided. */
  readonly stepSize: number;
  readonly correction: number;
  /** What is left of a parameter before its step, and after. */
  readonly decayBefore: number;
  readonly decayAfter: number;
}

/** The export of `assembly/adamw.ts`. A pointer is a byte offset into the memory. */
interface Kernel {
  readonly memory: WebAssembly.Memory;
  /** values, gradient, m, v, count, and the numbers in their order. */
  readonly update: (...args: number[]) => void;
}

/** Parameters of a piece: its four arrays stay in a processor's cache until they are copied out again. */
const PIECE = 2 ** 13;

interface Workplace {
  readonly kernel: Kernel;
  /** values, gradient, m and v of a piece, one after another in the kernel's memory. */
  readonly arrays: readonly Float32Array[];
}

let workplace: Workplace | undefined;

function load(): Workplace {
  const module = new WebAssembly.Module(readFileSync(new URL('adamw.wasm', import.meta.url)) as BufferSource);
  const kernel = new WebAssembly.Instance(module).exports as unknown as Kernel;
  const arrays = [0, 1, 2, 3].map((i) => new Float32Array(kernel.memory.buffer, 4 * PIECE * i, PIECE));
  return { kernel, arrays };
}

/**
 * AdamW's update by WASM SIMD, in float64 from one reading of float32 to the next writing: what plain JavaScript would
 * give, to the last bit, in half its time.
 *
 * @param m, v the moments of all that is to move, equally long
 * @param from the first of `values`, and of `gradient`, that they belong to
 */
export function update(
  values: Float32Array, gradient: Float32Array, m: Float32Array, v: Float32Array, from: number, numbers: UpdateNumbers,
): void {
  const { kernel, arrays } = workplace ??= load();
  const { scale, beta1, beta2, epsilon, stepSize, correction, decayBefore, decayAfter } = numbers;
  for (let start = 0; start < m.length; start += PIECE) {
    const end = Math.min(start + PIECE, m.length);
    const pieces = [
      values.subarray(from + start, from + end), gradient.subarray(from + start, from + end),
      m.subarray(start, end), v.subarray(start, end),
    ];
    pieces.forEach((piece, i) => arrays[i]!.set(piece));
    kernel.update(
      ...arrays.map(({ byteOffset }) => byteOffset), end - start,
      scale, beta1, beta2, epsilon, stepSize, correction, decayBefore, decayAfter,
    );
    for (const i of [0, 2, 3]) pieces[i]!.set(arrays[i]!.subarray(0, end - start));
  }
}
