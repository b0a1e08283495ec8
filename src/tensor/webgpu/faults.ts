import { UserError } from '../../errors.ts';

/** What went wrong on a device. WebGPU tells it after the fact: whoever reads a value asks for it. */
export class Faults {
  private fault: Error | undefined;
  isLost = false;

  /** @param afterLoss Spanish: what to do when the device is lost */
  constructor(device: GPUDevice, private readonly afterLoss: string) {
    void device.lost.then(({ message }) => this.lost(message));
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      // An allocation that fails makes everything after it invalid: the first fault is the cause.
      this.fault ??= error.constructor.name === 'GPUOutOfMemoryError'
        ? new UserError('La GPU no tiene memoria para este paso: baja --batch-size o --max-length, o usa --backend wasm.')
        : new Error(`WebGPU: ${error.message}`);
    });
  }

  private lost(why: string): void {
    if (this.isLost) return;
    this.isLost = true;
    const reason = why.trim().split('\n')[0]!;
    this.fault = new UserError(`La GPU ha dejado de responder${reason && ` (${reason})`}: ${this.afterLoss}.`);
  }

  /** A buffer could not be read: if nothing else is known, because the device is gone. */
  unreadable(): never {
    if (!this.fault) this.lost('');
    throw this.fault!;
  }

  /** @throws UserError when the device was lost or has no memory left; Error when a kernel of ours is not valid */
  check(): void {
    if (this.fault) throw this.fault;
  }
}
