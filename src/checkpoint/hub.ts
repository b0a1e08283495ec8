import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import {
  datasetInfo, downloadFile as openFile, fileDownloadInfo, getRepoFolderName, InvalidApiResponseFormatError, listFiles,
  modelInfo,
} from '@huggingface/hub';
import type { FileDownloadInfoOutput } from '@huggingface/hub';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { formatBytes, formatCount } from '../format.ts';
import { checkSpace, downloadFile, partialBytes, Tally } from './download.ts';
import type { Checksum, DownloadShow } from './download.ts';
import { writeFileAtomic } from './files.ts';
import { patientFetch, Refusal, Unreachable } from './network.ts';
import type { Patience } from './network.ts';

/** How the hub is reached, said by the variables that Python's client reads. */
export interface HubSettings extends Patience {
  /** `HF_ENDPOINT`, without a slash at the end. */
  readonly endpoint: string;
  /** `HF_HUB_CACHE`, or `hub` under `HF_HOME`. */
  readonly cache: string;
  /** Under `HF_HOME`, for what comes from elsewhere. */
  readonly downloads: string;
  /** `HF_TOKEN`, or what `hf auth login` left under `HF_HOME`. */
  readonly token: string | undefined;
  /** `HF_HUB_OFFLINE`: nothing is asked of any server. */
  readonly offline: boolean;
}

/** @throws UserError if the token cannot be one */
export function hubSettings(env = process.env): HubSettings {
  const folder = (said: string | undefined, otherwise: string) => (said || otherwise).replace(/^~(?=\/|$)/, homedir());
  const home = folder(env.HF_HOME, join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'));
  const tokenFile = folder(env.HF_TOKEN_PATH, join(home, 'token'));
  const said = (env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN)?.trim();
  const token = said || (existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8').trim() : '');
  if (token !== '' && !token.startsWith('hf_')) {
    throw new UserError(`El token de ${said ? 'HF_TOKEN' : `«${tokenFile}»`} no empieza por «hf_», como los del hub: `
      + 'cópialo otra vez de https://huggingface.co/settings/tokens.');
  }
  const seconds = Number(env.HF_HUB_DOWNLOAD_TIMEOUT);
  return {
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    cache: folder(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE, join(home, 'hub')),
    downloads: join(home, 'modulo-2-qlora'),
    token: token === '' ? undefined : token,
    offline: ['1', 'ON', 'YES', 'TRUE'].includes((env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || '').toUpperCase()),
    timeout: seconds > 0 ? seconds * 1000 : 10_000,
    pause: 500,
  };
}

/** A repository, and a file of it if one is named, as the person wrote it: `org/nombre/ruta@revisión`. */
export interface HubName {
  readonly name: string;
  readonly path: string | undefined;
  readonly revision: string;
}

/** Undefined for what cannot be a name of the hub. */
export function parseHubName(text: string): HubName | undefined {
  const [, name, path, revision = 'main'] = /^(\w[\w.-]*\/\w[\w.-]*)(?:\/([^@]+))?(?:@(\w[\w./-]*))?$/.exec(text) ?? [];
  return name === undefined || text.includes('..') ? undefined : { name, path, revision };
}

/** What a run was made from that does not lie in the project, and how to have the same again. */
export interface Pin {
  readonly kind: 'model' | 'dataset' | 'url';
  /** As in `org/nombre`, or the address. */
  readonly name: string;
  /** The commit of a repository; the SHA-256 of what an address gave. */
  readonly revision: string;
}

/** Files of a repository, at rest in the cache. */
export interface Repository {
  readonly folder: string;
  /** Those chosen, as full paths. */
  readonly files: readonly string[];
  readonly pin: Pin;
}

/** What there is to choose from: a repository of the hub, or the part of it that the cache has. */
export interface Files {
  readonly paths: readonly string[];
  /** Where they are, for a sentence. */
  readonly where: string;
  /** The full path of one, downloaded first if need be. */
  readonly get: (path: string) => Promise<string>;
  /** What to tell of something needed that is not among them. */
  readonly lacking: (what: string) => UserError;
}

/** The paths wanted. @throws UserError if something needed is not among them */
export type Choose = (files: Files) => Promise<readonly string[]> | readonly string[];

export interface Wanted {
  readonly kind: 'model' | 'dataset';
  readonly name: string;
  readonly revision: string;
  readonly choose: Choose;
}

/**
 * Brings the chosen files of a repository to the cache that Python's client shares, and verifies them. What is there
 * already is not asked for again. Without network the cache answers alone.
 *
 * The official client asks and reads the hub. Its own `snapshotDownload` takes whole repositories, begins a broken file
 * again, verifies nothing and lets two processes write one file; that part is `download.ts`.
 *
 * @throws UserError if the repository, the revision or a file is missing or forbidden, a file is not what the hub says,
 *   or neither hub nor cache has it
 */
export async function fetchRepository(wanted: Wanted, show: DownloadShow, settings: HubSettings): Promise<Repository> {
  if (settings.offline) return cachedRepository(wanted, settings, 'HF_HUB_OFFLINE está activo y no se descarga nada');
  try {
    return await new Hub(wanted, show, settings).fetch();
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof Refusal) throw refusalOf(error, wanted, settings);
    if (error instanceof Unreachable) {
      const why = `No se llega a «${error.host}» (${error.reason})`;
      const found = await cachedRepository(wanted, settings, why);
      show.line(`${why}: «${wanted.name}» sale de la caché, commit ${found.pin.revision.slice(0, 10)}.`);
      return found;
    }
    if (error instanceof z.ZodError || error instanceof SyntaxError || error instanceof InvalidApiResponseFormatError) {
      throw new UserError(`Lo que responde «${settings.endpoint}» sobre «${wanted.name}» no es del hub de Hugging Face `
        + `(${error.message.split('\n')[0]}): revisa HF_ENDPOINT y la conexión.`);
    }
    throw error;
  }
}

const commitSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
/** Names of files come from outside and become paths of ours. */
const entrySchema = z.object({
  type: z.string(),
  path: z.string().regex(/^(?!(.*\/)?\.\.(\/|$))[^/\\:][^\\:]*$/),
  size: z.number().int().nonnegative(),
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().nonnegative() }).optional(),
});

interface Entry {
  readonly path: string;
  readonly size: number;
  /** Also the name of its blob in the cache: what the hub sends as its ETag. */
  readonly checksum: Checksum;
}

/** One repository, asked through the official client. */
class Hub {
  private readonly repo: { type: 'model' | 'dataset'; name: string };
  private readonly root: string;
  private readonly ask: { hubUrl: string; fetch: typeof fetch; accessToken?: string };

  constructor(
    private readonly wanted: Wanted, private readonly show: DownloadShow, private readonly settings: HubSettings,
  ) {
    this.repo = { type: wanted.kind, name: wanted.name };
    this.root = rootOf(wanted, settings);
    this.ask = {
      hubUrl: settings.endpoint, fetch: patientFetch(settings), ...(settings.token && { accessToken: settings.token }),
    };
  }

  async fetch(): Promise<Repository> {
    const { kind, name, revision, choose } = this.wanted;
    const question = { ...this.ask, name, revision, additionalFields: ['sha' as const] };
    const { sha: commit } = commitSchema.parse(await (kind === 'model' ? modelInfo(question) : datasetInfo(question)));
    if (revision !== commit) writeFileAtomic(join(this.root, 'refs', revision), commit);
    const entries = await this.list(commit);
    const where = `el repositorio «${name}» del hub`;
    const lacking = (what: string) => new UserError(`En ${where} falta «${what}»: elige otro o avisa a su autor.`);
    const known = (path: string): Entry => {
      const entry = entries.get(path);
      if (entry === undefined) throw lacking(path);
      return entry;
    };
    const folder = join(this.root, 'snapshots', commit);
    const paths = await choose({
      paths: [...entries.keys()],
      where,
      lacking,
      get: async (path) => {
        await this.download(commit, [known(path)]);
        return join(folder, path);
      },
    });
    await this.download(commit, paths.map(known));
    return { folder, files: paths.map((path) => join(folder, path)), pin: { kind, name, revision: commit } };
  }

  private async list(commit: string): Promise<Map<string, Entry>> {
    const entries = new Map<string, Entry>();
    const recursive = this.wanted.kind === 'dataset'; // a model lies in the root
    for await (const found of listFiles({ ...this.ask, repo: this.repo, revision: commit, recursive })) {
      if (found.type !== 'file') continue;
      const { path, size, oid, lfs } = entrySchema.parse(found);
      entries.set(path, lfs === undefined
        ? { path, size, checksum: { algorithm: 'git', hex: oid } }
        : { path, size: lfs.size, checksum: { algorithm: 'sha256', hex: lfs.oid } });
    }
    return entries;
  }

  private async download(commit: string, entries: readonly Entry[]): Promise<void> {
    const missing = entries.filter((entry) => !this.isHere(commit, entry));
    if (missing.length === 0) return;
    const { name } = this.wanted;
    const sizeOf = (items: readonly Entry[]) => items.reduce((sum, { size }) => sum + size, 0);
    checkSpace(this.root, sizeOf(missing) - missing.reduce((sum, entry) => sum + partialBytes(this.blobOf(entry)), 0));
    this.show.line(`Descarga «${name}» (commit ${commit.slice(0, 10)}): ${formatCount(missing.length, 'archivo')}, `
      + formatBytes(sizeOf(missing)));
    const tally = new Tally(this.show, name, missing.length, sizeOf(missing));
    for (const entry of missing) {
      tally.begin(entry.path);
      await downloadFile(this.blobOf(entry), {
        subject: `«${entry.path}» de «${name}»`, size: entry.size, checksum: entry.checksum,
        open: this.opener(commit, entry),
      }, this.settings, tally);
      link(this.blobOf(entry), join(this.root, 'snapshots', commit, entry.path));
      tally.complete();
    }
  }

  /** Through plain HTTP with ranges, and not the Xet protocol, whose transfers cannot be gone on with. */
  private opener(commit: string, { path, size }: Entry): (offset: number) => Promise<ReadableStream<Uint8Array>> {
    const file = { ...this.ask, repo: this.repo, path, revision: commit };
    let info: FileDownloadInfoOutput | null;
    return async (offset) => {
      info ??= await fileDownloadInfo(file);
      // The client's stream tells of a failure in words alone; the request itself is asked how it went.
      let answer: Promise<unknown> | undefined;
      const watched: typeof fetch = (input, init) => {
        const response = this.ask.fetch(input, init);
        answer = response;
        return response;
      };
      const blob = await openFile({ ...file, fetch: watched, downloadInfo: { ...info!, size }, xet: false });
      const stream = blob!.slice(offset, size).stream();
      await answer;
      return stream;
    };
  }

  private blobOf({ checksum }: Entry): string {
    return join(this.root, 'blobs', checksum.hex);
  }

  /** Its bytes were verified as they came, by us or by Python's client; from then on the size is enough. */
  private isHere(commit: string, entry: Entry): boolean {
    const place = join(this.root, 'snapshots', commit, entry.path);
    if (sizeAt(place) === entry.size) return true;
    const blob = this.blobOf(entry);
    if (sizeAt(blob) === entry.size) {
      link(blob, place);
      return true;
    }
    rmSync(blob, { force: true }); // damaged on this disk
    return false;
  }
}

/** What the cache has of a repository. */
async function cachedRepository(
  { kind, name, revision, choose }: Wanted, settings: HubSettings, why: string,
): Promise<Repository> {
  const root = rootOf({ kind, name }, settings);
  const ref = join(root, 'refs', revision);
  const commit = existsSync(ref) ? readFileSync(ref, 'utf8').trim() : revision;
  const folder = join(root, 'snapshots', commit);
  if (!existsSync(folder)) {
    throw new UserError(`${why}, y «${name}»${revision === 'main' ? '' : ` en «${revision}»`} no está en la caché «${root}»: `
      + 'descárgalo una vez con conexión.');
  }
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'));
  const where = `la copia de «${name}» en la caché («${folder}»)`;
  const lacking = (what: string) =>
    new UserError(`${why}, y en ${where} falta «${what}»: complétala una vez con conexión.`);
  const get = async (path: string) => {
    const place = join(folder, path);
    if (sizeAt(place) === undefined) throw lacking(path);
    return place;
  };
  const paths = await choose({ paths: names, where, lacking, get });
  return { folder, files: await Promise.all(paths.map(get)), pin: { kind, name, revision: commit } };
}

function rootOf({ kind, name }: { kind: 'model' | 'dataset'; name: string }, { cache }: HubSettings): string {
  return join(cache, getRepoFolderName({ type: kind, name }));
}

/** In bytes; undefined if there is no such file. */
function sizeAt(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/**
 * Puts a blob under its name in a snapshot, as a relative link so that the cache can be moved; where the system allows
 * no links, the blob itself goes there, as Python's client does.
 */
function link(blob: string, place: string): void {
  mkdirSync(dirname(place), { recursive: true });
  const beside = `${place}.${process.pid}.tmp`;
  try {
    symlinkSync(relative(dirname(place), blob), beside);
  } catch {
    return renameSync(blob, place);
  }
  renameSync(beside, place);
}

function refusalOf({ status, code, host }: Refusal, wanted: Wanted, { token, endpoint }: HubSettings): UserError {
  const { kind, name, revision } = wanted;
  const what = kind === 'model' ? 'modelo' : 'conjunto de datos';
  const page = `${endpoint}/${kind === 'model' ? '' : 'datasets/'}${name}`;
  if (code === 'RevisionNotFound') {
    return new UserError(`«${name}» no tiene la revisión «${revision}»: elige una rama, una etiqueta o un commit de ${page}/tree/main.`);
  }
  if (code === 'GatedRepo' || status === 403) {
    return new UserError(`«${name}» pide aceptar sus condiciones (${status}): acéptalas en ${page} con tu cuenta y `
      + (token ? 'comprueba que el token que usas es de esa cuenta y puede leerlo.' : 'pon tu token en HF_TOKEN.'));
  }
  if (status === 401 || status === 404) {
    return new UserError(`No existe el ${what} «${name}» en «${endpoint}», o es privado (${status}): comprueba el nombre`
      + (token ? ' y que tu token puede leerlo.' : ', o pon en HF_TOKEN un token que pueda leerlo.'));
  }
  const busy = status === 429 ? 'pide esperar por demasiadas peticiones' : 'falla';
  return new UserError(`El servidor «${host}» ${busy} (HTTP ${status}) con «${name}»: `
    + 'vuelve a intentarlo más tarde; lo ya descargado se conserva.');
}
