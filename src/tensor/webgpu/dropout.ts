import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { DropoutDraw } from '../kernels/dropout.ts';
import { outside } from '../outside.ts';
import { webgpuBackend } from './device.ts';
import { runProgram } from './program.ts';

/** Steps of the four generators that an invocation draws by. */
const STEPS = 16;
/** Of 2 ** 24 invocations at most: more numbers than a buffer holds. */
const POWERS = 24;

/**
 * x dropped out by the draw: element i by step ⌊i / 4⌋ of generator i mod 4, as on the processor, to the last bit. A
 * step of xorshift32 is linear over GF(2): each invocation leaps to its own by products of matrices of bits.
 */
export function dropout(x: Tensor, draw: (seed: number) => DropoutDraw, seed: number): Tensor {
  const { threshold, scale } = draw(seed);
  return runProgram({
    key: 'dropout', write: { y: x.shape }, read: { x, leaps: outside(leaps) }, types: { leaps: 'u32' },
    integers: { size: x.size, threshold: Math.min(threshold, 2 ** 32 - 1) }, floats: { scale },
    drawn: {
      seed,
      integers: (seed) => {
        const [s0, s1, s2, s3] = draw(seed).states as [number, number, number, number];
        return { s0, s1, s2, s3 };
      },
    },
    invocations: Math.ceil(x.size / (4 * STEPS)),
    code: () => ({
      before: `
fn leap(start: u32, index: u32) -> u32 {
  var state = start;
  for (var k = 0u; k < ${POWERS} && (index >> k) > 0; k++) {
    if (((index >> k) & 1) == 0) { continue; }
    var sum = 0u;
    for (var bit = 0u; bit < 32; bit++) { sum ^= leaps[k * 32 + bit] * ((state >> bit) & 1); }
    state = sum;
  }
  return state;
}`,
      main: `
  let first = index * ${4 * STEPS};
  if (first >= p.size) { return; }
  var state = vec4u(leap(p.s0, index), leap(p.s1, index), leap(p.s2, index), leap(p.s3, index));
  for (var step = 0u; step < ${STEPS}; step++) {
    state ^= state << vec4u(13);
    state ^= state >> vec4u(17);
    state ^= state << vec4u(5);
    for (var i = 0u; i < 4; i++) {
      let at = first + 4 * step + i;
      if (at < p.size) { y[at] = select(0.0, x[at] * p.scale, state[i] >= p.threshold); }
    }
  }`,
    }),
  })[0]!;
}

const kept = new WeakMap<object, Tensor>();

/** What STEPS · 2ᵏ steps make of each bit of a state, for each k: int32 (POWERS · 32). */
function leaps(): Tensor {
  const backend = webgpuBackend();
  let tensor = kept.get(backend);
  if (!tensor) {
    tensor = tf.keep(tf.tensor1d(leapTable(), 'int32'));
    kept.set(backend, tensor);
  }
  return tensor;
}

function leapTable(): Int32Array {
  const apply = (matrix: Int32Array, state: number) =>
    matrix.reduce((sum, image, bit) => sum ^ (state >>> bit & 1 ? image : 0), 0);
  const squared = (matrix: Int32Array) => matrix.map((image) => apply(matrix, image));
  let matrix = Int32Array.from({ length: 32 }, (_, bit) => {
    let state = 1 << bit;
    state ^= state << 13;
    state ^= state >>> 17;
    return state ^ state << 5;
  });
  for (let steps = 1; steps < STEPS; steps *= 2) matrix = squared(matrix);
  const table = new Int32Array(POWERS * 32);
  for (let k = 0; k < POWERS; k++, matrix = squared(matrix)) table.set(matrix, k * 32);
  return table;
}
