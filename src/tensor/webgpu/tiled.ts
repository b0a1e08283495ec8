import { narrowed } from './form.ts';
import type { Form, Vector } from './form.ts';
import { each } from './program.ts';
import { threadsOf } from './tiles.ts';
import type { Tile } from './tiles.ts';

/** Of a tile's elements. */
interface Types {
  readonly left: Vector;
  readonly right: Vector;
}

/** A workgroup's part of a, in vectors of four rows, and of b, in vectors of four columns, by k. */
const shared = ({ rows, columns, depth }: Tile, { left, right }: Types) => `
var<workgroup> lefts: array<${left}, ${depth * rows / 4}>;
var<workgroup> rights: array<${right}, ${depth * columns / 4}>;`;

/**
 * A product by tiles: the workgroup fetches a part of both matrices, each number once, and multiplies it, until all of
 * k has been.
 */
export function byTiles(tile: Tile, along: 'k' | 'n', half: boolean): Form {
  const { rows, columns, depth, high } = tile;
  const threads = threadsOf(tile);
  const [across, down] = [columns / 4, rows / 4]; // vectors
  const types: Types = { left: half && along === 'k' ? 'vec4h' : 'vec4f', right: half ? 'vec4h' : 'vec4f' };
  /** Four vectors along k become four along the other side. Loops, which software adapters compile in half the time. */
  const turned = (into: string, vectors: number, from: string, kept: (v: string) => string) => `
    for (var unit = local; unit < ${vectors * depth / 4}; unit += ${threads}) {
      let k = unit % ${depth / 4} * 4;
      let place = unit / ${depth / 4};
      var v: mat4x4f;
      for (var i = 0u; i < 4; i++) { v[i] = ${from}; }
      v = transpose(v);
      for (var i = 0u; i < 4; i++) { ${into}[(k + i) * ${vectors} + place] = ${kept('v[i]')}; }
    }`;
  return {
    key: `${Object.values(tile).join(' ')}${half ? ' half' : ''}`,
    rows, columns, depth, threads, vectors: 1, half, lanes: undefined, before: shared(tile, types),
    main: `
  let across = (p.columns + ${columns - 1}) / ${columns};
  let m0 = group / across * ${rows};
  let n0 = group % across * ${columns};
  let own = local / ${across};
  let column = local % ${across};
${each(4 * high, (i) => `  var sum${i} = vec4f();`)}
  for (var k0 = 0u; k0 < p.depth; k0 += ${depth}) {
${turned('lefts', down, 'left(leftRow(m0 + place * 4 + i), k0 + k)', (v) => narrowed(types.left, v))}
${along === 'n' ? `    for (var unit = local; unit < ${across * depth}; unit += ${threads}) {
      rights[unit] = ${types.right}(numbers(fetched(k0 + unit / ${across}, n0 + unit % ${across} * 4), 0));
    }` : turned('rights', across, 'numbers(fetched(k0 + k, n0 + place * 4 + i), 0)', (v) => `${types.right}(${v})`)}
    workgroupBarrier();
    for (var k = 0u; k < ${depth}; k++) {
      let b = vec4f(rights[k * ${across} + column]);
${each(high, (h) => `      let a${h} = vec4f(lefts[k * ${down} + own * ${high} + ${h}]);
${each(4, (i) => `      sum${4 * h + i} += a${h}[${i}] * b;`)}`)}
    }
    workgroupBarrier();
  }
  let m = m0 + own * ${4 * high};
  let n = n0 + column * 4;
${each(4 * high, (i) => `  if (m + ${i} < p.rows) {
    for (var j = 0u; j < 4; j++) { if (n + j < p.columns) { y[(m + ${i}) * p.columns + n + j] = sum${i}[j]; } }
  }`)}`,
  };
}
