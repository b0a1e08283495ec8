import { build } from 'esbuild';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { knownConfig, knownModels } from '../../src/distributed/known.ts';
import {
  activationsOfBlock, bitsOfQuantized, bytesOfTrained, contextBytes, fragmentationShare, plan, planDefaults, refusal,
  shard,
} from '../../src/distributed/planner.ts';
import type { PlanOptions } from '../../src/distributed/planner.ts';
import { modelSize } from '../../src/distributed/size.ts';
import { loraDefaults, loraShapes } from '../../src/peft/lora.ts';
import { countParameters } from '../../src/peft/trainable.ts';

const sizeOf = (name: string) => modelSize(knownConfig(name)!);
const llama7 = sizeOf('meta-llama/Llama-2-7b-hf');
const llama70 = sizeOf('meta-llama/Llama-2-70b-hf');
const planOf = (options: Partial<PlanOptions>, size = llama7) => plan(size, { ...planDefaults, ...options });

describe('model states', () => {
  const states = { weights: 2 * 7.5e9, gradients: 2 * 7.5e9, optimizer: 12 * 7.5e9 };
  const total = (scheme: PlanOptions['scheme'], ranks: number) => {
    const { weights, gradients, optimizer } = shard(states, scheme, ranks);
    return (weights + gradients + optimizer) / 7.5e9;
  };

  it('are 16Ψ, 4Ψ + 12Ψ/N, 2Ψ + 14Ψ/N and 16Ψ/N', () => {
    for (const ranks of [1, 4, 64]) {
      expect(total('ddp', ranks)).toBeCloseTo(16, 12);
      expect(total('zero1', ranks)).toBeCloseTo(4 + 12 / ranks, 12);
      expect(total('zero2', ranks)).toBeCloseTo(2 + 14 / ranks, 12);
      expect(total('zero3', ranks)).toBeCloseTo(16 / ranks, 12);
      expect(total('fsdp', ranks)).toBe(total('zero3', ranks));
    }
  });

  it.each([
    ['full', 'mixed', 'adamw', 2, 2, 12],
    ['full', 'bf16', 'adamw', 2, 2, 4],
    ['full', 'fp32', 'adamw', 4, 4, 8],
    ['lora', 'mixed', 'adamw', 4, 4, 8],
    ['qlora', 'bf16', 'paged-adamw', 2, 2, 8],
    ['qlora', 'mixed', 'adamw-8bit', 4, 4, 2.03125],
  ] as const)('%s in %s by %s take %d + %d + %d bytes a trained parameter', (method, precision, optimizer, ...bytes) => {
    expect(Object.values(bytesOfTrained({ method, precision, optimizer }))).toEqual(bytes);
  });

  it('of a whole model: 16 bytes a parameter, wherever they are', () => {
    for (const scheme of ['ddp', 'zero1', 'zero2', 'zero3'] as const) {
      const { parts, host } = planOf({ method: 'full', scheme, gpus: 8, offload: scheme === 'ddp' ? 'none' : 'cpu' });
      const { weights, gradients, optimizer } = shard(
        { weights: 2, gradients: 2, optimizer: 12 }, scheme, 8);
      expect(parts.weights + parts.gradients + parts.optimizer + host)
        .toBeCloseTo(llama7.parameters * (weights + gradients + optimizer), -1);
    }
  });

  it('of a 4-bit base: 4.127 bits a weight with double quantisation and 4.5 without; the rest in fp32', () => {
    expect(bitsOfQuantized(true)).toBeCloseTo(4.127, 3);
    expect(bitsOfQuantized(false)).toBe(4.5);
    const wide = 2 * 32000 * 4096 + 65 * 4096;
    const { parts, trained } = planOf({ method: 'qlora' });
    const packed = (llama7.parameters - wide) * bitsOfQuantized(true) / 8;
    expect(parts.weights).toBeCloseTo(packed + 4 * (wide + trained), -1);
  });

  it('of a 4-bit base under FSDP: the scales stay whole on every rank', () => {
    const alone = planOf({ method: 'qlora', gpus: 2 }, llama70).parts.weights;
    const shared = planOf({ method: 'qlora', gpus: 2, scheme: 'fsdp' }, llama70).parts.weights;
    const scales = 80 * (2 * 8192 ** 2 + 2 * 8192 * 1024 + 3 * 8192 * 28672) * (bitsOfQuantized(true) - 4) / 8;
    expect(shared).toBeCloseTo((alone - scales) / 2 + scales, -1);
    const offloaded = planOf({ method: 'qlora', gpus: 2, scheme: 'fsdp', offload: 'cpu' }, llama70).parts.weights;
    expect(offloaded).toBeCloseTo(scales, -1);
  });

  it('with adapters: stages 1 and 2 save under a twentieth, sharding the base almost half', () => {
    const states = (scheme: PlanOptions['scheme']) => {
      const { weights, gradients, optimizer } = planOf({ method: 'qlora', gpus: 2, scheme }).parts;
      return weights + gradients + optimizer;
    };
    expect(states('zero2') / states('ddp')).toBeGreaterThan(0.95);
    expect(states('fsdp') / states('ddp')).toBeLessThan(0.52);
  });
});

describe('states of a stage', () => {
  const smol = sizeOf('HuggingFaceTB/SmolLM2-135M');
  const tied = sizeOf('meta-llama/Llama-3.2-1B');

  it('in 8 bits take two bytes and two scales a block, but for matrices under 4,096, as bitsandbytes', () => {
    const each = (r: number) => {
      const { parts, trained } = planOf({ r, optimizer: 'adamw-8bit' }, smol);
      return parts.optimizer / trained;
    };
    expect(each(1)).toBeCloseTo(8, 9); // the largest has 1,536
    expect(each(64)).toBeCloseTo(2 + 8 / 256, 9); // the smallest has 64 · 192
    const { trained } = planOf({ r: 8 }, smol);
    const small = 30 * 2 * 8 * 192; // B of keys and of values
    expect(each(8)).toBeCloseTo((8 * small + (2 + 8 / 256) * (trained - small)) / trained, 9);
  });

  it('of a pipeline\'s last one have a copy of the embedding where the head is tied to it', () => {
    const { weights } = planOf({ method: 'full', gpus: 2, pipelineParallel: 2 }, tied).parts;
    expect(weights).toBe(2 * (tied.parameters - tied.embedding - tied.norm) / 2 + 2 * (tied.embedding + tied.norm));
  });

  it('of adapters are divided by tensor parallel', () => {
    const { parts, trained } = planOf({ method: 'lora', gpus: 2, tensorParallel: 2 });
    expect(parts.optimizer).toBe(8 * trained / 2);
    expect(parts.gradients).toBe(4 * trained / 2);
  });

  it('have one matrix of a 4-bit base beside them, widened to multiply by it', () => {
    expect(planOf({}).parts.buffers).toBe(2 * 4096 * 11008);
    expect(planOf({ precision: 'fp32' }).parts.buffers).toBe(4 * 4096 * 11008);
    expect(planOf({ method: 'lora' }).parts.buffers).toBe(0);
  });
});

describe('parameters that wait on the host', () => {
  it('are what each stage of ZeRO shares out: the optimizer\'s states, from 2 on gradients, at 3 weights', () => {
    const left = (scheme: PlanOptions['scheme']) => {
      const { weights, gradients, optimizer } = planOf({ method: 'full', scheme, offload: 'cpu', gpus: 4 }).parts;
      return [weights, gradients, optimizer].map((bytes) => bytes / llama7.parameters);
    };
    expect(left('zero1')).toEqual([2, 2, 0]);
    expect(left('zero2')).toEqual([2, 0, 0]);
    expect(left('zero3')).toEqual([0, 0, 0]);
  });

  it('come whole to be used, a few blocks of them, on one card as on two', () => {
    const buffers = (gpus: number) => planOf({ method: 'full', scheme: 'zero3', offload: 'cpu', gpus }).parts.buffers;
    const block = 2 * (4 * 4096 ** 2 + 3 * 4096 * 11008 + 2 * 4096);
    const root = 2 * (2 * 32000 * 4096 + 4096);
    expect(buffers(1)).toBe(root + 3 * block + block); // and a block's gradients on their way there
    expect(buffers(1)).toBeLessThan(buffers(2)); // which have shards beside them
    expect(planOf({ method: 'full', scheme: 'zero3' }).parts.buffers).toBe(0);
  });

  it('leave room for the gradients’ buckets, whatever the cards', () => {
    const buffers = (gpus: number) => planOf({ method: 'full', scheme: 'zero2', offload: 'cpu', gpus }).parts.buffers;
    expect(buffers(1)).toBe(2 * 5e8);
    expect(buffers(2)).toBe(2 * 2 * 5e8);
  });
});

describe('trained parameters', () => {
  it.each([
    ['HuggingFaceTB/SmolLM2-135M', 'all-linear', 4_884_480, 139_399_488],
    ['HuggingFaceTB/SmolLM2-135M', ['q_proj', 'v_proj'], 921_600, 135_436_608],
    ['TinyLlama/TinyLlama-1.1B-Chat-v1.0', 'all-linear', 12_615_680, 1_112_664_064],
    ['meta-llama/Llama-2-7b-hf', 'all-linear', 39_976_960, 6_778_392_576],
    ['meta-llama/Llama-2-7b-hf', ['q_proj', 'v_proj'], 8_388_608, 6_746_804_224],
  ] as const)('of %s, LoRA on %s, are those that PEFT counts', (model, targetModules, trained, all) => {
    expect(planOf({ method: 'lora', r: 16, targetModules }, sizeOf(model))).toMatchObject({ trained, parameters: all });
  });

  it('are those that the adapter itself counts, whatever the family', () => {
    for (const model of knownModels) {
      const config = knownConfig(model)!;
      const counted = countParameters(config, loraShapes(config, { ...loraDefaults, r: 8 }));
      expect(planOf({ method: 'lora', r: 8 }, modelSize(config)), model)
        .toMatchObject({ trained: counted.trainable, parameters: counted.all });
    }
  });
});

describe('activations', () => {
  const [h, f] = [4096, 11008];
  const o: PlanOptions = { ...planDefaults, method: 'full' };

  it('of a block, all weights trained: norms in fp32, attention without scores, SwiGLU, and the inputs of its layers', () => {
    const attention = 2 * 4 * h + 4 * 32;
    const inputs = 2 * (h + h + f) + 2 * 2 * h;
    expect(activationsOfBlock(llama7, o).kept).toBe(8 * h + attention + 6 * f + inputs);
  });

  it('of a block, frozen: no inputs, but a copy and a mask of each adapter’s where there is dropout', () => {
    const bare = 8 * h + 8 * h + 4 * 32 + 6 * f;
    const lora = (options: Partial<PlanOptions>) =>
      activationsOfBlock(llama7, { ...o, method: 'lora', r: 8, ...options }).kept;
    expect(lora({ targetModules: ['q_proj', 'v_proj'], dropout: 0 })).toBe(bare + 2 * h + 2 * 2 * 8);
    expect(lora({ targetModules: ['q_proj', 'v_proj'], dropout: 0.1 })).toBe(bare + 2 * 3 * h + 2 * 2 * 8);
  });

  it('of the way back through a block: the gradients of the feed-forward\'s three inner tensors and of the residual twice', () => {
    expect(activationsOfBlock(llama7, o).working).toBe(2 * (3 * f + 2 * h));
    expect(activationsOfBlock(llama7, { ...o, precision: 'fp32' }).working).toBe(4 * (3 * f + 2 * h));
    expect(activationsOfBlock(llama7, { ...o, tensorParallel: 4 }).working).toBe(2 * (3 * f / 4 + 2 * h));
  });

  it('without checkpoints grow with the layers; with one a block, 2·s·b·h a layer and one block; with √L, less of the first', () => {
    const of = (checkpointing: PlanOptions['checkpointing'], size = llama7) =>
      planOf({ method: 'full', sequence: 512, batchSize: 2, checkpointing }, size).parts.activations;
    const tokens = 1024;
    const { kept, working } = activationsOfBlock(llama7, o);
    const loss = 16 * 32000;
    expect(of('none')).toBe(tokens * (32 * kept + Math.max(loss, working)));
    expect(of('full')).toBe(tokens * (32 * 2 * h + Math.max(loss, kept + working)));
    expect(of('sqrt')).toBe(tokens * (6 * 2 * h + Math.max(loss, 6 * kept + working)));
  });

  it('are divided by tensor parallel, but for norms and residuals', () => {
    const of = (tensorParallel: number) => activationsOfBlock(llama70, { ...o, tensorParallel }).kept;
    const whole = 8 * 8192 + 2 * (8192 + 8192) + 2 * 2 * 8192;
    expect(of(8)).toBeCloseTo((of(1) - whole) / 8 + whole, 6);
  });

  it('of an adapter\'s copy and mask too, where the layer is split by its input', () => {
    const copy = (name: string, tensorParallel: number) => activationsOfBlock(
      llama7, { ...o, method: 'lora', r: 8, targetModules: [name], tensorParallel }).kept
      - activationsOfBlock(llama7, { ...o, method: 'lora', r: 8, targetModules: [], tensorParallel }).kept - 2 * 8;
    for (const [name, width] of [['o_proj', h], ['down_proj', f]] as const) expect(copy(name, 4)).toBe(3 * width / 4);
    for (const name of ['q_proj', 'up_proj']) expect(copy(name, 4)).toBe(copy(name, 1));
  });

  it('and of the loss, whose vocabulary is shared out', () => {
    const of = (tensorParallel: number) =>
      planOf({ method: 'full', sequence: 512, gpus: tensorParallel, tensorParallel, checkpointing: 'none' }, llama70);
    const kept = (tensorParallel: number) => 80 * activationsOfBlock(llama70, { ...o, tensorParallel }).kept;
    expect(of(1).parts.activations).toBe(512 * (kept(1) + 16 * 32000));
    expect(of(2).parts.activations).toBeCloseTo(512 * (kept(2) + 16 * 32000 / 2), 3);
  });

  it('of a pipeline are held for as many micro-batches as fly', () => {
    const first = (accumulation: number) => planOf({
      method: 'lora', gpus: 4, pipelineParallel: 4, accumulation, checkpointing: 'none', sequence: 512,
    }).parts.activations;
    expect(first(4) / first(1)).toBeGreaterThan(3);
    expect(first(64)).toBe(first(4));
    const { kept, working } = activationsOfBlock(llama7, { ...o, method: 'lora' });
    expect(first(4)).toBe(512 * (4 * 8 * kept + working)); // the last one has the loss, and but one in flight
  });
});

describe('what is not a tensor', () => {
  it('is told apart: allocated, reserved with fragmentation, total with the context', () => {
    const { allocated, reserved, total, parts } = planOf({});
    const { weights, gradients, optimizer, activations, buffers } = parts;
    expect(allocated).toBeCloseTo(weights + gradients + optimizer + activations + buffers, 3);
    expect(reserved / allocated).toBeCloseTo(1 / 0.852, 2);
    expect(total - reserved).toBe(contextBytes);
  });

  it('a paged optimizer may leave the card; under offload it has already left it', () => {
    const { pageable, parts } = planOf({ optimizer: 'paged-adamw' });
    expect(pageable).toBe(parts.optimizer / (1 - fragmentationShare)); // with what lies unused between its pages
    expect(planOf({ optimizer: 'adamw' }).pageable).toBe(0);
  });
});

describe('traffic of a step', () => {
  const full = { method: 'full', gpus: 8 } as const;
  const psi = 2 * llama7.parameters; // bytes in bf16

  it('is 2Ψ for DDP, ZeRO-1 and ZeRO-2, and 3Ψ for ZeRO-3 and FSDP', () => {
    const data = (scheme: PlanOptions['scheme']) => planOf({ ...full, scheme }).traffic.data;
    for (const scheme of ['ddp', 'zero1', 'zero2'] as const) expect(data(scheme) / psi).toBeCloseTo(2, 9);
    for (const scheme of ['zero3', 'fsdp'] as const) expect(data(scheme) / psi).toBeCloseTo(3, 9);
    expect(planOf({ method: 'full' }).traffic).toEqual({ data: 0, tensor: 0, pipeline: 0, host: 0 });
  });

  it('is that of a rank\'s part of the model where layers and stages are shared out', () => {
    const { traffic } = planOf({ method: 'full', gpus: 8, tensorParallel: 2, pipelineParallel: 2 });
    const { embedding, norm, head, blockRest, parameters } = llama7;
    const root = embedding + norm + head;
    const linears = (parameters - root) / 32 - blockRest;
    expect(traffic.data).toBeCloseTo(2 * 2 * (16 * (linears / 2 + blockRest) + root / 2 / 2), 3);
  });

  it('with m micro-batches is (m + 1)Ψ for ZeRO-2, which shares out each one\'s gradients, and 3mΨ at stage 3', () => {
    const data = (scheme: PlanOptions['scheme']) => planOf({ ...full, scheme, accumulation: 4 }).traffic.data / psi;
    expect((['ddp', 'zero1', 'zero2', 'zero3'] as const).map((scheme) => Math.round(data(scheme) * 1e6) / 1e6))
      .toEqual([2, 2, 5, 12]);
  });

  it('with the host is a rank\'s gradients there and its updated weights back; at stage 3 each pass brings them too', () => {
    const host = (scheme: PlanOptions['scheme'], gpus: number) =>
      planOf({ method: 'full', gpus, scheme, offload: 'cpu', accumulation: 4 }).traffic.host / psi;
    expect(host('zero2', 1)).toBeCloseTo(2, 9);
    expect(host('zero2', 8)).toBeCloseTo(2 / 8, 9);
    expect(host('zero3', 8)).toBeCloseTo((2 + 4 * 2) / 8, 9);
  });

  it('counts what is trained: with adapters 2Ψ is theirs; stage 3 gathers the base each micro-batch', () => {
    const lora = { method: 'lora', gpus: 2, accumulation: 4 } as const;
    const { trained } = planOf(lora);
    expect(planOf({ ...lora, scheme: 'ddp' }).traffic.data).toBe(2 * 4 * trained);
    expect(planOf({ ...lora, scheme: 'fsdp' }).traffic.data)
      .toBeCloseTo(4 * (2 * (2 * llama7.parameters + 4 * trained) + 4 * trained), -1);
  });

  it('inside layers is two all-reduces a block and pass; between stages, a boundary each way', () => {
    const boundary = 2048 * 4096 * 2;
    const { traffic } = planOf({
      method: 'lora', gpus: 4, tensorParallel: 2, pipelineParallel: 2, accumulation: 3, checkpointing: 'none',
    });
    expect(traffic.tensor).toBe(3 * 16 * 2 * 2 * boundary);
    expect(traffic.pipeline).toBe(3 * 2 * boundary);
    const recomputed = planOf({ method: 'lora', gpus: 2, tensorParallel: 2, checkpointing: 'full' }).traffic.tensor;
    expect(recomputed).toBe(32 * 3 * 2 * boundary);
  });

  it('a pipeline of p stages waits (p − 1)/m of the time it works', () => {
    expect(planOf({ method: 'lora', gpus: 4, pipelineParallel: 4, accumulation: 8 }).bubble).toBe(3 / 8);
  });
});

describe('options that cannot go together', () => {
  it.each([
    [{ gpus: 3, tensorParallel: 2, method: 'lora' }, '--gpus 3'],
    [{ gpus: 64, tensorParallel: 64, method: 'lora' }, '--tensor-parallel 64'],
    [{ gpus: 3, pipelineParallel: 3, method: 'lora' }, '--pipeline-parallel 3'],
    [{ offload: 'cpu' }, '--offload'],
    [{ offload: 'nvme', scheme: 'fsdp', gpus: 2 }, '--offload nvme'],
    [{ scheme: 'fsdp', gpus: 4, pipelineParallel: 2, method: 'lora' }, '--scheme fsdp'],
    [{ gpus: 2, tensorParallel: 2 }, 'NF4'],
    [{ targetModules: ['q_proj', 'qkv'] }, '«qkv»'],
  ] as const)('%j', (options, named) => {
    const sentence = refusal({ ...planDefaults, ...options }, llama7);
    expect(sentence).toContain(named);
    expect(sentence).toMatch(/^[^\n]+\.$/);
  });

  it('the others can', () => {
    expect(refusal(planDefaults, llama7)).toBeUndefined();
    const many = { gpus: 16, tensorParallel: 4, pipelineParallel: 2, method: 'full', scheme: 'zero1' } as const;
    expect(refusal({ ...planDefaults, ...many }, llama7)).toBeUndefined();
  });
});

describe('the planner in a page', () => {
  it('is formulas alone: bundled for a browser it brings nothing else', async () => {
    const { metafile } = await build({
      entryPoints: [join(import.meta.dirname, '../../src/distributed/advice.ts')],
      bundle: true, platform: 'browser', format: 'esm', write: false, metafile: true, logLevel: 'silent',
    });
    expect(Object.keys(metafile.inputs).map((path) => path.split('/').at(-1)).sort()).toEqual(['advice.ts', 'planner.ts']);
  });
});
