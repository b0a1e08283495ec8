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
/** Invocations of a workgroup. */
const THREADS = 64;

/**
 * x dropped out by the draw of a seed: element i by step ⌊i / 4⌋ of generator i mod 4, as on the processor, to the last
 * bit. A step of xorshift32 is linear over GF(2): each invocation leaps to its own by products of matrices of bits. It
 * draws for neighbours, of which memory is fast for none: the workgroup shares out anew what it has drawn.
 */
export function dropout(
  x: Tensor, { threshold, scale }: Omit<DropoutDraw, 'states'>, states: (seed: number) => DropoutDraw['states'], seed: number,
): Tensor {
  const { size } = x;
  const inVectors = size % 4 === 0;
  const vectors = Math.ceil(size / 4);
  const element = inVectors ? 'vec4f' : 'f32';
  return runProgram({
    key: `dropout ${inVectors}`, write: { y: x.shape }, read: { x, leaps: outside(leaps) },
    types: { x: element, y: element, leaps: 'u32' },
    integers: { size, vectors, threshold: Math.min(threshold, 2 ** 32 - 1) }, floats: { scale },
    drawn: {
      seed,
      integers: (seed) => {
        const [s0, s1, s2, s3] = states(seed);
        return { s0, s1, s2, s3 };
      },
    },
    workgroups: { count: Math.ceil(vectors / (THREADS * STEPS)), size: THREADS },
    code: () => ({
      before: `
var<workgroup> drawn: array<vec2u, ${THREADS}>; // a bit for each number that stays
fn leap(start: vec4u, index: u32) -> vec4u {
  var state = start;
  for (var k = 0u; k < ${POWERS} && (index >> k) > 0; k++) {
    if (((index >> k) & 1) == 0) { continue; }
    var sum = vec4u();
    for (var bit = 0u; bit < 32; bit++) { sum ^= leaps[k * 32 + bit] * ((state >> vec4u(bit)) & vec4u(1)); }
    state = sum;
  }
  return state;
}`,
      main: `
  var state = leap(vec4u(p.s0, p.s1, p.s2, p.s3), group * ${THREADS} + local);
  var bits = vec2u();
  for (var step = 0u; step < ${STEPS}; step++) {
    state ^= state << vec4u(13);
    state ^= state >> vec4u(17);
    state ^= state << vec4u(5);
    let stays = select(vec4u(), vec4u(1, 2, 4, 8), state >= vec4u(p.threshold));
    bits[step / 8] |= (stays.x | stays.y | stays.z | stays.w) << (step % 8 * 4);
  }
  drawn[local] = bits;
  workgroupBarrier();
  for (var i = 0u; i < ${STEPS}; i++) {
    let own = i * ${THREADS} + local; // of the workgroup's vectors
    let at = group * ${THREADS * STEPS} + own;
    if (at >= p.vectors) { return; }
    let four = drawn[own / ${STEPS}][own % ${STEPS} / 8] >> (own % 8 * 4);
    let stays = (vec4u(four) & vec4u(1, 2, 4, 8)) != vec4u();
${inVectors ? '    y[at] = select(vec4f(), x[at] * p.scale, stays);' : `    for (var c = 0u; c < 4 && 4 * at + c < p.size; c++) {
      y[4 * at + c] = select(0.0, x[4 * at + c] * p.scale, stays[c]);
    }`}
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
