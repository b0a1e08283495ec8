import { copyFileSync, readFileSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beginFolder, writeFileAtomic } from './files.ts';
import { withFields } from './json.ts';
import { SafetensorsWriter, sizeInBytes } from './safetensors.ts';
import type { TensorEntry } from './safetensors.ts';

/** What a model's folder holds besides its weights and its configuration. */
const companions = /^(tokenizer|special_tokens|added_tokens|vocab|merges|chat_template|generation_config|licen[cs]e|notice)/i;

/**
 * Writes a model's folder again with other weights: its tokenizer and whatever else is not weights comes along, and of
 * its configuration some fields change. The output appears when it is whole; a generator that is not run to its end
 * leaves nothing.
 *
 * @param limit no file of weights is larger, unless one weight alone is
 * @param room bytes for a file's header
 * @param write adds the weights, and returns the fields of `config.json` that change (see `withFields`)
 * @returns the files that were written
 * @throws UserError if the output is there already, or cannot be written
 */
export function* rewriteFolder<Progress>(
  folder: string, output: string, { limit, room }: { limit: number; room: number },
  write: (shards: Shards) => Generator<Progress, Readonly<Record<string, unknown>>>,
): Generator<Progress, Pick<Shards, 'count' | 'bytes'>> {
  const pending = beginFolder(output);
  const shards = new Shards(pending.path, limit, room);
  try {
    const fields = yield* write(shards);
    shards.finish();
    const config = readFileSync(join(folder, 'config.json'), 'utf8');
    writeFileAtomic(join(pending.path, 'config.json'), withFields(config, fields));
    copyCompanions(folder, pending.path);
    pending.commit();
  } finally {
    shards.abandon();
    pending.discard();
  }
  return shards;
}

/** Copies what a model's folder holds besides its weights and its configuration: the tokenizer above all. */
function copyCompanions(folder: string, to: string): void {
  for (const file of readdirSync(folder)) {
    if (!companions.test(file) || !statSync(join(folder, file)).isFile()) continue;
    copyFileSync(join(folder, file), join(to, file));
  }
}

interface Piecewise extends TensorEntry {
  readonly name: string;
  readonly pieces: Iterable<Uint8Array>;
}

/** A model's files of weights, written one weight after another: each of a limited size, and the index if several. */
export class Shards {
  private readonly written: { path: string; names: string[] }[] = [];
  private current: SafetensorsWriter | undefined;
  private finished = 0;

  constructor(private readonly folder: string, private readonly limit: number, private readonly room: number) {}

  get count(): number {
    return this.written.length;
  }

  get bytes(): number {
    return this.finished + (this.current?.size ?? 0);
  }

  /** The tensors of one weight, which stay together. */
  add(tensors: readonly Piecewise[]): void {
    const size = tensors.reduce((sum, tensor) => sum + sizeInBytes(tensor), 0);
    if (this.current && this.current.size + size > this.limit) this.closeCurrent();
    if (!this.current) {
      const path = join(this.folder, `shard-${this.written.length}`);
      this.current = new SafetensorsWriter(path, this.room, { format: 'pt' });
      this.written.push({ path, names: [] });
    }
    for (const { name, dtype, shape, pieces } of tensors) {
      this.current.add(name, { dtype, shape }, pieces);
      this.written.at(-1)!.names.push(name);
    }
  }

  /** The files get their names when it is known how many there are. */
  finish(): void {
    this.closeCurrent();
    if (this.count === 1) {
      renameSync(this.written[0]!.path, join(this.folder, 'model.safetensors'));
      return;
    }
    const digits = (n: number) => String(n).padStart(5, '0');
    const weightMap: Record<string, string> = {};
    this.written.forEach(({ path, names }, i) => {
      const file = `model-${digits(i + 1)}-of-${digits(this.count)}.safetensors`;
      renameSync(path, join(this.folder, file));
      for (const name of names) weightMap[name] = file;
    });
    const index = { metadata: { total_size: this.finished }, weight_map: weightMap };
    writeFileAtomic(join(this.folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
  }

  abandon(): void {
    this.current?.abandon();
  }

  private closeCurrent(): void {
    this.finished += this.current?.size ?? 0;
    this.current?.close();
    this.current = undefined;
  }
}
