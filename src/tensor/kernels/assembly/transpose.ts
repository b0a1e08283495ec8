/** out = xᵀ. x: (rows, columns). Four by four at a time, and the margins one by one. */
export function transpose(x: usize, out: usize, rows: i32, columns: i32): void {
  const wholeRows = rows & ~3;
  const wholeColumns = columns & ~3;
  const row = <usize>columns << 2; // bytes from one row to the next
  const column = <usize>rows << 2; // the same in what is written
  for (let r = 0; r < wholeRows; r += 4) {
    for (let c = 0; c < wholeColumns; c += 4) {
      const from = x + <usize>r * row + (<usize>c << 2);
      const w = v128.load(from);
      const y = v128.load(from + row);
      const z = v128.load(from + 2 * row);
      const u = v128.load(from + 3 * row);
      const wyLow = v128.shuffle<f32>(w, y, 0, 4, 1, 5);
      const wyHigh = v128.shuffle<f32>(w, y, 2, 6, 3, 7);
      const zuLow = v128.shuffle<f32>(z, u, 0, 4, 1, 5);
      const zuHigh = v128.shuffle<f32>(z, u, 2, 6, 3, 7);
      const to = out + <usize>c * column + (<usize>r << 2);
      v128.store(to, v128.shuffle<f32>(wyLow, zuLow, 0, 1, 4, 5));
      v128.store(to + column, v128.shuffle<f32>(wyLow, zuLow, 2, 3, 6, 7));
      v128.store(to + 2 * column, v128.shuffle<f32>(wyHigh, zuHigh, 0, 1, 4, 5));
      v128.store(to + 3 * column, v128.shuffle<f32>(wyHigh, zuHigh, 2, 3, 6, 7));
    }
  }
  for (let r = 0; r < rows; r++) {
    for (let c = r < wholeRows ? wholeColumns : 0; c < columns; c++) {
      store<f32>(out + <usize>c * column + (<usize>r << 2), load<f32>(x + <usize>r * row + (<usize>c << 2)));
    }
  }
}
