import type { MatrixUnit } from './device.ts';
import type { Form } from './form.ts';
import { each } from './program.ts';

/** How many subgroups a workgroup has, each with a square of the product. */
export interface UnitTile {
  readonly down: number;
  readonly across: number;
}

/** Rows and columns of a subgroup's square, and the depth that a workgroup holds at a time. */
export const SIDE = 32;
const DEPTH = 32;

/** Whether its matrices fill the square and the depth. */
export function fits({ m, n, k }: MatrixUnit): boolean {
  return SIDE % m === 0 && SIDE % n === 0 && DEPTH % k === 0;
}

/**
 * A product by matrix units: the workgroup fetches a part of both matrices, each number once, and its subgroups
 * multiply it. What comes next is on its way from memory meanwhile.
 *
 * @param scaled whether `rowScales[m]`, a power of two, is on each row of the left matrix: it comes off the product
 */
export function byUnits(unit: MatrixUnit, tile: UnitTile, along: 'k' | 'n', scaled: boolean): Form {
  const { m, n, k, element, lanes } = unit;
  const { down, across } = tile;
  const [rows, columns, subgroups] = [SIDE * down, SIDE * across, down * across];
  const threads = subgroups * lanes;
  const padding = element === 'f16' ? 8 : 4; // 16 bytes, to which matrices are aligned: rows begin in other banks
  const leftWidth = DEPTH + padding;
  // By k the right part lies as its columns come, (columns, DEPTH); by n as its rows do, (DEPTH, columns).
  const [rightHeight, rightWidth] = along === 'k' ? [columns, DEPTH + padding] : [DEPTH, columns + padding];
  const [down4, across4] = [SIDE / m, SIDE / n]; // unit's matrices in a subgroup's square
  const lefts = rows * DEPTH / 4 / threads; // vectors that an invocation fetches
  const rights = columns * DEPTH / 4 / threads;

  /** The place of an invocation's i-th vector in a part that is so wide. */
  const placed = (i: number, width: number) => {
    const at = `(local + ${i * threads})`;
    return [`${at} / ${width / 4}`, `${at} % ${width / 4} * 4`] as const;
  };
  const rightAt = (i: number) => placed(i, along === 'k' ? DEPTH : columns);
  const fetched = (k0: string) => `
${each(lefts, (i) => {
  const [row, depth] = placed(i, DEPTH);
  return `    left${i} = left(m0 + ${row}, ${k0} + ${depth});`;
})}
${each(rights, (i) => {
  const [high, wide] = rightAt(i);
  return `    right${i} = ${along === 'k' ? `column4(${k0} + ${wide}, n0 + ${high})` : `row4(${k0} + ${high}, n0 + ${wide})`};`;
})}`;
  const put = (into: string, width: number, [high, wide]: readonly [string, string], from: string) => `    {
      let at = ${high} * ${width} + ${wide};
      let v = ${element === 'f16' ? `vec4h(clamp(${from}, vec4f(-65504), vec4f(65504)))` : from};
${each(4, (i) => `      ${into}[at + ${i}] = v[${i}];`)}
    }`;
  const squares = (text: (i: number, j: number) => string) => each(down4, (i) => each(across4, (j) => text(i, j)));

  return {
    key: `units ${[m, n, k, element, lanes, down, across].join(' ')}${scaled ? ' scaled' : ''}`,
    rows, columns, threads, half: element === 'f16', units: true,
    before: `
var<workgroup> lefts: array<${element}, ${rows * leftWidth}>;
var<workgroup> rights: array<${element}, ${rightHeight * rightWidth}>;
var<workgroup> made: array<f32, ${subgroups * m * n}>;`,
    main: `
  let across = (p.columns + ${columns - 1}) / ${columns};
  let m0 = group / across * ${rows};
  let n0 = group % across * ${columns};
  let ownRow = subgroup / ${across} * ${SIDE};
  let ownColumn = subgroup % ${across} * ${SIDE};
${each(lefts, (i) => `  var left${i}: vec4f;`)}
${each(rights, (i) => `  var right${i}: vec4f;`)}
${squares((i, j) => `  var sum${i}_${j}: subgroup_matrix_result<f32, ${n}, ${m}>;`)}
${fetched('0')}
  for (var k0 = 0u; k0 < p.depth; k0 += ${DEPTH}) {
${each(lefts, (i) => put('lefts', leftWidth, placed(i, DEPTH), `left${i}`))}
${each(rights, (i) => put('rights', rightWidth, rightAt(i), `right${i}`))}
    workgroupBarrier();
    if (k0 + ${DEPTH} < p.depth) {${fetched(`k0 + ${DEPTH}`)}
    }
    for (var k = 0u; k < ${DEPTH}; k += ${k}) {
${each(down4, (i) => `      let a${i} = subgroupMatrixLoad<subgroup_matrix_left<${element}, ${k}, ${m}>, row_major>(
        &lefts, (ownRow + ${i * m}) * ${leftWidth} + k, ${leftWidth});`)}
${each(across4, (j) => `      let b${j} = subgroupMatrixLoad<subgroup_matrix_right<${element}, ${n}, ${k}>, ${along === 'k' ? 'col_major' : 'row_major'}>(
        &rights, ${along === 'k' ? `(ownColumn + ${j * n}) * ${rightWidth} + k` : `k * ${rightWidth} + ownColumn + ${j * n}`}, ${rightWidth});`)}
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
