import * as tf from '@tensorflow/tfjs';

/** Those that count now. */
const counting = new Set<TensorMemory>();

/**
 * Counts the bytes of all live tensors at every allocation, so that a peak inside a
 * gradient tape is seen too (`tf.memory()` only tells what is alive when it is asked, and counts what
 * several tensors share, as views do, once for each).
 */
export class TensorMemory {
  private bytes = tf.engine().state.numBytes;
  private highest = this.bytes;

  constructor() {
    if (counting.size === 0) listen();
    counting.add(this);
  }

  /** Bytes of the tensors alive now. */
  get current(): number {
    return this.bytes;
  }

  /** The most there were at once since the start, or since `resetPeak`. */
  get peak(): number {
    return this.highest;
  }

  resetPeak(): void {
    this.highest = this.bytes;
  }

  /** Bytes came, or went. */
  change(bytes: number): void {
    this.bytes += bytes;
    this.highest = Math.max(this.highest, this.bytes);
  }

  /** Stops counting; after the last one the engine is as it was. */
  close(): void {
    if (!counting.delete(this) || counting.size > 0) return;
    const buffers = tf.engine().state.tensorInfo as Partial<Pick<WeakMap<object, unknown>, 'set' | 'delete'>>;
    delete buffers.set;
    delete buffers.delete;
  }
}

/** The engine notes every buffer in one table when it comes, and takes it out when it goes: each is told to all. */
function listen(): void {
  const buffers = tf.engine().state.tensorInfo;
  const [set, remove] = [buffers.set.bind(buffers), buffers.delete.bind(buffers)];
  buffers.set = (id, info) => {
    counting.forEach((memory) => memory.change(info.bytes));
    return set(id, info);
  };
  buffers.delete = (id) => {
    const { bytes } = buffers.get(id) ?? { bytes: 0 };
    counting.forEach((memory) => memory.change(-bytes));
    return remove(id);
  };
}
