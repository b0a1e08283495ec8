import { z } from 'zod';
import { parseAs } from '../checkpoint/files.ts';
import { positiveInteger } from '../checkpoint/issue.ts';
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

  // What Llama 2 has not, and some of the others have.

  /** How the rotary frequencies are stretched for longer texts. */
  readonly ropeScaling?: RopeScaling;
  /** The linear layers of a block that add a bias. */
  readonly biases?: readonly LinearName[];
  /** Whether each head's query and key pass through an RMSNorm of their own, before they are rotated. */
  readonly headNorms?: boolean;
  /** How many keys a query sees, its own included, in the layers where `slides` says so. */
  readonly slidingWindow?: number;
  /** Of each layer, whether its attention is limited to the window. */
  readonly slides?: readonly boolean[];
}

/** Rotary scalings by the names of transformers; `rotaryFrequencies` has their formulas. */
export type RopeScaling =
  | { readonly type: 'linear' | 'dynamic'; readonly factor: number }
  | {
    readonly type: 'llama3'; readonly factor: number; readonly lowFreqFactor: number; readonly highFreqFactor: number;
    readonly originalMaxPositions: number;
  }
  | {
    readonly type: 'yarn'; readonly factor: number; readonly originalMaxPositions: number;
    /** Turns in a text of the original length: frequencies of more are kept, of less stretched. */
    readonly betaFast: number; readonly betaSlow: number;
    /** Whether the ramp between them begins and ends at whole pairs. */
    readonly truncate: boolean;
    /** What cosines and sines are multiplied by. */
    readonly attentionFactor: number;
  };

/** The linear layers of a block, by their path inside it. */
export const linearNames = [
  'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj',
  'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj',
] as const;
export type LinearName = (typeof linearNames)[number];

const queryKeyValue: readonly LinearName[] = linearNames.slice(0, 3);
const ofAttention: readonly LinearName[] = linearNames.slice(0, 4);
const ofFeedForward: readonly LinearName[] = linearNames.slice(4);

interface Family {
  /** Of transformers' configuration class, for fields that `config.json` leaves out. */
  readonly defaults: { readonly kvHeads?: number; readonly headDim?: number; readonly maxPositions: number };
  readonly biases: (c: HuggingFaceConfig) => readonly LinearName[];
  readonly headNorms: boolean;
  /** Whether a layer's attention is limited to the window, if there is one. */
  readonly slides: (c: HuggingFaceConfig, layer: number) => boolean;
}

/** All that tells the families apart, by `model_type`. */
const families: Record<string, Family> = {
  // Llama 1 to 3, TinyLlama, SmolLM2.
  llama: {
    defaults: { maxPositions: 2048 },
    biases: (c) => [...(c.attention_bias ? ofAttention : []), ...(c.mlp_bias ? ofFeedForward : [])],
    headNorms: false,
    slides: () => false,
  },
  mistral: {
    defaults: { kvHeads: 8, maxPositions: 131072 },
    biases: () => [],
    headNorms: false,
    slides: (c, layer) => !c.layer_types || slidesByName(c, layer), // named layers make it a Ministral
  },
  // Qwen 2 and 2.5.
  qwen2: {
    defaults: { kvHeads: 32, maxPositions: 32768 },
    biases: () => queryKeyValue,
    headNorms: false,
    slides: qwenSlides,
  },
  qwen3: {
    defaults: { kvHeads: 32, headDim: 128, maxPositions: 32768 },
    biases: (c) => (c.attention_bias ? ofAttention : []),
    headNorms: true,
    slides: qwenSlides,
  },
};

function qwenSlides(c: HuggingFaceConfig, layer: number): boolean {
  if (!c.use_sliding_window) return false;
  return c.layer_types ? slidesByName(c, layer) : layer >= c.max_window_layers;
}

function slidesByName(c: HuggingFaceConfig, layer: number): boolean {
  return c.layer_types?.[layer] === 'sliding_attention';
}

const rope = z.object({
  rope_type: z.string().nullish(),
  type: z.string().nullish(), // what rope_type was called first
  rope_theta: z.number().positive().nullish(),
  partial_rotary_factor: z.number().nullish(),
  original_max_position_embeddings: positiveInteger.nullish(),
});
const scaled = z.object({ factor: z.number().positive() });
const llama3 = scaled.extend({
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
}).refine((c) => c.high_freq_factor > c.low_freq_factor, {
  path: ['high_freq_factor'], error: 'se esperaba un número mayor que low_freq_factor',
});
const yarn = z.object({
  factor: z.number().positive().nullish(),
  beta_fast: z.number().nonnegative().nullish(),
  beta_slow: z.number().nonnegative().nullish(),
  truncate: z.boolean().default(true),
  attention_factor: z.number().positive().nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
});

/** What is read of a Hugging Face `config.json`. */
const huggingFaceConfig = z.object({
  model_type: z.string(),
  vocab_size: positiveInteger,
  hidden_size: positiveInteger,
  intermediate_size: positiveInteger,
  num_hidden_layers: positiveInteger.max(1000, 'se esperaban 1000 como mucho'), // the largest have some 130; every layer is listed
  num_attention_heads: positiveInteger,
  num_key_value_heads: positiveInteger.nullish(),
  head_dim: positiveInteger.nullish(),
  max_position_embeddings: positiveInteger.nullish(),
  original_max_position_embeddings: positiveInteger.nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: z.string().default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  sliding_window: positiveInteger.nullable().default(4096),
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.number().int().nonnegative().default(28),
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'])).nullish(),
  // transformers 5 writes rope_parameters; older files rope_theta and rope_scaling.
  rope_theta: z.number().positive().nullish(),
  rope_scaling: rope.loose().nullish()
    .transform((scaling) => (Object.keys(scaling ?? {}).length > 0 ? scaling : undefined)), // an empty one says nothing
  rope_parameters: rope.loose().nullish(),
});
type HuggingFaceConfig = z.infer<typeof huggingFaceConfig>;

/**
 * Reads the parsed text of a Hugging Face `config.json`, as transformers' configuration classes do.
 *
 * @param file its path, for messages.
 * @throws UserError for another architecture, another rotary embedding, or a field that is missing or makes no sense.
 */
export function parseConfig(json: unknown, file: string): LlamaConfig {
  const type = z.object({ model_type: z.string() }).safeParse(json).data?.model_type;
  if (type !== undefined && !Object.hasOwn(families, type)) {
    throw new UserError(
      `${file}: la arquitectura «${type}» no está soportada; se esperaba un model_type de `
      + `${Object.keys(families).map((name) => `«${name}»`).join(', ')}. Elige un modelo de una de esas familias.`,
    );
  }
  const c = parseAs(huggingFaceConfig, json, `El archivo «${file}»`);
  const { defaults, headNorms, ...family } = families[c.model_type]!;
  if (c.hidden_act !== 'silu') throw unsupported(file, 'hidden_act', c.hidden_act, '«silu»');
  // Written as null it means one for every head; left out, what the family has.
  const { num_key_value_heads: written = defaults.kvHeads } = c;
  const kvHeads = written ?? c.num_attention_heads;
  if (c.num_attention_heads % kvHeads !== 0) {
    throw new UserError(
      `${file}: num_attention_heads (${c.num_attention_heads}) debe ser múltiplo de num_key_value_heads (${kvHeads}); corrige el archivo.`,
    );
  }
  const headDim = c.head_dim ?? defaults.headDim ?? c.hidden_size / c.num_attention_heads;
  if (headDim % 2 !== 0) {
    throw new UserError(
      `${file}: cada cabeza mide ${headDim} y se esperaba un número par (head_dim, o hidden_size entre `
      + 'num_attention_heads); corrige el archivo.',
    );
  }
  if (c.layer_types && c.layer_types.length !== c.num_hidden_layers) {
    throw new UserError(
      `${file}: layer_types nombra ${c.layer_types.length} capas y num_hidden_layers dice ${c.num_hidden_layers}; corrige el archivo.`,
    );
  }
  const maxPositions = c.max_position_embeddings ?? defaults.maxPositions;
  const ropeScaling = parseRopeScaling(c, maxPositions, file);
  const biases = family.biases(c);
  const slidingWindow = c.sliding_window ?? undefined;
  const slides = Array.from({ length: c.num_hidden_layers }, (_, layer) => family.slides(c, layer));
  return {
    vocabSize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads: c.num_attention_heads,
    kvHeads,
    headDim,
    maxPositions,
    rmsNormEps: c.rms_norm_eps,
    ropeTheta: ropeOf(c).rope_theta ?? c.rope_theta ?? 10000,
    tiedHead: c.tie_word_embeddings,
    ...(ropeScaling && { ropeScaling }),
    ...(biases.length > 0 && { biases }),
    ...(headNorms && { headNorms }),
    ...(slidingWindow && slides.includes(true) && { slidingWindow, slides }),
  };
}

function ropeOf(c: HuggingFaceConfig): z.infer<typeof rope> {
  return c.rope_scaling ?? c.rope_parameters ?? {};
}

function parseRopeScaling(c: HuggingFaceConfig, maxPositions: number, file: string): RopeScaling | undefined {
  const parameters = ropeOf(c);
  const type = parameters.rope_type ?? parameters.type ?? 'default';
  const share = parameters.partial_rotary_factor ?? 1;
  if (share !== 1) throw unsupported(file, 'partial_rotary_factor', String(share), '«1»');
  const originalMaxPositions =
    c.original_max_position_embeddings ?? parameters.original_max_position_embeddings ?? maxPositions;
  const subject = `El archivo «${file}», en ${c.rope_scaling ? 'rope_scaling' : 'rope_parameters'},`;
  switch (type) {
    case 'default':
      return undefined;
    case 'linear':
    case 'dynamic':
      return { type, factor: parseAs(scaled, parameters, subject).factor };
    case 'llama3': {
      const { factor, low_freq_factor: lowFreqFactor, high_freq_factor: highFreqFactor } =
        parseAs(llama3, parameters, subject);
      return { type, factor, lowFreqFactor, highFreqFactor, originalMaxPositions };
    }
    case 'yarn':
      return yarnOf(parseAs(yarn, parameters, subject), originalMaxPositions, maxPositions);
    default:
      throw unsupported(file, 'rope_type', type, '«default», «linear», «dynamic», «llama3» o «yarn»');
  }
}

function yarnOf(read: z.infer<typeof yarn>, originalMaxPositions: number, maxPositions: number): RopeScaling {
  const factor = read.factor ?? maxPositions / originalMaxPositions;
  const scale = (mscale: number) => (factor > 1 ? 1 + 0.1 * mscale * Math.log(factor) : 1);
  const { mscale, mscale_all_dim: allDim } = read;
  return {
    type: 'yarn', factor, originalMaxPositions, truncate: read.truncate,
    // `||`, as transformers has it: 0 says nothing
    betaFast: read.beta_fast || 32, betaSlow: read.beta_slow || 1,
    attentionFactor: read.attention_factor ?? (mscale && allDim ? scale(mscale) / scale(allDim) : scale(1)),
  };
}

function unsupported(file: string, field: string, found: string, expected: string): UserError {
  return new UserError(`${file}: ${field} «${found}» no está soportado; se esperaba ${expected}. Elige otro modelo.`);
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

/** Every weight of the model, by its name in a checkpoint, with its shape ([out, in] for linears, [out] for biases). */
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
    for (const name of linearNames) {
      shapes.set(`${block}.${name}.weight`, linears[name]);
      if (config.biases?.includes(name)) shapes.set(`${block}.${name}.bias`, [linears[name][0]!]);
    }
    if (config.headNorms) {
      shapes.set(`${block}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${block}.self_attn.k_norm.weight`, [headDim]);
    }
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
