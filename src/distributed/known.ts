import { parseConfig } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';

type Shape = readonly [
  vocabulary: number, hidden: number, intermediate: number, layers: number, heads: number, kvHeads: number, tied?: 'tied',
];

/**
 * The shapes of well-known models, by model_type and name on the hub: what a plan needs, without the network. Checked
 * against litgpt/config.py (github.com/Lightning-AI/litgpt), which names the `config.json` that each comes from; LLaMA
 * 7B and 65B against Touvron et al., 2023, table 2. The test holds their parameters to those of the checkpoints.
 */
const shapes: Readonly<Record<string, Readonly<Record<string, Shape>>>> = {
  llama: {
    'huggyllama/llama-7b': [32000, 4096, 11008, 32, 32, 32],
    'huggyllama/llama-65b': [32000, 8192, 22016, 80, 64, 64],
    'meta-llama/Llama-2-7b-hf': [32000, 4096, 11008, 32, 32, 32],
    'meta-llama/Llama-2-13b-hf': [32000, 5120, 13824, 40, 40, 40],
    'meta-llama/Llama-2-70b-hf': [32000, 8192, 28672, 80, 64, 8],
    'meta-llama/Llama-3.1-8B': [128256, 4096, 14336, 32, 32, 8],
    'meta-llama/Llama-3.1-70B': [128256, 8192, 28672, 80, 64, 8],
    'meta-llama/Llama-3.2-1B': [128256, 2048, 8192, 16, 32, 8, 'tied'],
    'meta-llama/Llama-3.2-3B': [128256, 3072, 8192, 28, 24, 8, 'tied'],
    'meta-llama/Llama-3.3-70B-Instruct': [128256, 8192, 28672, 80, 64, 8],
    'TinyLlama/TinyLlama-1.1B-Chat-v1.0': [32000, 2048, 5632, 22, 32, 4],
    'HuggingFaceTB/SmolLM2-135M': [49152, 576, 1536, 30, 9, 3, 'tied'],
    'HuggingFaceTB/SmolLM2-360M': [49152, 960, 2560, 32, 15, 5, 'tied'],
    'HuggingFaceTB/SmolLM2-1.7B': [49152, 2048, 8192, 24, 32, 32, 'tied'],
  },
  mistral: {
    'mistralai/Mistral-7B-v0.1': [32000, 4096, 14336, 32, 32, 8],
    'mistralai/Mistral-7B-v0.3': [32768, 4096, 14336, 32, 32, 8],
  },
  qwen2: {
    'Qwen/Qwen2.5-0.5B': [151936, 896, 4864, 24, 14, 2, 'tied'],
    'Qwen/Qwen2.5-1.5B': [151936, 1536, 8960, 28, 12, 2, 'tied'],
    'Qwen/Qwen2.5-3B': [151936, 2048, 11008, 36, 16, 2, 'tied'],
    'Qwen/Qwen2.5-7B': [152064, 3584, 18944, 28, 28, 4],
    'Qwen/Qwen2.5-14B': [152064, 5120, 13824, 48, 40, 8],
    'Qwen/Qwen2.5-32B': [152064, 5120, 27648, 64, 40, 8],
  },
};

export const knownModels: readonly string[] = Object.values(shapes).flatMap((named) => Object.keys(named));

/** The configuration of a known model, upper and lower case alike. */
export function knownConfig(name: string): LlamaConfig | undefined {
  for (const [modelType, named] of Object.entries(shapes)) {
    const found = Object.entries(named).find(([known]) => known.toLowerCase() === name.toLowerCase());
    if (!found) continue;
    const [known, [vocabulary, hidden, intermediate, layers, heads, kvHeads, tied]] = found;
    return parseConfig({
      model_type: modelType, vocab_size: vocabulary, hidden_size: hidden, intermediate_size: intermediate,
      num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: kvHeads,
      tie_word_embeddings: tied !== undefined,
    }, known);
  }
  return undefined;
}
