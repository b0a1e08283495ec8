import { z } from 'zod';
import { parseAs } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';

/** The shape of a Llama-family decoder, in the names of the field. */
export interface LlamaConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Whether the output head is the embedding matrix. */
  readonly tiedHead: boolean;
}

const size = z.number().int().positive();

/** What is read of a Hugging Face `config.json`. */
const huggingFaceConfig = z.object({
  model_type: z.string(),
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: z.string().default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  // transformers 5 writes rope_parameters; older files rope_theta and rope_scaling.
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.object({ rope_type: z.string().optional(), type: z.string().optional() }).nullish(),
  rope_parameters: z.object({
    rope_type: z.string().default('default'), rope_theta: z.number().positive().nullish(),
  }).nullish(),
});

/**
 * Reads the parsed text of a Hugging Face `config.json`.
 *
 * @param file its path, for messages.
 * @throws UserError for another architecture, another rotary embedding, or a field that is missing or makes no sense.
 */
export function parseConfig(json: unknown, file: string): LlamaConfig {
  const type = z.object({ model_type: z.string() }).safeParse(json);
  if (type.success && type.data.model_type !== 'llama') {
    throw new UserError(
      `${file}: la arquitectura «${type.data.model_type}» no está soportada; se esperaba model_type «llama». `
      + 'Elige un modelo de la familia Llama.',
    );
  }
  const c = parseAs(huggingFaceConfig, json, `El archivo «${file}»`);
  const ropeType = c.rope_parameters?.rope_type ?? c.rope_scaling?.rope_type ?? c.rope_scaling?.type ?? 'default';
  refuseUnless(ropeType === 'default', file, 'rope_type', ropeType, 'default');
  refuseUnless(c.hidden_act === 'silu', file, 'hidden_act', c.hidden_act, 'silu');
  refuseUnless(!c.attention_bias, file, 'attention_bias', 'true', 'false');
  refuseUnless(!c.mlp_bias, file, 'mlp_bias', 'true', 'false');
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  if (c.num_attention_heads % kvHeads !== 0) {
    throw new UserError(
      `${file}: num_attention_heads (${c.num_attention_heads}) debe ser múltiplo de num_key_value_heads (${kvHeads}); corrige el fichero.`,
    );
  }
  const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  if (headDim % 2 !== 0) {
    throw new UserError(
      `${file}: cada cabeza mide ${headDim} y se esperaba un número par (head_dim, o hidden_size entre `
      + 'num_attention_heads); corrige el fichero.',
    );
  }
  return {
    vocabSize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads: c.num_attention_heads,
    kvHeads,
    headDim,
    maxPositions: c.max_position_embeddings,
    rmsNormEps: c.rms_norm_eps,
    ropeTheta: c.rope_parameters?.rope_theta ?? c.rope_theta ?? 10000,
    tiedHead: c.tie_word_embeddings,
  };
}

function refuseUnless(supported: boolean, file: string, field: string, found: string, expected: string): void {
  if (supported) return;
  throw new UserError(`${file}: ${field} «${found}» no está soportado; se esperaba «${expected}». Elige otro modelo.`);
}

/** The `config.json` that transformers loads, for a model that this project pre-trained. */
export function toHuggingFace(config: LlamaConfig, tokens: { bosId: number; eosId: number; padId: number }): object {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: 'silu',
    max_position_embeddings: config.maxPositions,
    initializer_range: 0.02,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tiedHead,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: tokens.bosId,
    eos_token_id: tokens.eosId,
    pad_token_id: tokens.padId,
    torch_dtype: 'bfloat16',
  };
}

/** The linear layers of a block, by their path inside it. */
export const linearNames = [
  'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj',
  'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj',
] as const;
export type LinearName = (typeof linearNames)[number];

/** Every weight of the model, by its name in a checkpoint, with its shape ([out, in] for linears). */
export function weightShapes(config: LlamaConfig): Map<string, number[]> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config;
  const linears: Record<LinearName, number[]> = {
    'self_attn.q_proj': [heads * headDim, hiddenSize],
    'self_attn.k_proj': [kvHeads * headDim, hiddenSize],
    'self_attn.v_proj': [kvHeads * headDim, hiddenSize],
    'self_attn.o_proj': [hiddenSize, heads * headDim],
    'mlp.gate_proj': [intermediateSize, hiddenSize],
    'mlp.up_proj': [intermediateSize, hiddenSize],
    'mlp.down_proj': [hiddenSize, intermediateSize],
  };
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < config.layers; layer++) {
    const block = `model.layers.${layer}`;
    shapes.set(`${block}.input_layernorm.weight`, [hiddenSize]);
    for (const name of linearNames) shapes.set(`${block}.${name}.weight`, linears[name]);
    shapes.set(`${block}.post_attention_layernorm.weight`, [hiddenSize]);
  }
  shapes.set('model.norm.weight', [hiddenSize]);
  if (!config.tiedHead) shapes.set('lm_head.weight', [vocabSize, hiddenSize]);
  return shapes;
}

/** Whether a weight is one of the linear layers that are kept in 4 bits (embeddings, norms and head are not). */
export function isLinear(weight: string): boolean {
  return linearNames.some((name) => weight.endsWith(`.${name}.weight`));
}
