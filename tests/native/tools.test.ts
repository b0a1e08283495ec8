import { chmodSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { findCompiler, findNodeHeaders, findPython, output, required, run } from '../../src/native/tools.ts';
import { temporaryFolder } from '../temporary.ts';

const folder = temporaryFolder();
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const sh = (script: string, options = {}) => run('/bin/sh', ['-c', script], options);

/** A command of its own folder, which is then all that PATH has, beside the system's shell. */
function commands(name: string, scripts: Record<string, string>): string {
  mkdirSync(folder(name));
  for (const [command, script] of Object.entries(scripts)) {
    writeFileSync(folder(name, command), `#!/bin/sh\n${script}\n`);
    chmodSync(folder(name, command), 0o755);
  }
  vi.stubEnv('PATH', folder(name));
  return folder(name);
}

describe('a command that is run', () => {
  it('is heard line by line, in its folder and with its environment beside ours', async () => {
    const lines: string[] = [];
    vi.stubEnv('OURS', 'nuestra');
    const outcome = await sh('pwd; printf "$OURS "; sleep 0.02; echo "$ITS"; printf \'\\n\'', {
      cwd: folder(), env: { ITS: 'suya' }, line: (line: string) => lines.push(line),
    });
    expect(outcome.ok).toBe(true);
    expect(lines).toEqual([realpathSync(folder()), 'nuestra suya', '']);
  });

  it.each([
    ['its last line about an error', 'echo uno >&2; echo "ERROR: dos" >&2; echo "an error: tres" >&2; echo cuatro >&2; exit 1', 'an error: tres'],
    ['or just the last', 'echo uno >&2; echo terror >&2; exit 2', 'terror'],
    ['or how it ended', 'exit 3', 'termina con 3'],
    ['or what ended it, whatever it said', 'echo error >&2; kill -9 $$', 'termina con SIGKILL'],
  ])('tells why it ended badly: %s', async (_, script, reason) => {
    expect(await sh(script)).toEqual({ ok: false, reason });
  });

  it('ends badly where there is none', async () => {
    expect(await run('/nowhere/command', [])).toEqual({ ok: false, reason: 'spawn /nowhere/command ENOENT' });
  });

  it('is stopped by its signal', async () => {
    const stop = new AbortController();
    const stopped = sh('exec sleep 30', { signal: stop.signal });
    stop.abort();
    expect((await stopped).ok).toBe(false);
  });
});

describe('what a command prints', () => {
  it('is what it prints on either stream; nothing of one that fails or is not there', () => {
    const of = (script: string) => output('/bin/sh', ['-c', script]);
    expect([of('echo " uno "; echo dos >&2'), of('echo dos >&2'), of('echo uno; exit 1')]).toEqual(['uno', 'dos', undefined]);
    expect(output('/nowhere/command', [])).toBeUndefined();
  });
});

const python = (version: string, pip = 'echo "pip 24.0 from /x"') => `[ "$1" = -c ] && echo ${version} && exit\n${pip}`;

describe('the Python that is found', () => {
  it('is the first of the system that is recent enough, with its pip', () => {
    commands('pythons', { python3: python('3.7'), python: python('3.8') });
    expect(findPython()).toEqual({ command: 'python', version: '3.8', pip: '24.0' });
  });

  it('is that of PYTHON alone, if it says one', () => {
    vi.stubEnv('PYTHON', `${commands('mine', { python3: python('3.12'), old: python('2.9') })}/old`);
    expect(findPython().lack).toBe(`no hay Python 3.8 o posterior (${folder('mine', 'old')}): instala python3 y python3-pip`);
    vi.stubEnv('PYTHON', folder('mine', 'python3'));
    expect(findPython()).toMatchObject({ command: folder('mine', 'python3'), version: '3.12' });
  });

  it('has to have pip', () => {
    commands('bare', { python3: python('3.11', 'echo "No module named pip" >&2; exit 1') });
    expect(findPython().lack).toBe('«python3» (Python 3.11) no tiene pip: instala python3-pip');
  });
});

describe('the compiler that is found', () => {
  it('is the first of the system, by the first line of what it says of itself; or that of CXX alone', () => {
    commands('compilers', { 'g++': 'echo "g++ 13"; echo more', 'clang++': 'echo "clang 18"' });
    expect(findCompiler()).toEqual({ command: 'g++', version: 'g++ 13' });
    vi.stubEnv('CXX', 'clang++');
    expect(findCompiler()).toEqual({ command: 'clang++', version: 'clang 18' });
    vi.stubEnv('CXX', 'icc');
    expect(findCompiler().lack).toContain('no hay compilador de C++ (icc): instala g++');
  });
});

describe('the headers of Node that are found', () => {
  it('lie beside the running Node, where npm was told, or where node-gyp left them, in this order', () => {
    vi.spyOn(process, 'execPath', 'get').mockReturnValue(folder('node', 'bin', 'node'));
    vi.stubEnv('npm_config_nodedir', folder('nodedir'));
    vi.stubEnv('HOME', folder('home'));
    expect(findNodeHeaders().lack).toContain(`faltan las cabeceras de Node ${process.version}`);
    for (const place of [['home', '.cache', 'node-gyp', process.version.slice(1)], ['nodedir'], ['node']]) { // the last one first
      const headers = folder(...place, 'include', 'node');
      mkdirSync(headers, { recursive: true });
      writeFileSync(join(headers, 'node_api.h'), '');
      expect(findNodeHeaders()).toEqual({ folder: headers });
    }
  });
});

describe('what is required', () => {
  it('is what was found, or is said to be missing, and what to do otherwise', () => {
    expect(required({ command: 'x' })).toEqual({ command: 'x' });
    const missing = () => required({ lack: 'no hay Python: instálalo' }, ', o da una carpeta');
    expect(missing).toThrow(UserError);
    expect(missing).toThrow('Para preparar TensorFlow no hay Python: instálalo, o da una carpeta.');
  });
});
