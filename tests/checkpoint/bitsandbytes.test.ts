import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readQuantized, weightNames, writeQuantized } from '../../src/checkpoint/bitsandbytes.ts';
import type { SavedWeight } from '../../src/checkpoint/bitsandbytes.ts';
import { float32Of, readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { byteLength, dequantize, quantize } from '../../src/quant/quantize.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();
const golden = readSafetensors(join(import.meta.dirname, '../golden/bnb-4bit-tiny/model.safetensors'));

/** The 4-bit weights of the checkpoint and their shapes, from its config.json. */
const shapes: Record<string, number[]> = {};
for (const layer of [0, 1]) {
  for (const [name, shape] of Object.entries({
    'self_attn.q_proj': [128, 128], 'self_attn.k_proj': [64, 128], 'self_attn.v_proj': [64, 128],
    'self_attn.o_proj': [128, 128], 'mlp.gate_proj': [352, 128], 'mlp.up_proj': [352, 128], 'mlp.down_proj': [128, 352],
  })) shapes[`model.layers.${layer}.${name}.weight`] = shape;
}
const weight = 'model.layers.1.mlp.down_proj.weight';
const state = `${weight}.quant_state.bitsandbytes__nf4`;

function saved(name: string): SavedWeight {
  const found = readQuantized(golden, name);
  if (found === undefined) throw new Error(`${name} is not in 4 bits`);
  return found;
}

describe('a checkpoint written by bitsandbytes', () => {
  it('names each weight once', () => {
    const wide = [
      'model.embed_tokens.weight', 'model.norm.weight', 'lm_head.weight',
      ...[0, 1].flatMap((i) => ['input_layernorm', 'post_attention_layernorm'].map((name) => `model.layers.${i}.${name}.weight`)),
    ];
    expect(weightNames(golden.names()).sort()).toEqual([...Object.keys(shapes), ...wide].sort());
    for (const name of wide) expect(readQuantized(golden, name)).toBeUndefined();
  });

  it.each(Object.entries(shapes))('gives %s its shape and values of the right spread', (name, shape) => {
    const { tensor, dtype } = saved(name);
    expect(tensor).toMatchObject({ shape, quantType: 'nf4', blockSize: 64 });
    expect(dtype).toBe('bfloat16');
    const values = dequantize(tensor);
    expect(values).toHaveLength(shape[0]! * shape[1]!);
    const squares = values.reduce((sum, value) => sum + value * value, 0);
    expect(Math.sqrt(squares / values.length)).toBeGreaterThan(0.01);
    expect(Math.sqrt(squares / values.length)).toBeLessThan(0.1);
  });

  it('dequantises as the tables in the file say, to the last bit', () => {
    const table = float32Of(golden, `${weight}.quant_map`);
    const map = float32Of(golden, `${weight}.nested_quant_map`);
    const nested = float32Of(golden, `${weight}.nested_absmax`);
    const codes = golden.bytes(`${weight}.absmax`);
    const packed = golden.bytes(weight);
    const json = Buffer.from(golden.bytes(state)).toString();
    const { nested_offset: offset } = JSON.parse(json) as { nested_offset: number };
    const expected = Float32Array.from({ length: 128 * 352 }, (_, i) => {
      const block = i >> 6;
      const scale = Math.fround(Math.fround(map[codes[block]!]! * nested[block >> 8]!) + offset);
      return table[i % 2 === 0 ? packed[i >> 1]! >> 4 : packed[i >> 1]! & 15]! * scale;
    });
    expect(dequantize(saved(weight).tensor)).toEqual(expected);
  });

  it.each(Object.keys(shapes))('writes %s and its satellites back to the same bytes', (name) => {
    const written = writeQuantized(name, saved(name));
    const names = golden.names().filter((other) => other.startsWith(name));
    expect(Object.keys(written).sort()).toEqual(names.sort());
    for (const [key, { dtype, shape, data }] of Object.entries(written)) {
      expect({ key, dtype, shape }).toEqual({ key, dtype: golden.entry(key).dtype, shape: golden.entry(key).shape });
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      expect(bytes.equals(golden.bytes(key)), key).toBe(true);
    }
  });
});

describe('the weights that bitsandbytes quantised for that checkpoint, quantised here', () => {
  const original = readSafetensors(join(import.meta.dirname, '../golden/bnb-4bit-tiny/original.safetensors'));

  // Its native library finds the code of a scale in a table of 65,536 bins, and may miss the nearest by one.
  it.each([
    ['mlp.down_proj', 704, 5],
    ['mlp.gate_proj', 704, 1],
    ['self_attn.k_proj', 128, 0],
  ])('%s: equal to the last bit, but for codes of its %i scales of which %i are a neighbour', (module, scales, neighbours) => {
    const name = `model.layers.1.${module}.weight`;
    const ours = writeQuantized(name, {
      tensor: quantize(original.float32(name), original.entry(name).shape), dtype: 'bfloat16',
    });
    for (const [key, { data }] of Object.entries(ours)) {
      if (key === `${name}.absmax`) continue;
      expect(Buffer.from(data.buffer, data.byteOffset, data.byteLength).equals(golden.bytes(key)), key).toBe(true);
    }
    const codes = golden.bytes(`${name}.absmax`);
    const distances = Array.from(ours[`${name}.absmax`]!.data, (code, i) => Math.abs(code - codes[i]!));
    expect(distances).toHaveLength(scales);
    expect(Math.max(...distances)).toBeLessThanOrEqual(1);
    expect(distances.filter((distance) => distance > 0)).toHaveLength(neighbours);
  });
});

describe('a weight of our own', () => {
  const values = Float32Array.from({ length: 24 * 33 }, (_, i) => Math.sin(i) / 50);

  it.each([
    ['nf4', true], ['nf4', false], ['fp4', true], ['fp4', false],
  ] as const)('in %s, double quantisation %s, is read back as it was written', (quantType, doubleQuant) => {
    const tensor = quantize(values, [24, 33], { quantType, doubleQuant });
    writeSafetensors(at('ours.safetensors'), writeQuantized('w', { tensor, dtype: 'float32' }));
    const file = readSafetensors(at('ours.safetensors'));
    expect(weightNames(file.names())).toEqual(['w']);
    expect(readQuantized(file, 'w')).toEqual({ tensor, dtype: 'float32' });
    expect(file.has('w.nested_absmax')).toBe(doubleQuant);
  });

  it('is read from bytes that are stored under the name of a wider type', () => {
    const tensor = quantize(values.subarray(0, 128), [2, 64]);
    const written = writeQuantized('w', { tensor, dtype: 'bfloat16' });
    writeSafetensors(at('wide.safetensors'), { ...written, w: { dtype: 'BF16', shape: [32, 1], data: tensor.packed } });
    expect(readQuantized(readSafetensors(at('wide.safetensors')), 'w')?.tensor).toEqual(tensor);
  });

  it('cannot be in int4', () => {
    const tensor = quantize(values, [24, 33], { quantType: 'int4' });
    expect(() => writeQuantized('w', { tensor, dtype: 'float32' })).toThrow(RangeError);
  });
});

describe('a 4-bit weight that is not whole is refused in one sentence', () => {
  const good = writeQuantized('w', { tensor: quantize(new Float32Array(200).fill(0.5), [2, 100]), dtype: 'bfloat16' });
  const key = 'w.quant_state.bitsandbytes__nf4';

  function text(change: (fields: Record<string, unknown>) => void): TensorData {
    const fields = JSON.parse(Buffer.from(good[key]!.data as Uint8Array).toString()) as Record<string, unknown>;
    change(fields);
    const data = Buffer.from(JSON.stringify(fields));
    return { dtype: 'U8', shape: [data.length], data };
  }

  const notJson = Uint8Array.of(123, 34);
  it.each<[string, Record<string, TensorData | undefined>, string]>([
    ['its JSON', { [key]: { dtype: 'U8', shape: [2], data: notJson } }, key],
    ['its type', { [key]: text((fields) => { fields['quant_type'] = 'nf3'; }) }, 'quant_type'],
    ['its block size', { [key]: text((fields) => { fields['blocksize'] = 48; }) }, 'blocksize'],
    ['its shape', { [key]: text((fields) => { fields['shape'] = [2, 101]; }) }, 'se esperaban 101'],
    ['its offset', { [key]: text((fields) => { delete fields['nested_offset']; }) }, 'nested_offset'],
    ['its scales, absent', { 'w.absmax': undefined }, '«w.absmax»'],
    ['its scales, that are no numbers', {
      'w.nested_absmax': { dtype: 'F32', shape: [1], data: Float32Array.of(NaN) },
    }, '«w.nested_absmax» tiene valores que no son números'],
    ['its scales, too few', { 'w.absmax': { dtype: 'U8', shape: [3], data: new Uint8Array(3) } }, '«w.absmax»'],
    ['its scales, of another type', { 'w.absmax': { dtype: 'F32', shape: [4], data: new Float32Array(4) } }, 'U8'],
    ['its second scales', { 'w.nested_absmax': { dtype: 'F32', shape: [2], data: new Float32Array(2) } }, '«w.nested_absmax»'],
    ['its table', { 'w.quant_map': { dtype: 'F32', shape: [16], data: new Float32Array(16) } }, '«w.quant_map»'],
    ['its second table', { 'w.nested_quant_map': { dtype: 'F32', shape: [1], data: new Float32Array(1) } }, '«w.nested_quant_map»'],
    ['its packed values', { w: { dtype: 'U8', shape: [99, 1], data: new Uint8Array(99) } }, '«w»'],
  ])('%s', (_what, change, says) => {
    const tensors: Record<string, TensorData> = {};
    for (const [name, data] of Object.entries({ ...good, ...change })) if (data !== undefined) tensors[name] = data;
    writeSafetensors(at('bad.safetensors'), tensors);
    const file = readSafetensors(at('bad.safetensors'));
    expect(userErrorOf(() => readQuantized(file, 'w'), at('bad.safetensors'))).toContain(says);
  });
});

describe('the checkpoint\'s matrices', () => {
  it('hold as many bytes as the file has', () => {
    const tensors = Object.keys(shapes).map((name) => saved(name).tensor);
    const bytes = Object.keys(shapes).flatMap((name) => ['', '.absmax', '.nested_absmax'].map((suffix) => golden.bytes(name + suffix).length));
    const offsets = 4 * tensors.length;
    const held = tensors.reduce((sum, tensor) => sum + byteLength(tensor), 0);
    expect(held).toBe(bytes.reduce((a, b) => a + b, 0) + offsets);
  });
});
