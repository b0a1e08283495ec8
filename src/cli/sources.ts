import { join } from 'node:path';
import type { DownloadShow } from '../checkpoint/download.ts';
import { openCheckpoint } from '../checkpoint/folder.ts';
import type { Pin } from '../checkpoint/hub.ts';
import { findModel } from '../checkpoint/source.ts';
import type { ModelSource } from '../checkpoint/source.ts';
import { findData } from '../data/source.ts';
import type { DataSource } from '../data/source.ts';
import type { DemoFlags } from './flags.ts';

/** The model and the data that the options ask for, on this disk. */
export interface Sources {
  readonly model: ModelSource;
  readonly data: DataSource;
  readonly heldOut: DataSource | undefined;
}

/** @throws UserError if one of them cannot be had */
export async function findSources(
  { model, data, heldOut }: Pick<DemoFlags, 'model' | 'data' | 'heldOut'>, show: DownloadShow,
): Promise<Sources> {
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

/** What was asked for, and which version of it was downloaded: a run goes on from the same bytes only. */
export function pinned(asked: string | undefined, source: { pin: Pin | undefined } | undefined): string | undefined {
  return source?.pin === undefined ? asked : `${asked} (${source.pin.revision})`;
}

/** The files of the person's own that a result depends on. */
export function inputFiles({ model, data, heldOut }: Sources): string[] {
  return [
    ...(model.pin ? [] : [...openCheckpoint(model.folder).fileList, join(model.folder, 'tokenizer.json')]),
    ...[data, heldOut].flatMap((source) => (source === undefined || source.pin ? [] : source.files)),
  ];
}
