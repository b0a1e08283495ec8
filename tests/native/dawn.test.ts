import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { setUpDawn, undoDawn } from '../../src/native/dawn.ts';
import type { DawnOptions } from '../../src/native/dawn.ts';
import { dawnFolder, dawnModule, dawnPlatform, hasDawn } from '../../src/tensor/webgpu/dawn.ts';
import { noDawn } from '../backend.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const folder = temporaryFolder();
let root = '';
let calls = 0;

beforeEach(() => {
  root = folder(`case-${calls++}`);
  mkdirSync(root);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** A tarball as npm packs it, whose module for this platform and for another are the bytes given, and its integrity. */
function pack(module: (file: string) => void): { file: string; integrity: string } {
  for (const platform of [dawnPlatform, 'plan9-mips']) {
    mkdirSync(join(root, 'package', 'dist', platform), { recursive: true });
    module(join(root, 'package', 'dist', platform, 'dawn.node'));
  }
  writeFileSync(join(root, 'package', 'LICENSE.md'), 'free');
  const file = join(root, 'webgpu-9.9.9.tgz');
  expect(spawnSync('tar', ['-czf', file, '-C', root, 'package']).status).toBe(0);
  return { file, integrity: `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}` };
}

const options = (integrity: string, from?: string): DawnOptions => ({
  folder: join(root, '.webgpu'), from, say: () => {}, package: { name: 'webgpu', version: '9.9.9', integrity },
});

/** What is left beside the package and its tarball. */
const left = () => readdirSync(root).filter((name) => name.startsWith('.'));

describe('setUpDawn', () => {
  it('refuses a tarball that is not the pinned one, and leaves nothing', async () => {
    const { file } = pack((path) => writeFileSync(path, 'module'));
    await userErrorFrom(setUpDawn(options(`sha512-${'A'.repeat(86)}==`, file)), 'no es webgpu 9.9.9');
    expect(left()).toEqual([]);
  });

  it('refuses a module that does not load, and leaves what was there', async () => {
    const { file, integrity } = pack((path) => writeFileSync(path, 'no module'));
    mkdirSync(join(root, '.webgpu'));
    writeFileSync(join(root, '.webgpu', 'before'), '');
    await userErrorFrom(setUpDawn(options(integrity, file)), 'no funciona en esta máquina');
    expect(left()).toEqual(['.webgpu']);
    expect(readdirSync(join(root, '.webgpu'))).toEqual(['before']);
  }, 60_000);

  it('says when the file is not there, and when npm does not give it', async () => {
    await userErrorFrom(setUpDawn(options('sha512-x', join(root, 'nowhere.tgz'))), '--from: «');
    const other = join(root, 'README.md');
    writeFileSync(other, '');
    const message = await userErrorFrom(setUpDawn(options('sha512-x', other)), other);
    expect(message).toContain('no es webgpu 9.9.9');
    expect(message).toMatch(/Da con --from el webgpu-9\.9\.9\.tgz de npmjs\.com\.$/);
    const npm = join(root, 'npm.js');
    writeFileSync(npm, 'console.error("npm error 404 Not Found"); process.exit(1);');
    vi.stubEnv('npm_execpath', npm);
    expect(await userErrorFrom(setUpDawn(options('sha512-x')), '404 Not Found')).toContain('--from');
    expect(left()).toEqual([]);
  });
});

describe.runIf(hasDawn())(`setUpDawn, with Dawn itself${noDawn}`, () => {
  it('takes what npm packs, keeps this platform alone, is done the second time, and can be undone', async () => {
    const { file, integrity } = pack((path) => cpSync(dawnModule(dawnFolder()), path));
    const npm = join(root, 'npm.js');
    writeFileSync(npm, `require('node:fs').copyFileSync(${JSON.stringify(file)}, process.argv.at(-1) + '/webgpu-9.9.9.tgz');`);
    vi.stubEnv('npm_execpath', npm);
    const given = options(integrity);
    const { already, adapter } = await setUpDawn(given);
    expect(already).toBe(false);
    expect(readdirSync(join(given.folder, 'dist'))).toEqual([dawnPlatform]);
    expect(left()).toEqual(['.webgpu']);
    expect(await setUpDawn(given)).toEqual({ already: true, adapter });
    expect(undoDawn(given.folder)).toBe(true);
    expect(existsSync(given.folder)).toBe(false);
    expect(undoDawn(given.folder)).toBe(false);
  }, 120_000);
});
