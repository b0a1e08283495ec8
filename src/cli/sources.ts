import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DownloadShow } from '../checkpoint/download.ts';
import { openCheckpoint } from '../checkpoint/folder.ts';
import type { Pin } from '../checkpoint/hub.ts';
import { findModel } from '../checkpoint/source.ts';
import type { ModelSource } from '../checkpoint/source.ts';
import { findData } from '../data/source.ts';
import type { DataSource } from '../data/source.ts';
import { hashOf } from '../runs/provenance.ts';

/** What is asked for, as the options of the command line name it. */
interface Asked {
  readonly model: string;
  readonly data: string;
  readonly heldOut: string | undefined;
}

/** The model and the data that the options ask for, on this disk. */
export interface Sources {
  readonly model: ModelSource;
  readonly data: DataSource;
  readonly heldOut: DataSource | undefined;
}

/** @throws UserError if one of them cannot be had */
export async function findSources({ model, data, heldOut }: Asked, show: DownloadShow): Promise<Sources> {
  return {
    model: await findModel(model, show),
    data: await findData(data, '--data', show),
    heldOut: heldOut === undefined ? undefined : await findData(heldOut, '--held-out', show),
  };
}

/** Those that were downloaded, and which of their versions. */
export function pinsOf({ model, data, heldOut }: Sources): Pin[] {
  return [model, data, heldOut].flatMap((source) => source?.pin ?? []);
}

/** What was asked for, and which bytes: a run goes on from the same ones only. */
export function pinned(
  { model, data, heldOut }: Asked, sources: Sources,
): Record<'model' | 'data' | 'heldOut', string | undefined> {
  const of = (asked: string, pin: Pin | undefined, files: readonly string[]) =>
    `${asked} (${pin?.revision ?? sumOf(files)})`;
  return {
    model: of(model, sources.model.pin, modelFiles(sources.model)),
    data: of(data, sources.data.pin, sources.data.files),
    heldOut: heldOut && sources.heldOut && of(heldOut, sources.heldOut.pin, sources.heldOut.files),
  };
}

/** The files of the person's own that a result depends on. */
export function inputFiles({ model, data, heldOut }: Sources): string[] {
  return [
    ...(model.pin ? [] : modelFiles(model)),
    ...[data, heldOut].flatMap((source) => (source === undefined || source.pin ? [] : source.files)),
  ];
}

/** What decides which tokens a model reads, where it is there: `loadTokenizer` reads them. */
const tokenizerFiles = [
  'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'generation_config.json', 'chat_template.jinja',
];

function modelFiles({ folder }: ModelSource): string[] {
  const paths = tokenizerFiles.map((name) => join(folder, name));
  return [...openCheckpoint(folder).fileList, ...paths.filter((path) => existsSync(path))];
}

/** A short sum of files, one that is missing being told elsewhere. */
export function sumOf(files: readonly string[]): string {
  const sums = files.filter((file) => existsSync(file)).map(hashOf);
  return createHash('sha256').update(sums.join()).digest('hex').slice(0, 12);
}
