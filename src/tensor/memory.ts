import * as tf from '@tensorflow/tfjs';

/**
 * Counts the bytes of all live tensors at every allocation, so that a peak inside a
 * gradient tape is seen too (`tf.memory()` only tells what is alive when it is asked, and counts what
 * several tensors share, as views do, once for each).
 */
export class TensorMemory {
  private bytes: number;
  private highest: number;

  constructor() {
    const { state } = tf.engine();
    this.bytes = state.numBytes;
    this.highest = state.numBytes;
    // The engine notes every buffer in this one table when it comes, and takes it out when it goes.
    const buffers = state.tensorInfo;
    const [set, remove] = [buffers.set.bind(buffers), buffers.delete.bind(buffers)];
    buffers.set = (id, info) => {
      this.bytes += info.bytes;
      this.highest = Math.max(this.highest, this.bytes);
      return set(id, info);
    };
    buffers.delete = (id) => {
      this.bytes -= buffers.get(id)?.bytes ?? 0;
      return remove(id);
    };
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

  /** Stops counting, and leaves the engine as it was. */
  close(): void {
    const buffers = tf.engine().state.tensorInfo as Partial<Pick<WeakMap<object, unknown>, 'set' | 'delete'>>;
    delete buffers.set;
    delete buffers.delete;
  }
}
