import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';
import { webgpuBackend } from './device.ts';

/** Where some of a tensor's numbers lie in a flat one: `size` of them, from `from` on there, from `at` on here. */
export interface Piece {
  readonly tensor: number;
  readonly from: number;
  readonly at: number;
  readonly size: number;
}

/** Tensors one after another into flat ones of so many numbers, the last one shorter: the pieces of each. */
export function layFlat(sizes: readonly number[], most: number): Piece[][] {
  const flats: Piece[][] = [];
  let room = 0;
  sizes.forEach((size, tensor) => {
    for (let from = 0; from < size;) {
      if (room === 0) {
        flats.push([]);
        room = most;
      }
      const taken = Math.min(room, size - from);
      flats.at(-1)!.push({ tensor, from, at: most - room, size: taken });
      from += taken;
      room -= taken;
    }
  });
  return flats;
}

export function flatLength(pieces: readonly Piece[]): number {
  const { at, size } = pieces.at(-1)!;
  return at + size;
}

/** The pieces of float32 tensors as one: a new one, or one that there is. */
export function gather(tensors: readonly Tensor[], pieces: readonly Piece[], into?: Tensor1D): Tensor1D {
  const flat = into ?? tf.engine().makeTensorFromTensorInfo(
    webgpuBackend().makeTensorInfo([flatLength(pieces)], 'float32')) as Tensor1D;
  copy(pieces.map(({ tensor, from, at, size }) => ({ from: tensors[tensor]!, start: from, to: flat, at, size })));
  return flat;
}

/** Puts what lies in a flat tensor in the tensors that the pieces are of, in place. */
export function spread(flat: Tensor1D, pieces: readonly Piece[], tensors: readonly Tensor[]): void {
  copy(pieces.map(({ tensor, from, at, size }) => ({ from: flat, start: at, to: tensors[tensor]!, at: from, size })));
}

interface Copy {
  readonly from: Tensor;
  readonly start: number;
  readonly to: Tensor;
  readonly at: number;
  readonly size: number;
}

/** In the backend's own queue, between its kernels. */
function copy(copies: readonly Copy[]): void {
  const backend = webgpuBackend();
  for (const { dataId } of copies.flatMap(({ from, to }) => [from, to])) {
    backend.uploadToGPU(dataId);
    backend.commandQueueOwnedIds.add(dataId); // nobody else gets its buffer before the queue is done
  }
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  const buffer = ({ dataId }: Tensor) => backend.tensorMap.get(dataId).resource!;
  for (const { from, start, to, at, size } of copies) {
    backend.commandEncoder!.copyBufferToBuffer(buffer(from), 4 * start, buffer(to), 4 * at, 4 * size);
    backend.tensorMap.get(to.dataId).values = null; // if it has been read
  }
}
