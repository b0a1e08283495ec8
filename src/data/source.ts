import { existsSync } from 'node:fs';
import type { DownloadShow } from '../checkpoint/download.ts';
import { fetchRepository, hubSettings, parseHubName } from '../checkpoint/hub.ts';
import type { Files, HubSettings, Pin } from '../checkpoint/hub.ts';
import { fetchUrl } from '../checkpoint/url.ts';
import { UserError } from '../errors.ts';

/** Data on disk, and where it comes from. */
export interface DataSource {
  readonly files: readonly string[];
  /** Undefined for a file of the person's own. */
  readonly pin: Pin | undefined;
}

/**
 * Stanford's 52,002 records (CC BY-NC 4.0) at the last commit that is known to have them. The sum was not computed from
 * a download of ours: several public projects that pin this same file state it.
 */
export const stanfordAlpaca = {
  url: 'https://raw.githubusercontent.com/tatsu-lab/stanford_alpaca/761dc5bfbdeeffa89b8bff5d038781a4055f796a/alpaca_data.json',
  sha256: '2eddafc6b977608d778aaab8dfc7e50e547b3af9826dfb9e909d9fc362e4a419',
};

/**
 * The files of a data set: a file that exists, `alpaca` (Stanford's), an address, or the hub's `org/nombre` with or
 * without a path in it and `@revisión`.
 *
 * @param option where it was said, for the messages
 * @throws UserError if it is none of them, or cannot be had (see `fetchRepository`, `fetchUrl`)
 */
export async function findData(
  data: string, option: string, show: DownloadShow, settings: HubSettings = hubSettings(),
): Promise<DataSource> {
  if (existsSync(data)) return { files: [data], pin: undefined };
  if (data === 'alpaca') {
    const { file, pin } = await fetchUrl(stanfordAlpaca.url, stanfordAlpaca.sha256, show, settings);
    return { files: [file], pin };
  }
  if (URL.canParse(data) && /^https?:/i.test(data)) {
    const { file, pin } = await fetchUrl(data, undefined, show, settings);
    return { files: [file], pin };
  }
  const asked = parseHubName(data);
  // `datos/mis.json` could name a repository, and it is far likelier a path with a mistake in it.
  if (asked === undefined || (asked.path === undefined && readable.test(asked.name))) {
    throw new UserError(`${option}: «${data}» no es un archivo que exista, ni una dirección https://, ni un nombre del hub: `
      + 'indica un JSON, JSON Lines o Parquet, «alpaca», o un nombre como tatsu-lab/alpaca.');
  }
  const choose = (files: Files) => chooseDataFiles(files, asked.path);
  return fetchRepository({ kind: 'dataset', ...asked, choose }, show, settings);
}

const readable = /\.(jsonl?|ndjson|parquet)$/;
const notData = /(^|\/)\.|(^|\/)(dataset_infos?|dataset_dict|state|config|package)\.json$/;
const trainSplit = /(^|[/._-])train([/._-]|$)/;

/** The file named; or the only data there is, its training split if it is split, with all its shards. */
function chooseDataFiles({ paths, where, lacking }: Files, path: string | undefined): string[] {
  if (path !== undefined) {
    if (!paths.includes(path)) throw lacking(path);
    return [path];
  }
  const data = paths.filter((path) => readable.test(path) && !notData.test(path));
  const train = data.filter((path) => trainSplit.test(path));
  const sets = new Map<string, string[]>();
  for (const path of train.length > 0 ? train : data) {
    const set = path.replace(/-\d+-of-\d+.*(?=\.\w+$)/, '');
    sets.set(set, [...sets.get(set) ?? [], path]);
  }
  const [only, ...others] = sets.values();
  if (only === undefined) throw new UserError(`En ${where} no hay ningún archivo JSON, JSON Lines o Parquet: elige otro.`);
  if (others.length > 0) {
    const choices = [...sets.values()].slice(0, 5).map(([first]) => `«${first}»`).join(', ');
    throw new UserError(`En ${where} hay ${sets.size} conjuntos de datos (${choices}${sets.size > 5 ? '…' : ''}): `
      + 'di cuál detrás del nombre, como en org/nombre/archivo.json.');
  }
  return only.toSorted();
}
