/** Bytes on their way from one rank to another; a longer message goes through in pieces. A power of two. */
const capacity = 1 << 20;

/** Bytes that are sent before as many are received: two pieces always fit, so that a ring of senders cannot stall. */
const piece = capacity / 2;

/** Two counters, of the bytes that were ever put in and taken out, and the bytes between them. */
const pipeBytes = 8 + capacity;

/** The memory through which so many ranks talk: a pipe for each that sends to each. Only what is used is ever real. */
export function sharedMemory(ranks: number): SharedArrayBuffer {
  return new SharedArrayBuffer(ranks * ranks * pipeBytes);
}

/** Bytes from one rank to another, in order. Who finds no room, or nothing, sleeps until the other has gone on. */
class Pipe {
  private readonly counters: Int32Array<SharedArrayBuffer>;
  private readonly bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer, index: number) {
    this.counters = new Int32Array(memory, index * pipeBytes, 2);
    this.bytes = new Uint8Array(memory, index * pipeBytes + 8, capacity);
  }

  put(bytes: Uint8Array): void {
    this.pass(bytes.length, 0, (done, at, length) => this.bytes.set(bytes.subarray(done, done + length), at));
  }

  take(into: Uint8Array): void {
    this.pass(into.length, 1, (done, at, length) => into.set(this.bytes.subarray(at, at + length), done));
  }

  /** @param end whose counter goes on: 0 of the bytes put in, 1 of those taken out */
  private pass(total: number, end: 0 | 1, move: (done: number, at: number, length: number) => void): void {
    for (let done = 0; done < total;) {
      const [own, other] = [Atomics.load(this.counters, end), Atomics.load(this.counters, 1 - end)];
      // The counters overflow, their difference does not.
      const ready = end === 0 ? capacity - ((own - other) | 0) : (other - own) | 0;
      if (ready === 0) {
        Atomics.wait(this.counters, 1 - end, other);
        continue;
      }
      const at = (own >>> 0) % capacity;
      const length = Math.min(ready, total - done, capacity - at);
      move(done, at, length);
      done += length;
      Atomics.store(this.counters, end, (own + length) | 0);
      Atomics.notify(this.counters, end);
    }
  }
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
    const bytes = bytesOf(values);
    this.pipe(this.rank, this.members[to]!).put(bytes);
    this.sent += bytes.length;
  }

  receive(into: Float32Array, from: number): void {
    this.pipe(this.members[from]!, this.rank).take(bytesOf(into));
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
    const [outgoing, incoming] = [bytesOf(values), bytesOf(into)];
    const next = this.pipe(this.rank, this.members[(this.index + 1) % this.size]!);
    const before = this.pipe(this.members[(this.index - 1 + this.size) % this.size]!, this.rank);
    for (let at = 0; at < Math.max(outgoing.length, incoming.length); at += piece) {
      next.put(outgoing.subarray(at, at + piece));
      before.take(incoming.subarray(at, at + piece));
    }
    this.sent += outgoing.length;
  }

  private pipe(from: number, to: number): Pipe {
    return new Pipe(this.memory, from * this.ranks + to);
  }
}

const bytesOf = (values: Float32Array | Uint8Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
