import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toBfloat16 } from '../../src/checkpoint/halves.ts';
import { readSafetensors, SafetensorsWriter, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { Random } from '../../src/random.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();
const golden = join(import.meta.dirname, '../golden/bnb-4bit-tiny/model.safetensors');

/** A file with any header, fit or not, and so many bytes after it. */
function writeRaw(path: string, header: string | Buffer | object, dataBytes: number): void {
  const json = Buffer.isBuffer(header) ? header : Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
}

function f32(...offsets: number[]): object {
  return { dtype: 'F32', shape: [2], data_offsets: offsets };
}

describe('a safetensors file', () => {
  it('written again from what was read is the reference library\'s file, byte for byte', () => {
    const file = readSafetensors(golden);
    const tensors: Record<string, TensorData> = {};
    for (const name of file.names().reverse()) tensors[name] = { ...file.entry(name), data: file.bytes(name) };
    writeSafetensors(at('again.safetensors'), tensors, file.metadata);
    expect(readFileSync(at('again.safetensors')).equals(readFileSync(golden))).toBe(true);
    expect(file.metadata).toEqual({ format: 'pt' });
  });

  it('gives back types, shapes and values, whatever the order and the names', () => {
    const path = at('mixed.safetensors');
    const half = Float32Array.of(1.5, -2, 0.25);
    writeSafetensors(path, {
      'z.u8': { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
      'ñandú «1»': { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      '7': { dtype: 'BF16', shape: [3], data: toBfloat16(half) },
      'empty': { dtype: 'F32', shape: [0, 5], data: new Float32Array(0) },
      'scalar': { dtype: 'I32', shape: [], data: Int32Array.of(-9) },
    });
    const file = readSafetensors(path);
    expect(file.names().sort()).toEqual(['7', 'empty', 'scalar', 'z.u8', 'ñandú «1»']);
    expect(file.entry('ñandú «1»')).toMatchObject({ dtype: 'F32', shape: [2, 2] });
    expect([...file.float32('ñandú «1»')]).toEqual([1, 2, 3, 4]);
    expect(file.float32('7')).toEqual(half);
    expect(file.float32('empty')).toHaveLength(0);
    expect([...file.bytes('z.u8')]).toEqual([1, 2, 3]);
    expect([...file.bytes('scalar')]).toEqual([0xf7, 0xff, 0xff, 0xff]);
    expect(file.metadata).toEqual({});
    expect(file.has('z.u8')).toBe(true);
    expect(file.has('z')).toBe(false);
  });

  it('may say that it has no metadata', () => {
    writeRaw(at('null.safetensors'), { __metadata__: null, a: f32(0, 8) }, 8);
    expect(readSafetensors(at('null.safetensors')).metadata).toEqual({});
  });

  it('has a header padded with spaces to a multiple of eight', () => {
    for (const name of ['a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg', 'abcdefgh']) {
      writeSafetensors(at('padded.safetensors'), { [name]: { dtype: 'U8', shape: [1], data: Uint8Array.of(7) } });
      const bytes = readFileSync(at('padded.safetensors'));
      const length = Number(bytes.readBigUInt64LE());
      expect(length % 8).toBe(0);
      expect(bytes.subarray(8, 8 + length).toString()).toMatch(/^\{.*\} {0,7}$/);
    }
  });

  it('is read one tensor at a time: what the others hold does not matter any more', () => {
    const path = at('lazy.safetensors');
    writeSafetensors(path, {
      a: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) },
      b: { dtype: 'F32', shape: [2], data: Float32Array.of(3, 4) },
    });
    const file = readSafetensors(path);
    writeFileSync(path, readFileSync(path).subarray(0, -8)); // b is lost after the header was read
    expect([...file.float32('a')]).toEqual([1, 2]);
    expect(userErrorOf(() => file.float32('b'), path)).toContain('cortado');
  });

  it('widens every float16 exactly', () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
    writeSafetensors(at('half.safetensors'), { x: { dtype: 'F16', shape: [65536], data: halves } });
    const wide = readSafetensors(at('half.safetensors')).float32('x');
    const wrong = [...halves].filter((half) => {
      const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
      const special = fraction ? NaN : sign * Infinity;
      const normal = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
      const subnormal = sign * fraction * 2 ** -24;
      return !Object.is(wide[half], exponent === 31 ? special : exponent === 0 ? subnormal : normal);
    });
    expect(wrong).toEqual([]);
  });
});

describe('a file written one tensor after another', () => {
  const pieces = [Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5, 6, 7, 8)];

  it('is read back, and every tensor of a type lies on a multiple of its width', () => {
    rmSync(at('written.safetensors'), { force: true });
    const writer = new SafetensorsWriter(at('written.safetensors'), 1001, { format: 'pt' });
    writer.add('odd', { dtype: 'U8', shape: [3] }, [Uint8Array.of(7, 8), Uint8Array.of(9)]);
    writer.add('whole', { dtype: 'F32', shape: [2] }, pieces);
    writer.add('single', { dtype: 'F32', shape: [1] }, [pieces[0]!]);
    expect(writer.size).toBe(3 + 8 + 4);
    writer.close();
    const file = readSafetensors(at('written.safetensors'));
    expect([...file.bytes('whole')]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...file.bytes('single')]).toEqual([1, 2, 3, 4]);
    expect([...file.bytes('odd')]).toEqual([7, 8, 9]);
    expect(file.metadata).toEqual({ format: 'pt' });
    const bytes = readFileSync(at('written.safetensors'));
    expect(bytes).toHaveLength(1008 + 15);
    for (const name of ['whole', 'single']) {
      expect(bytes.indexOf(file.bytes(name)) % 4, name).toBe(0);
    }
  });

  it('is none before it is closed, and never one that does not fit', () => {
    rmSync(at('open.safetensors'), { force: true });
    const writer = new SafetensorsWriter(at('open.safetensors'), 48, {});
    writer.add('a', { dtype: 'F32', shape: [2] }, pieces);
    userErrorOf(() => readSafetensors(at('open.safetensors')), at('open.safetensors'));
    expect(() => writer.add('b', { dtype: 'F32', shape: [2] }, [pieces[0]!])).toThrow(RangeError);
    expect(() => writer.close()).toThrow(RangeError); // the entry alone is longer than 48 bytes
    writer.abandon();
    writer.abandon();
    userErrorOf(() => new SafetensorsWriter(at('open.safetensors'), 48, {}), at('open.safetensors')); // it is there
  });
});

describe('a damaged safetensors file is refused in one sentence', () => {
  it('missing, or a folder', () => {
    expect(userErrorOf(() => readSafetensors(at('none.safetensors')), at('none.safetensors'))).toContain('No existe');
    expect(userErrorOf(() => readSafetensors(at('.')), at('.'))).toContain('carpeta');
  });

  it('cut anywhere', () => {
    const whole = readFileSync(golden);
    const path = at('cut.safetensors');
    const random = Random.for(5, 'cut');
    const headerEnd = 8 + Number(whole.readBigUInt64LE());
    const cuts = [0, 1, 7, 8, 9, headerEnd - 1, headerEnd, headerEnd + 1, whole.length - 1];
    for (let i = 0; i < 40; i++) cuts.push(random.below(whole.length));
    for (const cut of cuts) {
      writeFileSync(path, whole.subarray(0, cut));
      userErrorOf(() => readSafetensors(path), path);
    }
  });

  it('with any byte of a small header changed: refused, or read without another kind of error', () => {
    const path = at('flipped.safetensors');
    writeSafetensors(path, { ab: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } }, { format: 'pt' });
    const whole = readFileSync(path);
    const random = Random.for(6, 'flip');
    let refused = 0;
    for (let i = 0; i < whole.length - 8; i++) {
      const bytes = Buffer.from(whole);
      bytes[i] = bytes[i]! ^ (1 + random.below(255));
      writeFileSync(path, bytes);
      try {
        const file = readSafetensors(path);
        for (const name of file.names()) file.bytes(name);
      } catch {
        refused += 1;
        userErrorOf(() => readSafetensors(path), path);
      }
    }
    expect(refused).toBeGreaterThan(whole.length / 2);
  });

  it.each([
    ['no JSON', '{"a":', 8, 'JSON'],
    ['a list', '[]', 0, 'JSON'],
    ['an unknown type', { a: { dtype: 'F31', shape: [2], data_offsets: [0, 8] } }, 8, '«a»'],
    ['a negative shape', { a: { dtype: 'F32', shape: [-2], data_offsets: [0, 8] } }, 8, '«a»'],
    ['a fractional offset', { a: { dtype: 'F32', shape: [2], data_offsets: [0.5, 8] } }, 8, '«a»'],
    ['no offsets', { a: { dtype: 'F32', shape: [2] } }, 8, '«a»'],
    ['metadata that are no texts', { __metadata__: { step: 3 }, a: f32(0, 8) }, 8, 'metadatos'],
    ['a size that is not the shape\'s', { a: f32(0, 12) }, 12, '12 bytes'],
    ['an end before its beginning', { a: f32(8, 0) }, 8, '-8 bytes'],
    ['tensors that overlap', { a: f32(0, 8), b: f32(4, 12) }, 12, 'solapa'],
    ['tensors in the same place', { a: f32(0, 8), b: f32(0, 8) }, 8, 'solapa'],
    ['a gap', { a: f32(0, 8), b: f32(12, 20) }, 20, 'hueco'],
    ['an end beyond the file', { a: f32(0, 8), b: f32(8, 16) }, 12, 'cortado'],
    ['bytes too many', { a: f32(0, 8) }, 9, 'sobran 1 bytes'],
  ])('with %s', (_what, header, dataBytes, says) => {
    writeRaw(at('bad.safetensors'), header, dataBytes);
    expect(userErrorOf(() => readSafetensors(at('bad.safetensors')), at('bad.safetensors'))).toContain(says);
  });

  it('with a tensor of a type that is not read here: the file is well, and its type is named', () => {
    writeRaw(at('f8.safetensors'), { a: { dtype: 'F8_E4M3', shape: [2], data_offsets: [0, 2] } }, 2);
    const message = userErrorOf(() => readSafetensors(at('f8.safetensors')), at('f8.safetensors'));
    expect(message).toMatch(/«a» es F8_E4M3, que aquí no se lee.* F16, BF16.*: usa un modelo/);
    expect(message).not.toContain('válido');
  });

  it('whose header is not UTF-8', () => {
    writeRaw(at('bad.safetensors'), Buffer.from('{"a\xff":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 'latin1'), 0);
    expect(() => readSafetensors(at('bad.safetensors'))).toThrow(/UTF-8/);
  });

  it('whose header says that it is longer than the file, or than any header', () => {
    for (const length of [3n, 99n, 2n ** 40n, 2n ** 64n - 1n]) {
      const bytes = Buffer.alloc(10, ' ');
      bytes.writeBigUInt64LE(length);
      writeFileSync(at('long.safetensors'), bytes);
      expect(userErrorOf(() => readSafetensors(at('long.safetensors')), at('long.safetensors'))).toContain(`${Number(length)} bytes`);
    }
  });
});

describe('a tensor that is not as expected is refused in one sentence', () => {
  it('absent, or of whole numbers where real ones are asked for', () => {
    const path = at('ids.safetensors');
    writeSafetensors(path, { ids: { dtype: 'I32', shape: [1], data: Int32Array.of(1) } });
    const file = readSafetensors(path);
    expect(userErrorOf(() => file.bytes('weights'), path)).toContain('«weights»');
    expect(userErrorOf(() => file.entry('toString'), path)).toContain('«toString»');
    expect(userErrorOf(() => file.float32('ids'), path)).toContain('I32');
  });

  it('with bytes that do not fill its shape: nothing is written', () => {
    rmSync(at('short.safetensors'), { force: true });
    const short = { a: { dtype: 'F32', shape: [3], data: Float32Array.of(1, 2) } } as const;
    expect(() => writeSafetensors(at('short.safetensors'), short)).toThrow(RangeError);
    expect(readdirSync(at('.')).filter((name) => name.startsWith('short'))).toEqual([]);
  });
});
