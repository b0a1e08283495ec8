import { isLinear, weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { sizeOf } from '../shape.ts';

/** What the planner needs to know of a model: plain data, so that a page can carry it. */
export interface ModelSize extends Pick<
  LlamaConfig, 'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'kvHeads' | 'headDim' | 'vocabSize'
> {
  /** The linear layers of one block, [out, in], by the last part of their names. */
  readonly linears: Readonly<Record<string, readonly [number, number]>>;
  /** Parameters of one block that are in no linear layer: norms and biases. */
  readonly blockRest: number;
  readonly embedding: number;
  /** The final norm and the output head; a head tied to the embedding has no parameters of its own. */
  readonly norm: number;
  readonly head: number;
  readonly parameters: number;
}

/** Counted from the shapes of the model's own weights. */
export function modelSize(config: LlamaConfig): ModelSize {
  const shapes = [...weightShapes(config)];
  const count = (kept: (name: string) => boolean) => shapes
    .filter(([name]) => kept(name))
    .reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
  const first = 'model.layers.0.';
  const linears = shapes.filter(([name]) => name.startsWith(first) && isLinear(name))
    .map(([name, shape]) => [name.split('.').at(-2)!, shape as [number, number]] as const);
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, vocabSize } = config;
  return {
    hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, vocabSize,
    linears: Object.fromEntries(linears),
    blockRest: count((name) => name.startsWith(first) && !isLinear(name)),
    embedding: count((name) => name === 'model.embed_tokens.weight'),
    norm: count((name) => name === 'model.norm.weight'),
    head: count((name) => name === 'lm_head.weight'),
    parameters: count(() => true),
  };
}
