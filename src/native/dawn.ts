import { createHash, randomUUID } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { readJson, writeError } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { dawnModule, dawnPlatform } from '../tensor/webgpu/dawn.ts';
import { run, selfCheck } from './tools.ts';

/** The npm package that carries Dawn, Chromium's WebGPU, as a module of Node for every platform at once. */
export interface DawnPackage {
  readonly name: string;
  readonly version: string;
  /** Of its tarball, as the registry and lockfiles write it. */
  readonly integrity: string;
}

export const dawnPackage: DawnPackage = {
  name: 'webgpu',
  version: '0.6.2',
  integrity: 'sha512-3L4GfmqJLvYUIEWJngEQY+2HQiUlAFkg8+P8NDDj3Xx5hHHIFO/r8JW+ynfqBj7kHN4mbnwO74uB+lrRtLhp4Q==',
};

/** The platforms that the package has a module for. */
const platforms = ['darwin-universal', 'linux-arm64', 'linux-x64', 'win32-arm64', 'win32-x64'];

export interface DawnOptions {
  /** What is filled: see `dawnFolder`. */
  readonly folder: string;
  /** A tarball that is there already; npm fetches it otherwise. */
  readonly from: string | undefined;
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  readonly package?: DawnPackage;
}

/** What Dawn computes on, once it has computed correctly; null where it finds no adapter. */
export const dawnChecked = z.object({
  adapter: z.object({
    name: z.string(), vendor: z.string(), architecture: z.string(), software: z.boolean(),
    features: z.array(z.string()).readonly(), bindingBytes: z.number(),
    units: z.array(z.object({
      m: z.number(), n: z.number(), k: z.number(), element: z.enum(['f16', 'f32']), lanes: z.number(),
    })).readonly(),
  }).nullable(),
});
export type DawnChecked = z.infer<typeof dawnChecked>;

const marker = z.object({ version: z.string(), integrity: z.string() });
const markerFile = (folder: string) => join(folder, 'setup.json');

/**
 * Gives this machine Dawn: the part of the package that is this platform's. All is made in a folder beside, and has to
 * load before anything changes.
 *
 * @returns what it computes on, and whether it was there before
 * @throws UserError telling what is missing or went wrong, in which case all is as it was
 */
export async function setUpDawn(options: DawnOptions): Promise<DawnChecked & { readonly already: boolean }> {
  const { folder, from, say, signal, package: wanted = dawnPackage } = options;
  if (!platforms.includes(dawnPlatform)) {
    throw new UserError(
      `Dawn no se publica para ${dawnPlatform}, sino para ${platforms.join(', ')}: quédate con --backend wasm, que no necesita nada.`);
  }
  const isThere = existsSync(dawnModule(folder)) && existsSync(markerFile(folder))
    && readJson(markerFile(folder), marker).integrity === wanted.integrity;
  if (isThere) {
    const { found } = await checkDawn(folder);
    if (found) return { ...found, already: true };
  }
  const stage = join(dirname(folder), `.webgpu-${process.pid}-${randomUUID().slice(0, 8)}`);
  try {
    mkdirSync(stage, { recursive: true });
    const tarball = join(stage, 'package.tgz');
    if (from === undefined) {
      say(`Descarga ${wanted.name} ${wanted.version} con npm (51 MB)…`);
      await fetchTarball(wanted, stage, tarball, signal);
    } else {
      takeFile(from, tarball, wanted);
    }
    checkIntegrity(tarball, wanted, from);
    await unpack(tarball, stage, signal);
    say('Comprueba un producto y un gradiente…');
    const { found, reason } = await checkDawn(stage);
    if (signal?.aborted) throw interrupted();
    if (!found) throw new UserError(`Dawn no funciona en esta máquina (${reason}): no se instala; quédate con --backend wasm.`);
    writeFileSync(markerFile(stage), `${JSON.stringify({ version: wanted.version, integrity: wanted.integrity })}\n`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(stage, folder);
    return { ...found, already: false };
  } catch (error) {
    throw signal?.aborted ? interrupted() : writeError(folder, error);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** Takes Dawn away. @returns whether it was there */
export function undoDawn(folder: string): boolean {
  const there = existsSync(folder);
  rmSync(folder, { recursive: true, force: true });
  return there;
}

const interrupted = () => new UserError('Interrumpido: todo queda como estaba.');

/** By npm itself, so that registry, proxy and credentials are those that it is configured with. */
async function fetchTarball(
  { name, version }: DawnPackage, stage: string, tarball: string, signal: AbortSignal | undefined,
): Promise<void> {
  const npm = process.env['npm_execpath']; // what runs `npm run`: a script, whatever the system's name for it
  const args = ['pack', `${name}@${version}`, '--ignore-scripts', '--pack-destination', stage];
  const { ok, reason } = npm?.endsWith('.js')
    ? await run(process.execPath, [npm, ...args], { cwd: stage, signal })
    : await run('npm', args, { cwd: stage, signal });
  const file = join(stage, `${name}-${version}.tgz`);
  if (!ok || !existsSync(file)) {
    throw new UserError(
      `npm no da ${name} ${version} (${reason}): comprueba la red, o descarga ${name}-${version}.tgz de npmjs.com y dalo con --from.`);
  }
  renameSync(file, tarball);
}

function takeFile(from: string, tarball: string, { name, version }: DawnPackage): void {
  if (!statSync(from, { throwIfNoEntry: false })?.isFile()) {
    throw new UserError(`--from: «${from}» no es un archivo; se esperaba ${name}-${version}.tgz.`);
  }
  copyFileSync(resolve(from), tarball);
}

function checkIntegrity(tarball: string, { name, version, integrity }: DawnPackage, from: string | undefined): void {
  const [algorithm, expected] = integrity.split(/-(.*)/s) as [string, string];
  if (createHash(algorithm).update(readFileSync(tarball)).digest('base64') === expected) return;
  throw new UserError(
    `${from === undefined ? 'Lo que ha dado npm' : `«${from}»`} no es ${name} ${version}: su huella ${algorithm} es otra; no se instala. `
    + (from === undefined ? 'Repite la orden, o comprueba el registro con «npm config get registry».'
      : `Da con --from el ${name}-${version}.tgz de npmjs.com.`));
}

/** This platform's module and the licence; nothing else of what is for all of them. */
async function unpack(tarball: string, stage: string, signal: AbortSignal | undefined): Promise<void> {
  const members = [`package/dist/${dawnPlatform}`, 'package/LICENSE.md'];
  const { ok, reason } = await run('tar', ['-xzf', 'package.tgz', ...members], { cwd: stage, signal });
  if (!ok) throw new UserError(`«tar» no desempaqueta Dawn (${reason}): instálalo, o libera espacio en el disco.`);
  renameSync(join(stage, 'package', 'dist'), join(stage, 'dist'));
  renameSync(join(stage, 'package', 'LICENSE.md'), join(stage, 'LICENSE.md'));
  rmSync(join(stage, 'package'), { recursive: true });
  rmSync(tarball);
}

/** Whether Dawn in the folder loads and, where there is an adapter, computes correctly; why not, in words. */
export async function checkDawn(folder: string): Promise<{ found?: DawnChecked; reason: string }> {
  const { found, reason } = await selfCheck('webgpu', folder);
  return found === undefined ? { reason } : { found: dawnChecked.parse(found), reason };
}
