import type { MatrixUnit } from './device.ts';
import { narrowed } from './form.ts';
import type { Form, Vector } from './form.ts';
import { each } from './program.ts';

/** How many subgroups a workgroup has, each with a square of the product, and what it holds at a time. */
export interface UnitTile {
  readonly down: number;
  readonly across: number;
  /** Numbers of float16 of a row; of float32 half as many. */
  readonly depth: number;
}

/** Rows and columns of a subgroup's square. */
export const SIDE = 32;

/** A workgroup's part of the product and of its depth, and the invocations that share it. */
function partOf({ element, lanes }: MatrixUnit, { down, across, depth }: UnitTile) {
  return {
    rows: SIDE * down, columns: SIDE * across, subgroups: down * across, threads: down * across * lanes,
    depth: element === 'f16' ? depth : depth / 2,
  };
}

/** Whether the unit's matrices fill squares and depth by whole vectors, and its invocations fetch as many each. */
export function fits(unit: MatrixUnit, tile: UnitTile): boolean {
  const { m, n, k } = unit;
  const { rows, columns, depth, threads } = partOf(unit, tile);
  return SIDE % m === 0 && SIDE % n === 0 && depth % k === 0 && n % 4 === 0 && k % 4 === 0
    && rows * depth % (4 * threads) === 0 && columns * depth % (4 * threads) === 0;
}

/**
 * A product by matrix units: the workgroup fetches a part of both matrices, each number once, and its subgroups
 * multiply it. What comes next is on its way from memory meanwhile: nothing looks at it before they are done. The loop
 * has as few instructions beside the units' own as can be: there are hundreds of them to sixteen.
 *
 * @param scaled whether `rowScales[m]`, a power of two, goes on each row of the left matrix: it comes off the product
 * @param paired whether the right matrix may be fetched by eight numbers, two vectors
 */
export function byUnits(
  unit: MatrixUnit, tile: UnitTile, along: 'k' | 'n', { scaled, paired }: { scaled: boolean; paired: boolean },
): Form {
  const { m, n, k, element, lanes } = unit;
  const { down, across } = tile;
  const { rows, columns, depth, subgroups, threads } = partOf(unit, tile);
  const vector: Vector = element === 'f16' ? 'vec4h' : 'vec4f';
  const padding = element === 'f16' ? 2 : 1; // 16 bytes, to which matrices are aligned: rows begin in other banks
  // All in vectors of four. By k the right part lies as its columns come, (columns, depth); by n as its rows do.
  const [rightHeight, rightWidth] = along === 'k' ? [columns, depth / 4] : [depth, columns / 4];
  const [leftPitch, rightPitch] = [depth / 4 + padding, rightWidth + padding];
  const lefts = rows * depth / 4 / threads; // that an invocation fetches
  const vectors = paired && columns * depth % (8 * threads) === 0 ? 2 : 1; // of the right part, fetched at once
  const rights = columns * depth / 4 / vectors / threads;

  /** The row and the vector in it, of a part that is so wide, that is an invocation's i-th. */
  const placed = (i: number, width: number) => {
    const at = `(local + ${i * threads})`;
    return { row: `${at} / ${width}`, place: `${at} % ${width}` };
  };
  const leftAt = (i: number) => placed(i, depth / 4);
  const rightAt = (i: number) => placed(i, rightWidth / vectors);
  const fetched = (k0: string) => `
${each(lefts, (i) => `    left${i} = left(row${i}, ${k0} + ${leftAt(i).place} * 4);`)}
${each(rights, (i) => {
  const [row, at] = [rightAt(i).row, `${rightAt(i).place} * ${4 * vectors}`];
  return `    right${i} = ${along === 'k' ? `fetched(${k0} + ${at}, n0 + ${row})` : `fetched(${k0} + ${row}, n0 + ${at})`};`;
})}`;
  const [unitsDown, unitsAcross] = [SIDE / m, SIDE / n]; // of a subgroup's square
  const squares = (text: (i: number, j: number) => string) =>
    each(unitsDown, (i) => each(unitsAcross, (j) => text(i, j)));

  return {
    key: `units ${[m, n, k, element, lanes, down, across, depth].join(' ')}${scaled ? ' scaled' : ''}`,
    rows, columns, depth, threads, vectors, half: element === 'f16', lanes,
    before: `
var<workgroup> lefts: array<${vector}, ${rows * leftPitch}>;
var<workgroup> rights: array<${vector}, ${rightHeight * rightPitch}>;
var<workgroup> made: array<f32, ${subgroups * m * n}>;`,
    // The places of `subgroupMatrixLoad` are counted in what the array is of.
    main: `
  let across = (p.columns + ${columns - 1}) / ${columns};
  let m0 = group / across * ${rows};
  let n0 = group % across * ${columns};
  let ownRow = subgroup / ${across} * ${SIDE};
  let ownColumn = subgroup % ${across} * ${SIDE};
${each(lefts, (i) => `  let row${i} = leftRow(m0 + ${leftAt(i).row});
  var left${i}: vec4f;`)}
${each(rights, (i) => `  var right${i}: Fetched;`)}
${scaled ? each(lefts, (i) => `  let scale${i} = rowScales[min(m0 + ${leftAt(i).row}, p.rows - 1)];`) : ''}
${squares((i, j) => `  var sum${i}_${j}: subgroup_matrix_result<f32, ${n}, ${m}>;`)}
${fetched('0')}
  for (var k0 = 0u; k0 < p.depth; k0 += ${depth}) {
${each(lefts, (i) => `    lefts[${leftAt(i).row} * ${leftPitch} + ${leftAt(i).place}] = ${narrowed(vector, scaled ? `left${i} * scale${i}` : `left${i}`)};`)}
${each(rights, (i) => each(vectors, (v) =>
  `    rights[${rightAt(i).row} * ${rightPitch} + ${rightAt(i).place} * ${vectors} + ${v}] = ${vector}(numbers(right${i}, ${v}));`))}
    workgroupBarrier();
    if (k0 + ${depth} < p.depth) {${fetched(`k0 + ${depth}`)}
    }
    for (var k = 0u; k < ${depth}; k += ${k}) {
${each(unitsDown, (i) => `      let a${i} = subgroupMatrixLoad<subgroup_matrix_left<${element}, ${k}, ${m}>, row_major>(
        &lefts, (ownRow + ${i * m}) * ${leftPitch} + k / 4, ${leftPitch});`)}
${each(unitsAcross, (j) => `      let b${j} = subgroupMatrixLoad<subgroup_matrix_right<${element}, ${n}, ${k}>, ${along === 'k' ? 'col_major' : 'row_major'}>(
        &rights, ${along === 'k' ? `(ownColumn + ${j * n}) * ${rightPitch} + k / 4` : `k * ${rightPitch} + (ownColumn + ${j * n}) / 4`}, ${rightPitch});`)}
${squares((i, j) => `      sum${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, sum${i}_${j});`)}
    }
    workgroupBarrier();
  }
${squares((i, j) => `
  subgroupMatrixStore<row_major>(&made, subgroup * ${m * n}, sum${i}_${j}, ${n});
  workgroupBarrier();
  for (var at = local; at < ${subgroups * m * n}; at += ${threads}) {
    let square = at / ${m * n};
    let row = m0 + square / ${across} * ${SIDE} + ${i * m} + at % ${m * n} / ${n};
    let column = n0 + square % ${across} * ${SIDE} + ${j * n} + at % ${n};
    if (row < p.rows && column < p.columns) {
      y[row * p.columns + column] = made[at]${scaled ? ' / rowScales[row]' : ''};
    }
  }
  workgroupBarrier();`)}`,
  };
}
