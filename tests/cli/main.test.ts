import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { explain, runProgram } from '../../src/cli/main.ts';
import { UserError } from '../../src/errors.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();
/** Gives a command a terminal of its own; the one of other systems is asked otherwise. */
const script = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux');

describe('running a program', () => {
  afterEach(() => {
    process.exitCode = undefined;
    vi.restoreAllMocks();
  });

  const stderr = () => {
    const written: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    return written;
  };

  it('tells a mistake of the user in its sentence alone, and exits with 1', async () => {
    const written = stderr();
    await runProgram(() => { throw new UserError('La opción --r espera un entero de 1 o más.'); });
    expect(written).toEqual(['La opción --r espera un entero de 1 o más.\n']);
    expect(process.exitCode).toBe(1);
  });

  it('shows the stack of an unexpected error, and exits with 1', async () => {
    const written = stderr();
    await runProgram(() => { throw new TypeError('x is not a function'); });
    expect(written.join('')).toMatch(/TypeError: x is not a function\n\s+at .*main\.test\.ts/);
    expect(process.exitCode).toBe(1);
  });

  it.skipIf(!existsSync('/dev/full'))('tells that what it prints to does not take it, as a file on a full disk', () => {
    const args = ['--import', './src/start.js', 'src/cli/doctor.ts', '--help'];
    const { status, stderr } = spawnSync(process.execPath, args, {
      encoding: 'utf8', stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
    });
    expect(stderr).toBe('El disco está lleno: libera espacio y repite la orden.\n');
    expect(status).toBe(1);
  });

  it.skipIf(!script)('ends by the signal, once all is saved, when its terminal has gone [sin «script» de util-linux]', async () => {
    const program = `
      import { writeFileSync } from 'node:fs';
      import { interruption, runProgram } from './src/cli/main.ts';
      import { UserError } from './src/errors.ts';
      process.once('exit', () => writeFileSync('${at('ended')}', ''));
      await runProgram(async () => {
        const { signal, release } = interruption();
        const working = setInterval(() => process.stdout.write('.'), 50);
        process.stdout.write('begun');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        clearInterval(working);
        writeFileSync('${at('saved')}', '');
        release();
        throw new UserError('Guardado.');
      });`;
    const command = `trap '' HUP; '${process.execPath}' --import tsx --input-type=module --eval "$PROGRAM"; echo $? > '${at('status')}'`;
    const terminal = spawn('script', ['--quiet', '--command', command, '/dev/null'], {
      env: { ...process.env, PROGRAM: program, SHELL: '/bin/sh' }, stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(terminal.stdout, 'data');
    terminal.kill('SIGKILL');
    await expect.poll(() => existsSync(at('status')) && readFileSync(at('status'), 'utf8'), { timeout: 20_000 }).toBe('129\n');
    expect([at('saved'), at('ended')].map((path) => existsSync(path))).toEqual([true, true]);
  }, 30_000);

  it('says nothing of a program that ends well', async () => {
    const written = stderr();
    await runProgram(() => {});
    expect(written).toEqual([]);
    expect(process.exitCode).toBeUndefined();
  });
});

describe('errors of the system', () => {
  const system = (code: string, path?: string) => Object.assign(new Error(`${code}: no`), { code, path });

  it('a full disk is one sentence in Spanish', () => {
    expect(explain(system('ENOSPC', 'out/qlora/x'))).toBe(
      'El disco está lleno al escribir «out/qlora/x»: libera espacio y repite la orden.');
    expect(explain(system('ENOSPC'))).toBe('El disco está lleno: libera espacio y repite la orden.');
  });

  it('so is a memory without room, as V8 tells of buffers and of WebAssembly', () => {
    const told = [
      () => new ArrayBuffer(2 ** 52),
      () => { throw new RangeError('WebAssembly.instantiate(): Out of memory: Cannot allocate Wasm memory for new instance'); },
    ].map((fail) => {
      try {
        fail();
      } catch (error) {
        return explain(error);
      }
    });
    expect(told[0]).toMatch(/^Falta memoria \(Array buffer allocation failed\): [^\n]+\.$/);
    expect(told[1]).toMatch(/^Falta memoria \(WebAssembly[^\n]+\.$/);
    expect(explain(new RangeError('Invalid array length'))).toContain('at ');
  });

  it('so is a folder where one may not write', () => {
    expect(explain(system('EACCES', '/root'))).toContain('Falta permiso para usar «/root»');
  });

  it('any other keeps its stack', () => {
    expect(explain(system('EWHATEVER'))).toMatch(/EWHATEVER: no\n\s+at /);
  });
});
