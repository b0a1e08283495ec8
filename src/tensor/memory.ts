import * as tf from '@tensorflow/tfjs';

/**
 * Counts the bytes of all live tensors at every allocation, so that a peak inside a
 * gradient tape is seen too (`tf.memory()` only tells what is alive when it is asked).
 */
export class TensorMemory {
  private bytes: number;
  private highest: number;

  constructor() {
    const state = tf.engine().state;
    this.bytes = state.numBytes;
    this.highest = state.numBytes;
    // The engine adds to and takes from this one field whenever a tensor comes or goes.
    Object.defineProperty(state, 'numBytes', {
      configurable: true,
      get: () => this.bytes,
      set: (value: number) => {
        this.bytes = value;
        if (value > this.highest) this.highest = value;
      },
    });
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
    Object.defineProperty(tf.engine().state, 'numBytes', {
      configurable: true, enumerable: true, writable: true, value: this.bytes,
    });
  }
}
