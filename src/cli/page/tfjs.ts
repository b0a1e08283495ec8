/**
 * What stands for `@tensorflow/tfjs` in the page: its core with all gradients and methods of tensors, without layers,
 * converters and other backends, which a training does not use and which weigh a megabyte.
 */
// @ts-expect-error: it declares nothing
import '@tensorflow/tfjs-core/dist/register_all_gradients';
// @ts-expect-error: it declares nothing
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';

export * from '@tensorflow/tfjs-core';
