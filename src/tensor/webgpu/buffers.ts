/** Bytes of free buffers that are kept for the next tensors of their sizes, at least. */
const KEPT = 256 * 2 ** 20;

/**
 * The backend's buffers, in place of TensorFlow.js's manager, which never gives one back: batches of many lengths would
 * leave a buffer behind for each size that there ever was. Here the buffer unused for longest goes, once those that
 * are free hold more than 256 MiB and more than a quarter of what those in use hold.
 */
export class Buffers {
  numBytesUsed = 0;
  numBytesAllocated = 0;
  /** The most there were at once: what the device's memory has to hold. */
  peakBytesAllocated = 0;
  private readonly used = new Set<GPUBuffer>();
  /** In the order in which they came free. */
  private readonly free = new Set<GPUBuffer>();
  private readonly freeByKind = new Map<string, GPUBuffer[]>();
  private isOver = false;

  constructor(private readonly device: GPUDevice) {}

  acquireBuffer(size: number, usage: number, mappedAtCreation = false, reuse = true): GPUBuffer {
    let buffer = reuse ? this.freeByKind.get(`${size} ${usage}`)?.pop() : undefined;
    if (buffer) {
      this.free.delete(buffer);
    } else {
      buffer = this.device.createBuffer({ size, usage, mappedAtCreation });
      this.numBytesAllocated += size;
      this.peakBytesAllocated = Math.max(this.peakBytesAllocated, this.numBytesAllocated);
    }
    this.used.add(buffer);
    this.numBytesUsed += size;
    return buffer;
  }

  releaseBuffer(buffer: GPUBuffer, reuse = true): void {
    if (this.isOver) return; // tensors of a device that was lost
    if (!this.used.delete(buffer)) throw new Error('Buffers: a buffer that is not in use is released');
    this.numBytesUsed -= buffer.size;
    if (!reuse) return this.destroy(buffer);
    this.free.add(buffer);
    const kind = `${buffer.size} ${buffer.usage}`;
    const same = this.freeByKind.get(kind);
    if (same) same.push(buffer);
    else this.freeByKind.set(kind, [buffer]);
    this.trim();
  }

  private trim(): void {
    for (const oldest of this.free) {
      if (this.numBytesAllocated - this.numBytesUsed <= Math.max(KEPT, this.numBytesUsed / 4)) return;
      this.free.delete(oldest);
      const kind = `${oldest.size} ${oldest.usage}`;
      const same = this.freeByKind.get(kind)!;
      same.splice(same.indexOf(oldest), 1);
      if (same.length === 0) this.freeByKind.delete(kind);
      this.destroy(oldest);
    }
  }

  private destroy(buffer: GPUBuffer): void {
    this.numBytesAllocated -= buffer.size;
    buffer.destroy();
  }

  /** Of those in use, as TensorFlow.js's manager tells it. */
  getNumUsedBuffers(): number {
    return this.used.size;
  }

  dispose(): void {
    this.isOver = true;
    for (const buffer of [...this.used, ...this.free]) buffer.destroy();
    this.used.clear();
    this.free.clear();
    this.freeByKind.clear();
    this.numBytesUsed = 0;
    this.numBytesAllocated = 0;
  }
}
