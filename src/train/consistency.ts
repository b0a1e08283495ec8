import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { Batch } from '../data/batches.ts';
import type { Trainable } from '../peft/trainable.ts';
import { Random } from '../random.ts';
import { crossEntropy, divergence } from '../tensor/ops.ts';
import { answerLogits, lossAndGradients } from './gradients.ts';
import type { GradientOptions, LossAndGradients } from './gradients.ts';

/**
 * A batch through the model twice, by two draws, which should come to the same (AdaMix, Wang et al., 2022): the first
 * one's cross-entropy, plus ½ (KL(p‖q) + KL(q‖p)) over the answer's tokens. In each divergence the distribution that is
 * the target is taken as it is: gradients go through the other one alone. It costs a forward more than two batches.
 */
export async function consistentLossAndGradients(
  trainable: Trainable, batch: Batch, given: GradientOptions,
): Promise<LossAndGradients> {
  const { pass, scale } = given;
  // What a block runs differs from draw to draw: none can be recorded for the next.
  const options = { ...given, graphs: undefined };
  const other = { ...pass, seed: Random.for(pass.seed, 'other draw').uint32() };
  const q = tf.tidy(() => // (answer tokens, vocab)
    answerLogits(trainable.base, batch, other, options.answersOnly ?? false).logSoftmax<Tensor2D>());
  let p!: Tensor2D; // (answer tokens, vocab)
  const first = await lossAndGradients(trainable, batch, {
    ...options,
    loss: (logits, labels) => {
      p = tf.keep(logits.logSoftmax<Tensor2D>());
      return crossEntropy(logits, labels, scale).add(divergence(q, logits, scale / 2));
    },
  });
  const second = await lossAndGradients(trainable, batch, {
    ...options, pass: other, loss: (logits) => divergence(p, logits, scale / 2),
  });
  const gradients = first.gradients.map((gradient, i) => tf.tidy(() => gradient.add(second.gradients[i]!)));
  tf.dispose([p, q, ...first.gradients, ...second.gradients]);
  return { ...first, loss: first.loss + second.loss, gradients };
}
