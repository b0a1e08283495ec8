import { describe, expect, it } from 'vitest';
import { knownConfig, knownModels } from '../../src/distributed/known.ts';
import { modelSize } from '../../src/distributed/size.ts';

describe('known models', () => {
  it.each([
    ['huggyllama/llama-7b', 6_738_415_616],
    ['huggyllama/llama-65b', 65_285_660_672],
    ['meta-llama/Llama-2-7b-hf', 6_738_415_616],
    ['meta-llama/Llama-2-13b-hf', 13_015_864_320],
    ['meta-llama/Llama-2-70b-hf', 68_976_648_192],
    ['meta-llama/Llama-3.1-8B', 8_030_261_248],
    ['meta-llama/Llama-3.1-70B', 70_553_706_496],
    ['meta-llama/Llama-3.2-1B', 1_235_814_400],
    ['meta-llama/Llama-3.2-3B', 3_212_749_824],
    ['meta-llama/Llama-3.3-70B-Instruct', 70_553_706_496],
    ['TinyLlama/TinyLlama-1.1B-Chat-v1.0', 1_100_048_384],
    ['HuggingFaceTB/SmolLM2-135M', 134_515_008],
    ['HuggingFaceTB/SmolLM2-360M', 361_821_120],
    ['HuggingFaceTB/SmolLM2-1.7B', 1_711_376_384],
    ['mistralai/Mistral-7B-v0.1', 7_241_732_096],
    ['mistralai/Mistral-7B-v0.3', 7_248_023_552],
    ['Qwen/Qwen2.5-0.5B', 494_032_768],
    ['Qwen/Qwen2.5-1.5B', 1_543_714_304],
    ['Qwen/Qwen2.5-3B', 3_085_938_688],
    ['Qwen/Qwen2.5-7B', 7_615_616_512],
    ['Qwen/Qwen2.5-14B', 14_770_033_664],
    ['Qwen/Qwen2.5-32B', 32_763_876_352],
  ])('%s has %d parameters, as its checkpoint', (name, parameters) => {
    expect(modelSize(knownConfig(name)!).parameters).toBe(parameters);
  });

  it('are found in upper and lower case alike', () => {
    expect(knownConfig('meta-llama/llama-2-7B-hf')).toEqual(knownConfig('meta-llama/Llama-2-7b-hf'));
    expect(knownConfig('meta-llama/Llama-9')).toBeUndefined();
    expect(new Set(knownModels).size).toBe(knownModels.length);
  });
});
