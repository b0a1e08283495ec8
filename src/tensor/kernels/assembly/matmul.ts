import { widen16 } from '../../../quant/assembly/widen';
import { madd } from './madd';

// y = a · b. b is cut into panels of eight columns: a task brings a tile of b, of at most DEPTH rows, into that form
// (in float32, whatever it was), and runs its rows of a over it (Goto and van de Geijn, 2008). Every element of y is
// one sum in the order of k, whatever the tasks are and whoever does them.

/** Rows of a tile: with 32 columns it fits the fastest cache. */
const DEPTH: i32 = 256;

/** What the job says, as `Product` in ../matmul.ts writes it: 32-bit words. */
// @ts-expect-error: decorator
@unmanaged
class Product {
  y: usize; // (rows, columns)
  a: usize;
  aRow: usize; // bytes from one row to the next, and from one k to the next
  aStep: usize;
  rows: i32;
  columns: i32;
  depth: i32;
  /** Of a task: multiples of 6 and of 8 (of 32 for 4-bit rows). */
  taskRows: i32;
  taskColumns: i32;
  /** b(k, column) lies at k · bStep + column · bColumn, one of them an element: bytes of float32, or elements of 4 bits. */
  b: usize;
  bStep: i32;
  bColumn: i32;
  /** Of 4 bits: the sixteen values by bytes, (4, 16); 0 for float32. */
  codes: usize;
  /** log2 of the block size; a block's float32 scale, or its byte, map and the scale and offset of 256 of them. */
  blockShift: i32;
  absmax: usize;
  absmaxMap: usize; // 0: absmax is float32
  nested: usize;
  offset: f32;
}

/** One task of a product. scratch: a tile and 48 floats. */
export function productTask(job: usize, task: i32, scratch: usize): void {
  const p = changetype<Product>(job);
  const across = (p.columns + p.taskColumns - 1) / p.taskColumns;
  const firstRow = task / across * p.taskRows;
  const endRow = min(firstRow + p.taskRows, p.rows);
  const column = task % across * p.taskColumns;
  const columns = min(p.taskColumns, p.columns - column);
  const margin = scratch + (<usize>(DEPTH * p.taskColumns) << 2);
  const yRow = <usize>p.columns << 2;
  for (let from = 0; from < p.depth; from += DEPTH) {
    const depth = min(DEPTH, p.depth - from);
    if (!p.codes) {
      if (p.bColumn == 4) copyPanels(p, from, depth, column, columns, scratch);
      else turnPanels(p, from, depth, column, columns, scratch);
    } else {
      if (p.bColumn == 1) widenPanels(p, from, depth, column, columns, scratch);
      else widenAndTurnPanels(p, from, depth, column, columns, scratch);
    }
    for (let row = firstRow; row < endRow; row += 6) {
      const a = p.a + <usize>row * p.aRow + <usize>from * p.aStep;
      const last = <usize>(endRow - row - 1);
      for (let c = 0; c < columns; c += 8) {
        const y = p.y + <usize>row * yRow + (<usize>(column + c) << 2);
        const panel = scratch + (<usize>(c * depth) << 2);
        if (c + 8 <= columns) {
          sixByEight(depth, a, p.aRow, p.aStep, panel, y, yRow, last, from > 0);
        } else { // fewer than eight columns: by way of a block of eight
          const width = <usize>(columns - c) << 2;
          const height = min<usize>(last + 1, 6);
          if (from > 0) for (let r: usize = 0; r < height; r++) memory.copy(margin + (r << 5), y + r * yRow, width);
          sixByEight(depth, a, p.aRow, p.aStep, panel, margin, 32, last, from > 0);
          for (let r: usize = 0; r < height; r++) memory.copy(y + r * yRow, margin + (r << 5), width);
        }
      }
    }
  }
}

/**
 * y (6, 8) = a (6, depth) · panel (depth, 8), or that added to y. Where there are fewer rows than six, the last one is
 * computed more than once, and written as often.
 */
function sixByEight(
  depth: i32, a: usize, aRow: usize, aStep: usize, panel: usize, y: usize, yRow: usize, last: usize, added: bool,
): void {
  let a0 = a, a1 = a + min<usize>(last, 1) * aRow, a2 = a + min<usize>(last, 2) * aRow;
  let a3 = a + min<usize>(last, 3) * aRow, a4 = a + min<usize>(last, 4) * aRow, a5 = a + min<usize>(last, 5) * aRow;
  const y0 = y, y1 = y + min<usize>(last, 1) * yRow, y2 = y + min<usize>(last, 2) * yRow;
  const y3 = y + min<usize>(last, 3) * yRow, y4 = y + min<usize>(last, 4) * yRow, y5 = y + min<usize>(last, 5) * yRow;
  let s00 = f32x4.splat(0), s10 = s00, s20 = s00, s30 = s00, s40 = s00, s50 = s00;
  let s01 = s00, s11 = s00, s21 = s00, s31 = s00, s41 = s00, s51 = s00;
  if (added) {
    s00 = v128.load(y0), s01 = v128.load(y0, 16), s10 = v128.load(y1), s11 = v128.load(y1, 16);
    s20 = v128.load(y2), s21 = v128.load(y2, 16), s30 = v128.load(y3), s31 = v128.load(y3, 16);
    s40 = v128.load(y4), s41 = v128.load(y4, 16), s50 = v128.load(y5), s51 = v128.load(y5, 16);
  }
  for (const end = panel + (<usize>depth << 5); panel < end; panel += 32) {
    const left = v128.load(panel), right = v128.load(panel, 16);
    let x = v128.load32_splat(a0);
    s00 = madd(x, left, s00), s01 = madd(x, right, s01);
    x = v128.load32_splat(a1);
    s10 = madd(x, left, s10), s11 = madd(x, right, s11);
    x = v128.load32_splat(a2);
    s20 = madd(x, left, s20), s21 = madd(x, right, s21);
    x = v128.load32_splat(a3);
    s30 = madd(x, left, s30), s31 = madd(x, right, s31);
    x = v128.load32_splat(a4);
    s40 = madd(x, left, s40), s41 = madd(x, right, s41);
    x = v128.load32_splat(a5);
    s50 = madd(x, left, s50), s51 = madd(x, right, s51);
    a0 += aStep, a1 += aStep, a2 += aStep, a3 += aStep, a4 += aStep, a5 += aStep;
  }
  v128.store(y0, s00), v128.store(y0, s01, 16), v128.store(y1, s10), v128.store(y1, s11, 16);
  v128.store(y2, s20), v128.store(y2, s21, 16), v128.store(y3, s30), v128.store(y3, s31, 16);
  v128.store(y4, s40), v128.store(y4, s41, 16), v128.store(y5, s50), v128.store(y5, s51, 16);
}

/** Panels of float32 whose columns lie side by side. */
function copyPanels(p: Product, from: i32, depth: i32, column: i32, columns: i32, out: usize): void {
  for (let c = 0; c < columns; c += 8) {
    let at = p.b + <usize>from * p.bStep + (<usize>(column + c) << 2);
    if (c + 8 <= columns) {
      for (let k = 0; k < depth; k++, at += p.bStep, out += 32) {
        v128.store(out, v128.load(at));
        v128.store(out, v128.load(at, 16), 16);
      }
    } else {
      const width = <usize>(columns - c) << 2;
      for (let k = 0; k < depth; k++, at += p.bStep, out += 32) memory.copy(out, at, width);
    }
  }
}

/** Panels of float32 whose columns are rows in memory. Past the last one it stands once more: nobody looks at it. */
function turnPanels(p: Product, from: i32, depth: i32, column: i32, columns: i32, out: usize): void {
  const start = p.b + (<usize>from << 2);
  const last = column + columns - 1;
  const whole = depth & ~3;
  for (let c = column; c <= last; c += 8, out += <usize>depth << 5) {
    for (let half = 0; half < 8; half += 4) {
      const b0 = start + <usize>min(c + half, last) * p.bColumn, b1 = start + <usize>min(c + half + 1, last) * p.bColumn;
      const b2 = start + <usize>min(c + half + 2, last) * p.bColumn, b3 = start + <usize>min(c + half + 3, last) * p.bColumn;
      let to = out + (half << 2);
      let k: usize = 0;
      for (; k < <usize>whole << 2; k += 16, to += 128) {
        const x0 = v128.load(b0 + k), x1 = v128.load(b1 + k), x2 = v128.load(b2 + k), x3 = v128.load(b3 + k);
        const low01 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
        const low23 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
        v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
        v128.store(to, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), 32);
        v128.store(to, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), 64);
        v128.store(to, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), 96);
      }
      for (; k < <usize>depth << 2; k += 4, to += 32) {
        store<f32>(to, load<f32>(b0 + k)), store<f32>(to, load<f32>(b1 + k), 4);
        store<f32>(to, load<f32>(b2 + k), 8), store<f32>(to, load<f32>(b3 + k), 12);
      }
    }
  }
}

/** The scale of a block. */
// @ts-expect-error: decorator
@inline
function scaleOf(p: Product, block: usize): f32 {
  if (!p.absmaxMap) return load<f32>(p.absmax + (block << 2));
  const code = load<f32>(p.absmaxMap + (<usize>load<u8>(p.absmax + block) << 2));
  return code * load<f32>(p.nested + (block >> 8 << 2)) + p.offset;
}

/**
 * Panels of 4-bit values whose columns lie side by side. Two a byte, the first one in the high half: sixteen bytes are
 * 32 columns of one row, which share a scale. A value's four bytes come from four tables of sixteen.
 */
function widenPanels(p: Product, from: i32, depth: i32, column: i32, columns: i32, out: usize): void {
  const t0 = v128.load(p.codes), t1 = v128.load(p.codes, 16), t2 = v128.load(p.codes, 32), t3 = v128.load(p.codes, 48);
  const panel = <usize>depth << 5;
  for (let k = 0; k < depth; k++) {
    for (let c = 0; c < columns; c += 32) {
      const element = <usize>(from + k) * p.bStep + <usize>(column + c);
      const scale = f32x4.splat(scaleOf(p, element >> p.blockShift));
      const bytes = v128.load(p.b + (element >> 1));
      const high = i8x16.shr_u(bytes, 4), low = v128.and(bytes, i8x16.splat(15));
      const to = out + (<usize>c >> 3) * panel + (<usize>k << 5);
      const first = i8x16.shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const second = i8x16.shuffle(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      widen16(first, t0, t1, t2, t3, scale, to, 16, panel, panel + 16);
      widen16(second, t0, t1, t2, t3, scale, to + 2 * panel, 16, panel, panel + 16);
    }
  }
}

/**
 * Panels of 4-bit values whose columns are rows in memory: sixteen bytes of each of four columns are 32 steps of k.
 * The indices are turned before they become values, while they are bytes.
 */
function widenAndTurnPanels(p: Product, from: i32, depth: i32, column: i32, columns: i32, out: usize): void {
  const t0 = v128.load(p.codes), t1 = v128.load(p.codes, 16), t2 = v128.load(p.codes, 32), t3 = v128.load(p.codes, 48);
  const last = column + columns - 1;
  for (let c = column; c <= last; c += 4) {
    const e0 = <usize>c * p.bColumn + from, e1 = <usize>min(c + 1, last) * p.bColumn + from;
    const e2 = <usize>min(c + 2, last) * p.bColumn + from, e3 = <usize>min(c + 3, last) * p.bColumn + from;
    let to = out + (<usize>((c - column) & ~7) * depth << 2) + (<usize>((c - column) & 4) << 2);
    for (let k: usize = 0; k < <usize>depth; k += 32, to += 1024) {
      let scale = f32x4.splat(scaleOf(p, (e0 + k) >> p.blockShift));
      scale = f32x4.replace_lane(scale, 1, scaleOf(p, (e1 + k) >> p.blockShift));
      scale = f32x4.replace_lane(scale, 2, scaleOf(p, (e2 + k) >> p.blockShift));
      scale = f32x4.replace_lane(scale, 3, scaleOf(p, (e3 + k) >> p.blockShift));
      const x0 = v128.load(p.b + ((e0 + k) >> 1)), x1 = v128.load(p.b + ((e1 + k) >> 1));
      const x2 = v128.load(p.b + ((e2 + k) >> 1)), x3 = v128.load(p.b + ((e3 + k) >> 1));
      const low01 = i8x16.shuffle(x0, x1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const high01 = i8x16.shuffle(x0, x1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const low23 = i8x16.shuffle(x2, x3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const high23 = i8x16.shuffle(x2, x3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      // Four bytes of each of the four columns, side by side by columns: eight steps of k.
      turned8(v128.shuffle<i16>(low01, low23, 0, 8, 1, 9, 2, 10, 3, 11), t0, t1, t2, t3, scale, to);
      turned8(v128.shuffle<i16>(low01, low23, 4, 12, 5, 13, 6, 14, 7, 15), t0, t1, t2, t3, scale, to + 256);
      turned8(v128.shuffle<i16>(high01, high23, 0, 8, 1, 9, 2, 10, 3, 11), t0, t1, t2, t3, scale, to + 512);
      turned8(v128.shuffle<i16>(high01, high23, 4, 12, 5, 13, 6, 14, 7, 15), t0, t1, t2, t3, scale, to + 768);
    }
  }
}

/** Eight steps of k of four columns: the high halves are the even steps, the low halves the odd ones. */
// @ts-expect-error: decorator
@inline
function turned8(bytes: v128, t0: v128, t1: v128, t2: v128, t3: v128, scale: v128, to: usize): void {
  widen16(i8x16.shr_u(bytes, 4), t0, t1, t2, t3, scale, to, 64, 128, 192);
  widen16(v128.and(bytes, i8x16.splat(15)), t0, t1, t2, t3, scale, to + 32, 64, 128, 192);
}
