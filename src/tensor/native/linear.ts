import type * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { execute } from '../native.ts';
import type { PackedMatrix } from '../native-packed.ts';
import { customGrad } from '../custom-grad.ts';
import type { Update } from '../linear.ts';

/**
 * A linear layer from 4 bits with LoRA's update, multiplied in bfloat16 by operations of ours (product.cc):
 * x · Wᵀ + s · (u aᵀ) bᵀ. The update is summed with the rest, as so many more columns of x and of W.
 */
export function packedLinear(x: Tensor2D, w: PackedMatrix, { x: u, a, b, scaling }: Update): Tensor2D {
  const isSame = u === x;
  const op = customGrad((...args) => {
    const save = args.pop() as tf.GradSaveFunc;
    const [x, u, a, b] = (isSame ? [args[0], ...args] : args) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
    const low = product(u, a, true, scaling); // (rows, r)
    save([u, a, b, low]);
    return {
      value: w.product(x, true, [low, b]),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [u, a, b, low] = saved as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
        const dLow = product(dy, b, false, scaling); // (rows, r)
        const dx = isSame ? [w.product(dy, false, [dLow, a])] : [w.product(dy, false), product(dLow, a, false)];
        return [...dx, thinGradient(dLow, u, false), thinGradient(low, dy, true)];
      },
    };
  });
  return (isSame ? op(x, a, b) : op(x, u, a, b)) as Tensor2D;
}

/** s · x · wᵀ if `transposed`, w: (n, depth); or s · x · w, w: (depth, n). x: (rows, depth) → (rows, n). */
function product(x: Tensor, w: Tensor, transposed: boolean, scaling = 1): Tensor2D {
  const found = execute('DenseProduct', { transposed }, [x, w]) as Tensor2D;
  return scaling === 1 ? found : found.mul(scaling);
}

/** thinᵀ · wide if not `transposed`, (r, n); or wideᵀ · thin, (n, r). thin: (rows, r), wide: (rows, n). */
function thinGradient(thin: Tensor, wide: Tensor, transposed: boolean): Tensor2D {
  return execute('ThinGradient', { transposed }, [thin, wide]) as Tensor2D;
}
