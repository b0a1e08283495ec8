/** Bytes on their way from one rank to another; a longer message goes through as there is room. A power of two. */
const capacity = 1 << 20;

/** Two counters, of the bytes that were ever put in and taken out, and the bytes between them. */
const pipeBytes = 8 + capacity;

/** Every rank has a bell, which rings when something has come for it, or been taken of what it sent. */
const bellBytes = (ranks: number): number => 8 * ranks;

/** The memory through which so many ranks talk: a pipe for each that sends to each. Only what is used is ever real. */
export function sharedMemory(ranks: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bellBytes(ranks) + ranks * ranks * pipeBytes);
}

/** Bytes from one rank to another, in order: as many as there is room for, or as there are. Nobody waits in it. */
class Pipe {
  private readonly counters: Int32Array<SharedArrayBuffer>;
  private readonly bytes: Uint8Array;
  private readonly bells: Int32Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer, ranks: number, private readonly from: number, private readonly to: number) {
    const at = bellBytes(ranks) + (from * ranks + to) * pipeBytes;
    this.counters = new Int32Array(memory, at, 2);
    this.bytes = new Uint8Array(memory, at + 8, capacity);
    this.bells = bellsOf(memory, ranks);
  }

  /** @returns how many of the bytes there was room for */
  put(bytes: Uint8Array): number {
    return this.pass(bytes.length, 0, (at, length) => this.bytes.set(bytes.subarray(0, length), at));
  }

  /** @returns how many bytes there were */
  take(into: Uint8Array): number {
    return this.pass(into.length, 1, (at, length) => into.set(this.bytes.subarray(at, at + length)));
  }

  /** @param end whose counter goes on: 0 of the bytes put in, 1 of those taken out */
  private pass(most: number, end: 0 | 1, move: (at: number, length: number) => void): number {
    const [own, other] = [Atomics.load(this.counters, end), Atomics.load(this.counters, 1 - end)];
    // The counters overflow, their difference does not.
    const ready = end === 0 ? capacity - ((own - other) | 0) : (other - own) | 0;
    const at = (own >>> 0) % capacity;
    const length = Math.min(ready, most, capacity - at);
    if (length === 0) return 0;
    move(at, length);
    Atomics.store(this.counters, end, (own + length) | 0);
    const listener = end === 0 ? this.to : this.from;
    Atomics.add(this.bells, listener, 1);
    Atomics.notify(this.bells, listener);
    return length;
  }
}

const bellsOf = (memory: SharedArrayBuffer, ranks: number): Int32Array<SharedArrayBuffer> =>
  new Int32Array(memory, 0, ranks);

/** Values for another rank, or room for those from it. */
export interface Message {
  readonly values: Float32Array | Uint8Array;
  /** Its place in the group. */
  readonly other: number;
}

/**
 * The ranks that do something together, seen from one of them. All of them call the same in the same order. What they
 * do goes around a ring, each sending to the next alone (Patarasuk and Yuan, 2009): of Ψ bytes, (N − 1)/N · Ψ to
 * scatter their sums or to gather their parts, and twice that to do both.
 */
export class Group {
  /** Bytes that this rank has sent. */
  sent = 0;
  /** Goes about a collective, where there are several ranks: for who wants to know when they are. */
  around: (collective: () => void) => void = (collective) => collective();
  /** Its place among them. */
  readonly index: number;

  /** @param members ranks, of the `ranks` that the memory is for */
  constructor(
    private readonly memory: SharedArrayBuffer, private readonly ranks: number, private readonly rank: number,
    readonly members: readonly number[],
  ) {
    this.index = members.indexOf(rank);
  }

  get size(): number {
    return this.members.length;
  }

  /** @param to place in the group */
  send(values: Float32Array, to: number): void {
    this.exchange({ values, other: to }, undefined);
  }

  receive(values: Float32Array, from: number): void {
    this.exchange(undefined, { values, other: from });
  }

  /** Sends and receives at once: the other side may not take the one before the other has been taken from it. */
  exchange(outgoing: Message | undefined, incoming: Message | undefined): void {
    const { memory, ranks, rank, members } = this;
    const away = new Pipe(memory, ranks, rank, members[outgoing?.other ?? this.index]!);
    const here = new Pipe(memory, ranks, members[incoming?.other ?? this.index]!, rank);
    const [out, into] = [bytesOf(outgoing?.values ?? nothing), bytesOf(incoming?.values ?? nothing)];
    const bells = bellsOf(memory, ranks);
    for (let [put, taken] = [0, 0]; put < out.length || taken < into.length;) {
      const rung = Atomics.load(bells, rank); // before looking: what comes after that wakes
      const [sent, got] = [away.put(out.subarray(put)), here.take(into.subarray(taken))];
      [put, taken] = [put + sent, taken + got];
      if (sent + got === 0) Atomics.wait(bells, rank, rung);
    }
    this.sent += out.length;
  }

  /** Everybody's values summed, in place. */
  allReduce(values: Float32Array): void {
    this.collective(() => {
      this.scatterSums(values);
      this.gatherParts(values);
    });
  }

  /** Everybody's values summed, of which each rank gets its part: a view of `values`, whose rest is then of no use. */
  reduceScatter(values: Float32Array): Float32Array {
    this.collective(() => this.scatterSums(values));
    return values.subarray(...this.part(values.length, this.index));
  }

  /** The whole that everybody's part makes; one's own is in its place already. */
  allGather(values: Float32Array | Uint8Array): void {
    this.collective(() => this.gatherParts(values));
  }

  /** One rank's values to all. */
  broadcast(values: Float32Array, from: number): void {
    const behind = (this.index - from + this.size) % this.size;
    if (behind > 0) this.receive(values, (this.index - 1 + this.size) % this.size);
    if (behind < this.size - 1) this.send(values, (this.index + 1) % this.size);
  }

  /** From where to where the part of one of them goes, of so many values. */
  part(length: number, index: number): [from: number, to: number] {
    return [Math.floor(index * length / this.size), Math.floor((index + 1) * length / this.size)];
  }

  private collective(action: () => void): void {
    if (this.size > 1) this.around(action);
  }

  private scatterSums(values: Float32Array): void {
    const incoming = new Float32Array(Math.ceil(values.length / this.size));
    for (let step = 1; step < this.size; step++) {
      const sum = this.partOf(values, this.index - step - 1);
      const added = incoming.subarray(0, sum.length);
      this.pass(this.partOf(values, this.index - step), added);
      for (let i = 0; i < sum.length; i++) sum[i]! += added[i]!;
    }
  }

  private gatherParts(values: Float32Array | Uint8Array): void {
    for (let step = 0; step < this.size - 1; step++) {
      this.pass(this.partOf(values, this.index - step), this.partOf(values, this.index - step - 1));
    }
  }

  private partOf<T extends Float32Array | Uint8Array>(values: T, index: number): T {
    return values.subarray(...this.part(values.length, (index + 2 * this.size) % this.size)) as T;
  }

  /** To the next, and from the one before. */
  private pass(values: Float32Array | Uint8Array, into: Float32Array | Uint8Array): void {
    const [next, before] = [(this.index + 1) % this.size, (this.index - 1 + this.size) % this.size];
    this.exchange({ values, other: next }, { values: into, other: before });
  }
}

const nothing = new Uint8Array(0);

const bytesOf = (values: Float32Array | Uint8Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
