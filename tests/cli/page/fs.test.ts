import { beforeEach, describe, expect, it } from 'vitest';
import * as fs from '../../../src/cli/page/fs.ts';

const text = (value: string) => new TextEncoder().encode(value);

describe("the page's files", () => {
  beforeEach(() => {
    fs.rmSync('modelo');
    fs.carry(new Map([['modelo/config.json', text('{"a":1}')], ['modelo/dentro/b', text('b')]]));
  });

  it('are found by path, from the root or not, and by address', () => {
    const paths = ['modelo/config.json', '/modelo/config.json', new URL('file:///modelo/config.json')];
    for (const path of paths) expect(fs.readFileSync(path, 'utf8')).toBe('{"a":1}');
  });

  it('make the folders that they are in', () => {
    expect([fs.existsSync('modelo'), fs.existsSync('mode')]).toEqual([true, false]);
    expect(fs.readdirSync('modelo')).toEqual(['config.json', 'dentro/b']);
  });

  it('are missing as in Node, with a code that tells', () => {
    expect(() => fs.openSync('modelo/nada', 'r')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  it('are read on from where the last read ended, or from a place', () => {
    const file = fs.openSync('modelo/config.json', 'r');
    const bytes = new Uint8Array(3);
    const next = (position?: number) =>
      new TextDecoder().decode(bytes.subarray(0, fs.readSync(file, bytes, 0, 3, position)));
    expect([next(), next(1), next(), next(), next()]).toEqual(['{"a', '"a"', '":1', '}', '']);
    fs.closeSync(file);
  });

  it('are written, in order and in the middle, and grow', () => {
    const file = fs.openSync('modelo/nuevo', 'wx');
    for (const part of ['uno', 'dos']) fs.writeSync(file, text(part));
    fs.writeSync(file, text('XX'), 0, 2, 5);
    fs.renameSync('modelo/nuevo', 'modelo/otro');
    expect(fs.readFileSync('modelo/otro', 'utf8')).toBe('unodoXX');
    expect(fs.existsSync('modelo/nuevo')).toBe(false);
  });

  it('are copied out: what is changed of them does not change them', () => {
    (fs.readFileSync('modelo/config.json') as Uint8Array).fill(0);
    expect(fs.readFileSync('modelo/config.json', 'utf8')).toBe('{"a":1}');
  });

  it('keeps a file for who has it open, after its name is gone', () => {
    const file = fs.openSync('modelo/hojas', 'wx+');
    fs.rmSync('modelo/hojas');
    expect(fs.existsSync('modelo/hojas')).toBe(false);
    fs.writeSync(file, Uint8Array.of(1, 2, 3), 0, 3, 4);
    const back = new Uint8Array(3);
    fs.readSync(file, back, 0, 3, 4);
    expect([...back]).toEqual([1, 2, 3]);
  });
});
