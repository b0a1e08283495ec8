import * as tf from '@tensorflow/tfjs';
import { Random } from '../random.ts';
import type { AttentionPlace } from '../tensor/ops.ts';
import type { LlamaConfig } from './config.ts';
import { causalPlacement, inference } from './llama.ts';
import type { LayerCache, LlamaModel, Placement } from './llama.ts';
import { rotaryTables } from './rotary.ts';
import { drawToken, tokenProbabilities } from './sampling.ts';
import type { Sampling } from './sampling.ts';

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** Any of these ends an answer. */
  readonly eosIds: readonly number[];
  /** Without it, each token is the likeliest. With it, each prompt draws its own, whoever stands beside it. */
  readonly sampling?: Sampling & { readonly seed: number };
  /** How many prompts go side by side. */
  readonly batchSize?: number;
}

/**
 * Continuations of several prompts, each up to and without the end token.
 * Keys and values are cached; the prompts of a batch may differ in length.
 */
export async function generate(
  model: LlamaModel, prompts: readonly (readonly number[])[], options: GenerateOptions,
): Promise<number[][]> {
  const { batchSize = 128 } = options;
  // Prompts of like length go together, so that little of a batch is padding.
  const order = prompts.map((_, i) => i).sort((a, b) => prompts[a]!.length - prompts[b]!.length || a - b);
  const answers: number[][] = new Array<number[]>(prompts.length);
  const randoms = prompts.map((_, i) => Random.for(options.sampling?.seed ?? 0, 'sampling', i));
  for (let start = 0; start < order.length; start += batchSize) {
    const chosen = order.slice(start, start + batchSize);
    const generated = await generateBatch(
      model, chosen.map((i) => prompts[i]!), chosen.map((i) => randoms[i]!), options,
    );
    chosen.forEach((i, row) => (answers[i] = generated[row]!));
  }
  return answers;
}

async function generateBatch(
  model: LlamaModel, prompts: readonly (readonly number[])[], randoms: readonly Random[],
  { maxNewTokens, eosIds, sampling }: GenerateOptions,
): Promise<number[][]> {
  const { config } = model;
  const batch = prompts.length;
  const width = Math.max(...prompts.map((prompt) => prompt.length));
  const ids = new Int32Array(batch * width); // right-padded with 0, which nobody looks at
  prompts.forEach((prompt, row) => ids.set(prompt, row * width));

  const answers: number[][] = prompts.map(() => []);
  const finished = new Set<number>();
  let caches: LayerCache[] = [];
  let grown: LayerCache[] = []; // what the caches become by the pass under way

  /** One pass over new tokens; adds to the caches and returns the next token of each prompt. */
  const advance = async (ids: Int32Array, placement: () => Placement, lastRows: number[]): Promise<number[]> => {
    const next = tf.tidy(() => {
      const place = placement();
      let x = model.embed(tf.tensor1d(ids, 'int32')); // (batch·queries, hidden); after the last block (batch, hidden)
      const rows = tf.tensor1d(lastRows, 'int32');
      for (let layer = 0; layer < config.layers; layer++) {
        x = tf.tidy(() => model.block(layer, x, place, inference, {
          cache: { past: caches[layer], keep: ({ k, v }) => grown.push({ k: tf.keep(k), v: tf.keep(v) }) },
          rows: layer === config.layers - 1 ? rows : undefined,
        }));
      }
      const logits = model.head(x); // (batch, vocab)
      return sampling ? logits : logits.argMax(1);
    });
    disposeCaches(caches);
    [caches, grown] = [grown, []];
    const values = await next.data();
    next.dispose();
    if (!sampling) return [...values];
    return randoms.map((random, row) => {
      const logits = values.subarray(row * config.vocabSize, (row + 1) * config.vocabSize) as Float32Array;
      return drawToken(tokenProbabilities(logits, sampling), random);
    });
  };

  const ends = prompts.map((prompt, row) => row * width + prompt.length - 1);
  const everyRow = prompts.map((_, row) => row);
  try {
    let tokens = await advance(ids, () => causalPlacement(config, batch, width), ends);
    for (let made = 0; ; made++) {
      tokens.forEach((token, row) => {
        if (finished.has(row)) return;
        if (eosIds.includes(token)) finished.add(row);
        else answers[row]!.push(token);
      });
      if (finished.size === batch || made + 1 >= maxNewTokens) return answers;
      tokens = await advance(Int32Array.from(tokens), () => nextPlacement(config, prompts, width, made), everyRow);
    }
  } finally {
    disposeCaches([...caches, ...grown]);
  }
}

/** Where the token after `made` others stands: past the padding in the cache, at its own position in the text. */
function nextPlacement(
  config: LlamaConfig, prompts: readonly (readonly number[])[], width: number, made: number,
): Placement {
  const { heads, kvHeads, slidingWindow = Infinity } = config;
  const [batch, group, keys] = [prompts.length, heads / kvHeads, width + made + 1];
  const place = (window: number): AttentionPlace => {
    const mask = new Float32Array(batch * keys);
    prompts.forEach(({ length }, row) => {
      const hide = (from: number, to: number) => mask.fill(-1e9, row * keys + from, row * keys + Math.max(from, to));
      hide(length, width);
      const passed = length + made + 1 - window; // tokens of the text that the window has left behind
      hide(0, Math.min(passed, length));
      hide(width, width + passed - length);
    });
    const perPrompt = tf.tensor4d(mask, [batch, 1, 1, keys]);
    // (batch, 1, group, keys)
    return { batch, queries: 1, mask: group === 1 ? perPrompt : perPrompt.tile([1, 1, group, 1]), causal: false };
  };
  return {
    ...place(Infinity),
    rotary: rotaryTables(config, prompts.map((prompt) => prompt.length + made)),
    ...(slidingWindow < keys && { sliding: place(slidingWindow) }),
  };
}

function disposeCaches(caches: readonly LayerCache[]): void {
  for (const { k, v } of caches) tf.dispose([k, v]);
}
