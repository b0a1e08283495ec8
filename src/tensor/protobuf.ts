/**
 * The wire format of Protocol Buffers, as much of it as a TensorFlow graph needs: a message is its fields, one after
 * another.
 */

export type Field = Uint8Array;

/** A number: int32, int64, bool or enum. */
export function integer(field: number, value: number): Field {
  return Uint8Array.from([...varint(field << 3), ...varint(value)]);
}

export function float(field: number, value: number): Field {
  const bytes = new Uint8Array(5);
  bytes[0] = field << 3 | 5;
  new DataView(bytes.buffer).setFloat32(1, value, true);
  return bytes;
}

/** A text, bytes, or another message. */
export function bytes(field: number, value: string | Uint8Array | readonly Field[]): Field {
  const content = value instanceof Uint8Array ? value : Buffer.from(typeof value === 'string' ? value : Buffer.concat(value));
  return Buffer.concat([Uint8Array.from([...varint(field << 3 | 2), ...varint(content.length)]), content]);
}

/** Integers in a row, packed. */
export function integers(field: number, values: readonly number[]): Field {
  return bytes(field, Uint8Array.from(values.flatMap(varint)));
}

/** Seven bits a byte, the lowest first; a negative number as the 64 bits of its two's complement. */
function varint(value: number): number[] {
  const digits: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) digits.push(Number(rest & 127n) | 128);
  return [...digits, Number(rest)];
}
