import { createHash } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { checkSpace, downloadFile, Tally } from './download.ts';
import type { DownloadShow } from './download.ts';
import { sha256Of } from './files.ts';
import type { HubSettings, Pin } from './hub.ts';
import { patientFetch, RangeIgnored, Refusal, Unreachable } from './network.ts';

/**
 * A file of the web, kept and not asked for again: `<downloads>/<its address>/<its version>/<its name>`, the two in
 * the middle hashed. The version is what the server calls it (ETag, Last-Modified), so that a broken transfer is never
 * gone on with from another.
 *
 * @param sha256 what it has to be, if that is known
 * @throws UserError if it cannot be had, or is not what it has to be
 */
export async function fetchUrl(
  url: string, sha256: string | undefined, show: DownloadShow, settings: HubSettings,
): Promise<{ file: string; pin: Pin }> {
  checkAddress(url);
  const name = decoded(new URL(url).pathname).split('/').at(-1)!.replaceAll(/[^\w.-]/g, '_') || 'datos';
  const folder = join(settings.downloads, shortHash(url));
  const versions = existsSync(folder) ? readdirSync(folder) : [];
  const pinned = (file: string): { file: string; pin: Pin } =>
    ({ file, pin: { kind: 'url', name: url, revision: sha256Of(file) } });
  for (const file of versions.map((version) => join(folder, version, name)).filter((file) => existsSync(file))) {
    const found = pinned(file);
    if (sha256 === undefined || found.pin.revision === sha256) return found;
    rmSync(file); // damaged on this disk
  }
  if (settings.offline) {
    throw new UserError(`HF_HUB_OFFLINE está activo y no se descarga nada, y «${url}» no está en la caché «${folder}»: `
      + 'descárgalo una vez con conexión.');
  }
  try {
    return pinned(await fetchVersion({ url, name, folder, sha256 }, show, settings));
  } catch (error) {
    if (error instanceof Unreachable) {
      throw new UserError(`No se llega a «${error.host}» (${error.reason}), y «${url}» no está en la caché «${folder}»: `
        + 'descárgalo una vez con conexión.');
    }
    if (error instanceof Refusal) {
      throw new UserError(`«${url}» no se puede descargar: el servidor responde ${error.status}; comprueba la dirección.`);
    }
    throw error;
  }
}

interface Address {
  readonly url: string;
  readonly name: string;
  readonly folder: string;
  readonly sha256: string | undefined;
}

async function fetchVersion(
  { url, name, folder, sha256 }: Address, show: DownloadShow, settings: HubSettings,
): Promise<string> {
  const ask = patientFetch(settings);
  const first = await ask(url);
  await first.body?.cancel();
  checkAddress(first.url);
  const version = first.headers.get('ETag') ?? first.headers.get('Last-Modified');
  const length = first.headers.get('Content-Length');
  const size = length === null || first.headers.has('Content-Encoding') ? undefined : Number(length);
  const target = join(folder, shortHash(version ?? ''), name);
  checkSpace(folder, size ?? 0);
  show.line(`Descarga «${url}»`);
  const tally = new Tally(show, url, 1, size);
  tally.begin(name);
  await downloadFile(target, {
    subject: `«${url}»`,
    size,
    checksum: sha256 === undefined ? undefined : { algorithm: 'sha256', hex: sha256 },
    async open(offset) {
      if (offset === 0) return (await ask(url)).body!;
      if (version === null) throw new RangeIgnored(); // nothing says that the rest is of the same file
      return (await ask(url, { headers: { 'Range': `bytes=${offset}-`, 'If-Range': version } })).body!;
    },
  }, settings, tally);
  tally.complete();
  return target;
}

/** An address may have a % that stands for nothing: servers take it as it is. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Data is read over TLS, or from this machine. */
function checkAddress(url: string): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname)) return;
  throw new UserError(`«${url}» no va cifrado: usa una dirección que empiece por https://, o descárgalo tú y da el archivo.`);
}

const shortHash = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16);
