import * as fs from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { beginFolder, readJson, writeFileAtomic } from '../../src/checkpoint/files.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

// Every call goes to the real disk, but for those that a test breaks.
vi.mock('node:fs', { spy: true });
afterEach(() => vi.resetAllMocks());

const disk = await vi.importActual<typeof fs>('node:fs');
const at = temporaryFolder();

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe('writeFileAtomic', () => {
  it('writes text, bytes or pieces, makes the folder, and leaves nothing beside', () => {
    writeFileAtomic(at('new', 'deep', 'text'), 'año «1»');
    writeFileAtomic(at('new', 'deep', 'bytes'), Uint8Array.of(1, 2));
    writeFileAtomic(at('new', 'deep', 'pieces'), [Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)]);
    expect(fs.readFileSync(at('new', 'deep', 'text'), 'utf8')).toBe('año «1»');
    expect([...fs.readFileSync(at('new', 'deep', 'bytes'))]).toEqual([1, 2]);
    expect([...fs.readFileSync(at('new', 'deep', 'pieces'))]).toEqual([1, 2, 3]);
    expect(fs.readdirSync(at('new', 'deep')).sort()).toEqual(['bytes', 'pieces', 'text']);
  });

  it('goes on when the system writes less than asked', () => {
    vi.mocked(fs.writeSync).mockImplementation(((file: number, bytes: Uint8Array, offset: number, length: number) =>
      disk.writeSync(file, bytes, offset, Math.min(length, 3))) as typeof fs.writeSync);
    writeFileAtomic(at('slow'), 'once upon a time');
    expect(fs.readFileSync(at('slow'), 'utf8')).toBe('once upon a time');
  });

  it.each([
    ['ENOSPC', 'writeSync', 'No queda espacio'],
    ['ENOSPC', 'fsyncSync', 'No queda espacio'],
    ['EDQUOT', 'writeSync', 'No queda espacio'],
    ['EACCES', 'openSync', 'No hay permiso'],
    ['EROFS', 'mkdirSync', 'No hay permiso'],
    ['EPERM', 'renameSync', 'No hay permiso'],
  ] as const)('answers %s of %s with a sentence, and leaves what stood there as it was', (code, call, says) => {
    const folder = at(`${code}-${call}`);
    fs.mkdirSync(folder);
    fs.writeFileSync(`${folder}/kept`, 'before');
    vi.mocked(fs[call]).mockImplementationOnce(() => { throw systemError(code); });
    const message = userErrorOf(() => writeFileAtomic(`${folder}/kept`, 'after'), `${folder}/kept`);
    expect(message).toContain(says);
    expect(message).toContain('a medio escribir');
    expect(fs.readdirSync(folder)).toEqual(['kept']);
    expect(fs.readFileSync(`${folder}/kept`, 'utf8')).toBe('before');
  });

  it('stops in the middle of the pieces when the disk fills up', () => {
    let calls = 0;
    vi.mocked(fs.writeSync).mockImplementation(((file: number, bytes: Uint8Array, offset: number, length: number) => {
      if (++calls === 2) throw systemError('ENOSPC');
      return disk.writeSync(file, bytes, offset, length);
    }) as typeof fs.writeSync);
    fs.mkdirSync(at('full'));
    userErrorOf(() => writeFileAtomic(at('full', 'x'), [Uint8Array.of(1), Uint8Array.of(2)]), at('full', 'x'));
    expect(calls).toBe(2);
    expect(fs.readdirSync(at('full'))).toEqual([]);
  });

  it('refuses a folder\'s place, and a folder that is a file', () => {
    fs.mkdirSync(at('taken', 'inner'), { recursive: true });
    fs.writeFileSync(at('plain'), '');
    userErrorOf(() => writeFileAtomic(at('taken'), 'x'), at('taken'));
    userErrorOf(() => writeFileAtomic(at('plain', 'x'), 'x'), at('plain', 'x'));
    expect(fs.readdirSync(at('taken'))).toEqual(['inner']);
    expect(fs.readdirSync(at('.')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('lets an error that it does not know pass, and still cleans up', () => {
    vi.mocked(fs.writeSync).mockImplementationOnce(() => { throw systemError('EIO'); });
    expect(() => writeFileAtomic(at('eio'), 'x')).toThrow('EIO');
    expect(fs.existsSync(at('eio'))).toBe(false);
  });
});

describe('a folder that appears whole or not at all', () => {
  it('is in its place once it is committed, and only then', () => {
    const folder = beginFolder(at('above', 'whole'));
    fs.writeFileSync(`${folder.path}/a`, 'x');
    expect(fs.existsSync(at('above', 'whole'))).toBe(false);
    folder.commit();
    folder.discard(); // too late
    expect(fs.readdirSync(at('above'))).toEqual(['whole']);
    expect(fs.readdirSync(at('above', 'whole'))).toEqual(['a']);
  });

  it('leaves nothing when it is discarded', () => {
    const folder = beginFolder(at('given-up', 'x'));
    fs.writeFileSync(`${folder.path}/a`, 'x');
    folder.discard();
    expect(fs.readdirSync(at('given-up'))).toEqual([]);
  });

  it('takes the place of an empty folder, and of nothing else', () => {
    fs.mkdirSync(at('empty'));
    beginFolder(at('empty')).commit();
    fs.writeFileSync(at('empty', 'kept'), '');
    fs.writeFileSync(at('file'), '');
    for (const path of [at('empty'), at('file')]) {
      expect(userErrorOf(() => beginFolder(path), path)).toContain('ya existe');
    }
    vi.mocked(fs.mkdirSync).mockImplementationOnce(() => { throw systemError('EACCES'); });
    expect(userErrorOf(() => beginFolder(at('closed')), at('closed'))).toContain('No hay permiso');
  });
});

describe('readJson', () => {
  const schema = z.object({ r: z.int(), nested: z.object({ name: z.string() }).optional() });

  it('gives what the schema makes of the file', () => {
    fs.writeFileSync(at('good.json'), '{"r": 16, "more": 1}');
    expect(readJson(at('good.json'), schema)).toEqual({ r: 16 });
  });

  it.each([
    ['{"r": "16"}', '(«r» es «16» y se esperaba un número): corrígelo'],
    ['{}', '(falta «r» y se esperaba un número)'],
    ['{"r": 1, "nested": {"name": 5}}', '(«nested.name» es 5 y se esperaba un texto)'],
    ['[]', '(es una lista y se esperaba un objeto)'],
    ['{"r": ', 'JSON'],
    ['', 'JSON'],
  ])('refuses %s', (text, says) => {
    fs.writeFileSync(at('bad.json'), text);
    expect(userErrorOf(() => readJson(at('bad.json'), schema), at('bad.json'))).toContain(says);
  });

  it('refuses a file that is missing, or is a folder, or lies in what is none', () => {
    expect(userErrorOf(() => readJson(at('none.json'), schema), at('none.json'))).toContain('No existe');
    fs.writeFileSync(at('README.md'), '');
    for (const below of [at('README.md', 'config.json'), at('README.md', 'adapter', 'config.json')]) {
      expect(userErrorOf(() => readJson(below, schema), at('README.md')))
        .toContain(`«${at('README.md')}» es un archivo y se esperaba una carpeta`);
    }
    userErrorOf(() => readJson(at('.'), schema), at('.'));
  });
});
