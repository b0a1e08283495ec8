import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { recipe } from '../../../src/distributed/recipes/project.ts';
import { engines } from '../../../src/distributed/recipes/recipe.ts';
import type { RecipeData, RecipeOptions } from '../../../src/distributed/recipes/recipe.ts';
import {
  accelerateConfig, deepspeedConfig, megatronConfig, nemoConfig, trlConfig,
} from '../../../src/distributed/recipes/schemas.ts';
import { UserError } from '../../../src/errors.ts';

const options: RecipeOptions = {
  engine: 'fsdp', base: 'meta-llama/Llama-2-7b-hf', quantized: true, quantType: 'nf4', doubleQuant: true,
  r: 16, alpha: 16, dropout: 0.05, peft: 'lora', targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  epochs: 1, batchSize: 2, accumulation: 4, learningRate: 2e-4, warmup: 0.05, schedule: 'cosine', optimizer: 'paged_adamw_8bit', weightDecay: 0, clip: 1, seed: 42, template: 'es', maxLength: 512,
  checkpointing: true, nodes: 1, gpusPerNode: 2, zero: 3, offload: 'none', tensorParallel: 1, pipelineParallel: 1, cpu: false,
};
const example = { tokens: [0, 10, 11, 12, 1], promptLength: 3, prompt: '### Instrucción:\n¿Qué?\n', answer: 'Eso.' };
const data: RecipeData = {
  train: Array.from({ length: 40 }, () => example), heldOut: [example, example],
  questions: [{ instruction: '¿Qué?', input: '', output: 'Eso.' }], padId: 2, adds: { bos: true, eos: true },
};

const written = (changed: Partial<RecipeOptions> = {}, given = data) =>
  recipe({ ...options, ...changed }, given, { command: 'npm run recipe' });
const file = (path: string, changed: Partial<RecipeOptions> = {}): string => written(changed).files.get(path)!;
const yamlOf = (path: string, changed: Partial<RecipeOptions> = {}) => load(file(path, changed));
const sft = (changed: Partial<RecipeOptions> = {}) => trlConfig.parse(yamlOf('sft.yaml', changed));
const accelerate = (changed: Partial<RecipeOptions> = {}) => accelerateConfig.parse(yamlOf('accelerate.yaml', changed));
const deepspeed = (changed: Partial<RecipeOptions> = {}) =>
  deepspeedConfig.parse(JSON.parse(file('deepspeed.json', { engine: 'deepspeed', ...changed })));

describe('every recipe', () => {
  it.each(engines)('%s is a whole project: requirements pinned, data, launching, questions, and a README', (engine) => {
    const { files, notes } = written({ engine });
    expect([...files.keys()]).toEqual(expect.arrayContaining(['requirements.txt', 'launch.sh', 'heldout.json', 'README.md']));
    for (const line of files.get('requirements.txt')!.trim().split('\n')) expect(line).toMatch(/^[\w.[\]-]+==\d+(\.\d+)+$/);
    expect(files.get('launch.sh')).toMatch(/^#!.*\nset -euo pipefail\n/);
    const readme = files.get('README.md')!;
    for (const note of notes) expect(readme).toContain(note);
    expect(readme).toContain('npm run evaluate -- --model CARPETA_DE_LA_BASE --adapter');
    expect(JSON.parse(files.get('heldout.json')!)).toEqual(data.questions);
  });

  it.each(engines)('%s for several nodes has a SLURM script, where each node reads its own rank', (engine) => {
    const script = file('launch.slurm', { engine, nodes: 4, gpusPerNode: 8 });
    expect(script).toContain('#SBATCH --nodes=4');
    expect(script).toContain('#SBATCH --gpus-per-node=8');
    expect(script).toContain('$SLURM_NODEID');
    expect(script).toContain('$MASTER_ADDR');
    expect(written({ engine }).files.has('launch.slurm')).toBe(false);
  });

  it('trains on the demo’s own tokens, and on the answer alone', () => {
    for (const engine of ['trl', 'fsdp', 'fsdp2', 'deepspeed', 'nemo'] as const) {
      const rows = file('data/train.jsonl', { engine }).trim().split('\n').map((line) => JSON.parse(line) as unknown);
      expect(rows).toHaveLength(40);
      expect(rows[0]).toEqual({ input_ids: [0, 10, 11, 12, 1], completion_mask: [0, 0, 0, 1, 1] });
    }
    expect(JSON.parse(file('data/training.jsonl', { engine: 'megatron-bridge' }).split('\n')[0]!))
      .toEqual({ input: example.prompt, output: example.answer });
    expect(sft().completion_only_loss).toBe(true);
  });
});

describe('TRL', () => {
  it('is always told bfloat16: left out, dtype is float32 and becomes the compute type', () => {
    for (const engine of ['trl', 'fsdp', 'fsdp2', 'deepspeed'] as const) expect(sft({ engine }).dtype).toBe('bfloat16');
  });

  it('is told the nested quantisation, which is off by default, and a storage type like the model’s', () => {
    expect(sft()).toMatchObject({ load_in_4bit: true, use_bnb_nested_quant: true, bnb_4bit_quant_type: 'nf4' });
    expect(sft({ doubleQuant: false }).use_bnb_nested_quant).toBe(false);
    expect(sft().bnb_4bit_quant_storage).toBe(sft().dtype);
    expect(sft({ quantized: false })).not.toHaveProperty('bnb_4bit_quant_storage');
    expect(sft({ quantized: false }).load_in_4bit).toBe(false);
  });

  it('is told which LoRA', () => {
    expect(sft()).toMatchObject({ use_rslora: false, use_dora: false });
    expect(sft({ peft: 'rslora' })).toMatchObject({ use_rslora: true, use_dora: false });
    expect(sft({ peft: 'dora' })).toMatchObject({ use_rslora: false, use_dora: true });
  });

  it('warms up for a share of the steps: transformers 5 has no warmup_ratio', () => {
    expect(sft().warmup_steps).toBe(0.05);
    expect(sft({ warmup: 0, schedule: 'constant' })).toMatchObject({ warmup_steps: 0, lr_scheduler_type: 'constant_with_warmup' });
  });

  it('writes small numbers that a YAML 1.1 reader takes for numbers', () => {
    expect(file('sft.yaml', { learningRate: 1e-7 })).toMatch(/learning_rate: (0\.0000001|1\.0?e-0?7)\n/);
  });

  it('alone runs by its own command, with DDP and the paged optimizer', () => {
    expect(file('launch.sh', { engine: 'trl' })).toContain('trl sft --config sft.yaml --accelerate_config accelerate.yaml');
    expect(accelerate({ engine: 'trl' }).distributed_type).toBe('MULTI_GPU');
    expect(accelerate({ engine: 'trl', gpusPerNode: 1 }).distributed_type).toBe('NO');
    expect(sft({ engine: 'trl' }).optim).toBe('paged_adamw_8bit');
  });

  it('starts as many processes without cards, too, which accelerate does not for what it calls MULTI_CPU', () => {
    for (const cpu of [false, true]) {
      expect(accelerate({ engine: 'trl', cpu, gpusPerNode: 2 }))
        .toMatchObject({ distributed_type: 'MULTI_GPU', num_processes: 2, use_cpu: cpu });
    }
    expect(accelerate({ engine: 'trl', cpu: true, gpusPerNode: 1 })).toMatchObject({ distributed_type: 'NO', use_cpu: true });
  });
});

describe('FSDP', () => {
  const fsdp = (changed: Partial<RecipeOptions> = {}) => {
    const config = accelerate(changed);
    if (config.distributed_type !== 'FSDP') throw new Error(`${config.distributed_type} is no FSDP`);
    return config.fsdp_config;
  };

  it('1 has what QLoRA needs of it', () => {
    expect(fsdp()).toMatchObject({
      fsdp_version: 1, fsdp_use_orig_params: false, fsdp_auto_wrap_policy: 'TRANSFORMER_BASED_WRAP',
      fsdp_cpu_ram_efficient_loading: true, fsdp_sync_module_states: true, fsdp_state_dict_type: 'SHARDED_STATE_DICT',
    });
  });

  it('2 has its version and resharding, and none of what it dropped', () => {
    const config = fsdp({ engine: 'fsdp2' });
    expect(config).toMatchObject({ fsdp_version: 2, fsdp_reshard_after_forward: true });
    for (const dropped of ['fsdp_use_orig_params', 'fsdp_backward_prefetch', 'fsdp_sync_module_states']) {
      expect(config).not.toHaveProperty(dropped);
    }
  });

  it.each(['fsdp', 'fsdp2'] as const)('%s never has a paged optimizer, which fails on saving, and says so', (engine) => {
    expect(sft({ engine }).optim).toBe('adamw_torch');
    expect(written({ engine }).notes.join(' ')).toContain('paged_adamw falla al guardar bajo FSDP');
  });

  it('gathers the adapter, and saves it from the unwrapped model: trl would save nothing, and PEFT an empty file', () => {
    for (const cpu of [false, true]) {
      const script = file('train.py', { cpu });
      const [trained, gathered, saved] = ['trainer.train()', 'weights = trainer.', 'extract_model_from_parallel(trainer.model, recursive=True).save_pretrained(']
        .map((call) => script.indexOf(call));
      expect(trained).toBeGreaterThan(0);
      expect(gathered).toBeGreaterThan(trained!);
      expect(saved).toBeGreaterThan(gathered!);
    }
    expect(file('launch.sh')).toContain('accelerate launch --config_file accelerate.yaml train.py --config sft.yaml');
  });

  it('1 computes blocks again by the reentrant variant: under the other they come in another type, and it fails', () => {
    expect(sft().gradient_checkpointing_kwargs).toEqual({ use_reentrant: true });
    expect(sft({ engine: 'fsdp2' }).gradient_checkpointing_kwargs).toEqual({ use_reentrant: false });
    expect(sft({ checkpointing: false })).not.toHaveProperty('gradient_checkpointing_kwargs');
  });

  it('offloads to the CPU, and not to a disk', () => {
    expect(fsdp({ offload: 'cpu' }).fsdp_offload_params).toBe(true);
    expect(() => written({ offload: 'nvme' })).toThrow(UserError);
  });

  it('without cards: gloo, no 4 bits, and FSDP turned on by the script, since accelerate does not', () => {
    expect(accelerate({ cpu: true })).toMatchObject({ use_cpu: true });
    expect(fsdp({ cpu: true }))
      .toMatchObject({ fsdp_cpu_ram_efficient_loading: false, fsdp_sync_module_states: false });
    expect(sft({ cpu: true })).toMatchObject({ use_cpu: true, load_in_4bit: false });
    expect(file('train.py', { cpu: true })).toContain('state.distributed_type = DistributedType.FSDP');
    expect(file('train.py')).not.toContain('DistributedType');
    expect(file('requirements.txt', { cpu: true })).not.toContain('bitsandbytes');
  });
});

describe('DeepSpeed', () => {
  it('lets transformers fill in batches, accumulation and clipping', () => {
    expect(deepspeed()).toMatchObject({
      train_micro_batch_size_per_gpu: 'auto', gradient_accumulation_steps: 'auto', gradient_clipping: 'auto', bf16: { enabled: true },
    });
  });

  it('at stage 3 with a quantised base: initialised in shards and gathered on saving', () => {
    expect(accelerate({ engine: 'deepspeed' })).toMatchObject({ deepspeed_config: { zero3_init_flag: true } });
    expect(deepspeed().zero_optimization.stage3_gather_16bit_weights_on_model_save).toBe(true);
    expect(sft({ engine: 'deepspeed' }).gradient_checkpointing_kwargs).toEqual({ use_reentrant: true });
    expect(accelerate({ engine: 'deepspeed', zero: 2 })).toMatchObject({ deepspeed_config: { zero3_init_flag: false } });
  });

  it('offloads parameters at stage 3 alone', () => {
    for (const zero of [1, 2] as const) {
      const { zero_optimization: config } = deepspeed({ zero, offload: 'cpu' });
      expect(config.offload_optimizer).toMatchObject({ device: 'cpu' });
      expect(config).not.toHaveProperty('offload_param');
    }
    expect(deepspeed({ offload: 'cpu' }).zero_optimization.offload_param).toMatchObject({ device: 'cpu', pin_memory: true });
    expect(deepspeed({ offload: 'nvme' }).zero_optimization.offload_param).toMatchObject({ device: 'nvme', nvme_path: '/local_nvme' });
    expect(() => written({ engine: 'deepspeed', zero: 2, offload: 'nvme' })).toThrow(/--zero 3/);
  });

  it('says that stages 1 and 2 leave the base whole on every card', () => {
    expect(written({ engine: 'deepspeed', zero: 2 }).notes.join(' ')).toContain('la base en 4 bits queda entera en cada GPU');
    expect(written({ engine: 'deepspeed', zero: 3 }).notes.join(' ')).not.toContain('queda entera');
  });

  it('says in one file alone what accelerate would refuse in two', () => {
    expect(accelerate({ engine: 'deepspeed' })).not.toHaveProperty('mixed_precision');
  });
});

describe('Megatron-Bridge', () => {
  const megatron = (changed: Partial<RecipeOptions> = {}) =>
    megatronConfig.parse(JSON.parse(file('megatron.json', { engine: 'megatron-bridge', gpusPerNode: 8, ...changed })));

  it('has no NF4: the recipe is LoRA in bf16, and says so in the file and on the screen', () => {
    expect(written({ engine: 'megatron-bridge' }).notes[0]).toMatch(/no tiene NF4.*bf16/);
    expect(file('README.md', { engine: 'megatron-bridge' })).toMatch(/no tiene NF4/);
    expect(JSON.stringify(megatron())).not.toMatch(/4bit|nf4/i);
    expect(written({ engine: 'megatron-bridge', quantized: false }).notes.join(' ')).not.toContain('NF4');
  });

  it('uses canonical LoRA, which maps one to one onto PEFT’s layers', () => {
    expect(megatron().peft.target_modules).toEqual([
      'linear_q', 'linear_k', 'linear_v', 'linear_proj', 'linear_fc1_gate', 'linear_fc1_up', 'linear_fc2',
    ]);
    expect(megatron({ targetModules: ['q_proj', 'v_proj'] }).peft.target_modules).toEqual(['linear_q', 'linear_v']);
    expect(file('train.py', { engine: 'megatron-bridge' })).toContain('CanonicalLoRA(');
  });

  it('is told which tokens to put around the texts, and to leave their spaces: by itself it puts no first one', () => {
    for (const adds of [{ bos: true, eos: true }, { bos: false, eos: false }]) {
      const { files } = written({ engine: 'megatron-bridge' }, { ...data, adds });
      expect(megatronConfig.parse(JSON.parse(files.get('megatron.json')!)).preprocessing)
        .toMatchObject({ separator: '', strip_whitespace: false, add_bos: adds.bos, add_eos: adds.eos });
    }
    expect(file('train.py', { engine: 'megatron-bridge' }))
      .toContain("PromptCompletionSFTPreprocessingConfig(**config['preprocessing'])");
  });

  it('comes back as a PEFT folder', () => {
    expect(file('export.py', { engine: 'megatron-bridge' })).toContain('export_adapter_ckpt');
  });

  it('shares out its GPUs', () => {
    expect(megatron({ tensorParallel: 2, pipelineParallel: 2 }).train.global_batch_size).toBe(2 * 4 * 2);
    expect(() => written({ engine: 'megatron-bridge', gpusPerNode: 3, tensorParallel: 2 })).toThrow(/--tensor-parallel 2/);
  });
});

describe('NeMo Automodel', () => {
  const nemo = (changed: Partial<RecipeOptions> = {}) => nemoConfig.parse(yamlOf('nemo.yaml', { engine: 'nemo', ...changed }));

  it('is NVIDIA’s engine with NF4: one YAML', () => {
    expect(nemo().quantization).toMatchObject({
      load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: true, bnb_4bit_quant_storage: 'bfloat16',
    });
    expect(nemo().peft).toMatchObject({ dim: 16, alpha: 16, dropout: 0.05 });
    expect(nemo().distributed.strategy).toBe('fsdp2');
    expect(nemo({ quantized: false })).not.toHaveProperty('quantization');
  });

  it('drops before the adapter and starts it as PEFT does, which are not its defaults', () => {
    expect(nemo().peft).toMatchObject({ dropout_position: 'pre', lora_A_init: 'uniform' });
  });

  it('has the demo’s steps: a batch over all GPUs', () => {
    expect(nemo().step_scheduler).toMatchObject({ global_batch_size: 16, local_batch_size: 2, max_steps: 3 });
  });
});

describe('an engine asked for what it cannot do', () => {
  it.each([
    [{ engine: 'trl', offload: 'cpu' }, '--offload'],
    [{ engine: 'nemo', offload: 'cpu' }, '--offload'],
    [{ engine: 'megatron-bridge', offload: 'nvme' }, '--offload'],
    [{ engine: 'nemo', cpu: true }, '--cpu'],
    [{ engine: 'megatron-bridge', cpu: true }, '--cpu'],
    [{ engine: 'deepspeed', cpu: true }, '--cpu'],
    [{ engine: 'fsdp2', cpu: true }, '--cpu'],
    [{ engine: 'nemo', pipelineParallel: 2 }, '--pipeline-parallel'],
    [{ engine: 'nemo', alpha: 1.5 }, '--alpha'],
    [{ engine: 'nemo', tensorParallel: 3 }, '--tensor-parallel 3'],
    [{ engine: 'fsdp', tensorParallel: 2 }, '--tensor-parallel'],
    [{ engine: 'nemo', peft: 'dora' }, '--peft dora'],
    [{ engine: 'megatron-bridge', peft: 'rslora' }, '--peft rslora'],
  ] as const)('%j says so in one sentence', (changed, named) => {
    expect(() => written(changed)).toThrow(UserError);
    expect(() => written(changed)).toThrow(new RegExp(`${named}[^\n]+\\.$`));
  });
});

describe('the schemas', () => {
  it('refuse a key that an engine dropped, or does not know', () => {
    const config = yamlOf('accelerate.yaml', { engine: 'fsdp2' }) as { fsdp_config: object };
    expect(accelerateConfig.safeParse(config).success).toBe(true);
    const stale = { ...config, fsdp_config: { ...config.fsdp_config, fsdp_use_orig_params: false } };
    expect(accelerateConfig.safeParse(stale).success).toBe(false);
    expect(trlConfig.safeParse({ ...sft(), warmup_ratio: 0.1 }).success).toBe(false);
    expect(deepspeedConfig.safeParse({ ...deepspeed(), zero_stage: 3 }).success).toBe(false);
  });
});
