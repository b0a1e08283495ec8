import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';

/** How a command ended, and what it said of why: its last line about an error, or just the last. */
export interface Outcome {
  readonly ok: boolean;
  readonly reason: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Besides what the environment has. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Hears each line of the standard output. */
  readonly line?: (line: string) => void;
}

/** Runs a command to its end. One that does not exist ends badly, too. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { cwd, env, signal, line } = options;
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  let [rest, said] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    for (const each of lines) line?.(each);
  });
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    said = (said + piece).slice(-20_000);
  });
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ ok: false, reason: error.message }));
    child.on('close', (code, killed) => {
      const lines = said.trim().split('\n');
      const reason = lines.findLast((each) => /\berror\b/i.test(each)) ?? lines.at(-1)!;
      resolve({ ok: code === 0, reason: killed ? `termina con ${killed}` : reason || `termina con ${code}` });
    });
  });
}

/** What `self-check.ts` finds of the library in the folder, in a process of its own; why it finds nothing, in words. */
export async function selfCheck(backend: 'tensorflow' | 'webgpu', folder: string): Promise<{ found?: unknown; reason: string }> {
  const program = join(import.meta.dirname, 'self-check.ts');
  const loader = new URL('../start.js', import.meta.url).href;
  let printed = '';
  const { ok, reason } = await run(process.execPath, ['--import', loader, program, backend, folder], {
    line: (line) => (printed = line),
  });
  return ok ? { found: JSON.parse(printed), reason: '' } : { reason };
}

/** What a command prints, of whatever stream; undefined where there is no such command, or it fails. */
export function output(command: string, args: readonly string[]): string | undefined {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? (stdout || stderr).trim() : undefined;
}

/** What there is of it, or what is missing and how to get it, in words. */
export type Found<T> = (T & { readonly lack?: undefined }) | { readonly lack: string };

/** A Python whose pip can fetch wheels: the one in `PYTHON`, or the system's. */
export function findPython(): Found<{ command: string; version: string; pip: string }> {
  const candidates = process.env['PYTHON'] ? [process.env['PYTHON']] : ['python3', 'python'];
  for (const command of candidates) {
    const version = output(command, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
    const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
    if (version === undefined || major < 3 || minor < 8) continue;
    const pip = /^pip ([\d.]+)/.exec(output(command, ['-m', 'pip', '--version']) ?? '')?.[1];
    if (pip === undefined) return { lack: `«${command}» (Python ${version}) no tiene pip: instala python3-pip` };
    return { command, version, pip };
  }
  return { lack: `no hay Python 3.8 o posterior (${candidates.join(', ')}): instala python3 y python3-pip` };
}

/** A C++ compiler: the one in `CXX`, or the system's. */
export function findCompiler(): Found<{ command: string; version: string }> {
  const candidates = process.env['CXX'] ? [process.env['CXX']] : ['c++', 'g++', 'clang++'];
  for (const command of candidates) {
    const version = output(command, ['--version'])?.split('\n')[0];
    if (version !== undefined) return { command, version };
  }
  return { lack: `no hay compilador de C++ (${candidates.join(', ')}): instala g++, por ejemplo con «apt install g++»` };
}

/** Where `node_api.h` lies: beside the running Node, where npm was told, or where node-gyp left it. */
export function findNodeHeaders(): Found<{ folder: string }> {
  const prefixes = [
    dirname(dirname(process.execPath)),
    process.env['npm_config_nodedir'],
    join(homedir(), '.cache', 'node-gyp', process.version.slice(1)),
  ];
  for (const prefix of prefixes) {
    const folder = prefix && join(prefix, 'include', 'node');
    if (folder && existsSync(join(folder, 'node_api.h'))) return { folder };
  }
  return {
    lack: `faltan las cabeceras de Node ${process.version} (include/node/node_api.h): usa el Node de nodejs.org o de nvm, `
      + 'que las trae, o instala libnode-dev',
  };
}

/** @throws UserError where it is missing */
export function required<T>(found: Found<T>, otherwise = ''): T {
  if (found.lack === undefined) return found;
  throw new UserError(`Para preparar TensorFlow ${found.lack}${otherwise}.`);
}
