import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface PagerOptions {
  /** Bytes of a page. */
  readonly pageBytes: number;
  /** How many pages may stay in memory. */
  readonly residentPages: number;
  /** Where the others go: a temporary file, or the host's memory, as those of a rank that has little of its own. */
  readonly spillTo?: typeof hostMemory | undefined;
}

export const hostMemory = Symbol('host memory');

export interface PagerStats {
  readonly pages: number;
  readonly residentBytes: number;
  readonly totalBytes: number;
  /** Pages brought back, and sent out, so far. */
  readonly pageIns: number;
  readonly pageOuts: number;
}

/** What `readSync` and `writeSync` have in common. */
type MoveBytes = (file: number, bytes: Uint8Array, offset: number, length: number, position: number) => number;

/**
 * Optimizer state in fixed-size host pages under a resident budget: when room is needed, the least recently used page
 * goes where `spillTo` says, as a rule to a file on disk. bitsandbytes leaves this to CUDA's managed memory
 * (QLoRA, Dettmers et al., 2023, §3); here it is explicit and counted.
 */
export class Pager {
  /** Resident pages, the least recently used first (a Map keeps the order of insertion). */
  private readonly resident = new Map<number, Uint8Array<ArrayBuffer>>();
  private readonly spilled = new Set<number>();
  private spill: number | undefined;
  private host: Uint8Array | undefined;
  private ins = 0;
  private outs = 0;

  /** @throws RangeError if not even one page may stay in memory */
  constructor(readonly pages: number, private readonly options: PagerOptions) {
    if (options.residentPages < 1) throw new RangeError('Pager: at least one page must fit in memory');
  }

  /**
   * The page, a buffer of its own, zero when first touched. It may be changed in place until another is asked for.
   *
   * @throws RangeError if there is no such page
   */
  page(index: number): Uint8Array<ArrayBuffer> {
    if (!(index >= 0 && index < this.pages)) throw new RangeError(`Pager: there is no page ${index} of ${this.pages}`);
    const page = this.resident.get(index) ?? this.bringIn(index);
    this.resident.delete(index); // to the end: now the most recently used
    this.resident.set(index, page);
    return page;
  }

  get stats(): PagerStats {
    const { pageBytes } = this.options;
    return {
      pages: this.pages,
      residentBytes: this.resident.size * pageBytes,
      totalBytes: this.pages * pageBytes,
      pageIns: this.ins,
      pageOuts: this.outs,
    };
  }

  /** The pages are lost, and what held them is free. */
  close(): void {
    this.host = undefined;
    if (this.spill !== undefined) closeSync(this.spill);
    this.spill = undefined;
  }

  private bringIn(index: number): Uint8Array<ArrayBuffer> {
    const isRoom = this.resident.size < this.options.residentPages;
    const page = isRoom ? new Uint8Array(this.options.pageBytes) : this.evict();
    if (this.spilled.has(index)) {
      if (this.spillsToHost) page.set(this.placeInHost(index));
      else this.moveAll(readSync, index, page);
      this.ins++;
    } else {
      page.fill(0);
    }
    return page;
  }

  /** Writes out the least recently used page and gives its memory to the next. */
  private evict(): Uint8Array<ArrayBuffer> {
    const [index, page] = this.resident.entries().next().value!;
    if (this.spillsToHost) this.placeInHost(index).set(page);
    else this.moveAll(writeSync, index, page);
    this.spilled.add(index);
    this.resident.delete(index);
    this.outs++;
    return page;
  }

  private get spillsToHost(): boolean {
    return this.options.spillTo === hostMemory;
  }

  private placeInHost(index: number): Uint8Array {
    const { pageBytes } = this.options;
    this.host ??= new Uint8Array(new SharedArrayBuffer(this.pages * pageBytes)); // of the process, not of the rank
    return this.host.subarray(index * pageBytes, (index + 1) * pageBytes);
  }

  /** Moves a whole page to or from its place in the file, where one call may move less than asked. */
  private moveAll(move: MoveBytes, index: number, page: Uint8Array): void {
    for (let done = 0; done < page.length;) {
      const moved = move(this.spillFile(), page, done, page.length - done, index * page.length + done);
      if (moved === 0) throw new Error(`Pager: page ${index} ends early in its file`);
      done += moved;
    }
  }

  /** A file without a name: it is gone with whoever has it open, however that ends. */
  private spillFile(): number {
    if (this.spill === undefined) {
      const path = join(tmpdir(), `optimizer-pages-${randomUUID()}`);
      this.spill = openSync(path, 'wx+', 0o600);
      rmSync(path);
    }
    return this.spill;
  }
}
