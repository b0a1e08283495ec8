import { z } from 'zod';

// What each engine's documentation says of its configuration, for what a recipe writes. Strict: an unknown field is a
// mistake that most engines pass over in silence.

const count = z.number().int().positive();
const bfloat16 = z.literal('bfloat16');

/** Keys that accelerate reads of its file for `FullyShardedDataParallelPlugin` (1.15, `config/cluster.py`). */
const fsdpShared = {
  fsdp_auto_wrap_policy: z.literal('TRANSFORMER_BASED_WRAP'),
  fsdp_activation_checkpointing: z.literal(false), // transformers does it; both at once is an error
  fsdp_cpu_ram_efficient_loading: z.boolean(),
  fsdp_offload_params: z.boolean(),
  fsdp_state_dict_type: z.enum(['SHARDED_STATE_DICT', 'FULL_STATE_DICT']),
};
const fsdp1 = z.strictObject({
  ...fsdpShared,
  fsdp_version: z.literal(1),
  fsdp_reshard_after_forward: z.literal('FULL_SHARD'),
  fsdp_backward_prefetch: z.enum(['BACKWARD_PRE', 'BACKWARD_POST', 'NO_PREFETCH']),
  fsdp_forward_prefetch: z.boolean(),
  // With true, frozen and trained parameters share a flat one, and no memory is saved.
  fsdp_use_orig_params: z.literal(false),
  fsdp_sync_module_states: z.boolean(),
}).refine((c) => !c.fsdp_cpu_ram_efficient_loading || c.fsdp_sync_module_states, {
  error: 'fsdp_cpu_ram_efficient_loading needs fsdp_sync_module_states',
});
const fsdp2 = z.strictObject({
  ...fsdpShared,
  fsdp_version: z.literal(2),
  fsdp_reshard_after_forward: z.boolean(),
});

const cluster = {
  compute_environment: z.literal('LOCAL_MACHINE'),
  debug: z.boolean(),
  machine_rank: z.number().int().nonnegative(),
  main_training_function: z.literal('main'),
  num_machines: count,
  num_processes: count,
  rdzv_backend: z.enum(['static', 'c10d']),
  same_network: z.boolean(),
  use_cpu: z.boolean(),
};
const mixed = { mixed_precision: z.enum(['bf16', 'no']), downcast_bf16: z.literal('no') };

/** The file of `accelerate launch --config_file`. */
export const accelerateConfig = z.discriminatedUnion('distributed_type', [
  z.strictObject({ ...cluster, ...mixed, distributed_type: z.enum(['NO', 'MULTI_GPU']) }),
  z.strictObject({ ...cluster, ...mixed, distributed_type: z.literal('FSDP'), fsdp_config: z.union([fsdp1, fsdp2]) }),
  // With a file of its own, accelerate refuses what that file says too: precision, stage, accumulation, offloading.
  z.strictObject({
    ...cluster,
    distributed_type: z.literal('DEEPSPEED'),
    deepspeed_config: z.strictObject({
      deepspeed_config_file: z.string(),
      deepspeed_multinode_launcher: z.literal('standard'),
      zero3_init_flag: z.boolean(),
    }),
  }),
]);

/** The file of `trl sft --config`: fields of `ScriptArguments`, `SFTConfig` and `ModelConfig` (TRL 1.13). */
export const trlConfig = z.strictObject({
  model_name_or_path: z.string(),
  dtype: bfloat16, // left out it is float32, and becomes the compute type
  use_peft: z.literal(true),
  lora_r: count,
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1),
  lora_target_modules: z.array(z.string()).min(1),
  use_rslora: z.boolean(),
  use_dora: z.boolean(),
  load_in_4bit: z.boolean(),
  bnb_4bit_quant_type: z.enum(['nf4', 'fp4']).optional(),
  use_bnb_nested_quant: z.boolean().optional(), // left out it is off
  bnb_4bit_quant_storage: bfloat16.optional(), // FSDP shards floats alone, all of one type: the model's
  dataset_name: z.string(),
  completion_only_loss: z.literal(true),
  max_length: count,
  packing: z.boolean(),
  loss_type: z.enum(['nll', 'chunked_nll']),
  learning_rate: z.number().positive(),
  num_train_epochs: z.number().positive(),
  per_device_train_batch_size: count,
  gradient_accumulation_steps: count,
  lr_scheduler_type: z.enum(['cosine', 'constant_with_warmup']),
  warmup_steps: z.number().min(0).lt(1), // a share of all steps: transformers 5 has no warmup_ratio
  optim: z.enum(['adamw_torch', 'paged_adamw_32bit', 'paged_adamw_8bit']),
  weight_decay: z.number().nonnegative(),
  max_grad_norm: z.number().positive(),
  gradient_checkpointing: z.boolean(),
  gradient_checkpointing_kwargs: z.strictObject({ use_reentrant: z.boolean() }).optional(),
  bf16: z.literal(true),
  use_cpu: z.boolean().optional(),
  seed: z.number().int().nonnegative(),
  logging_steps: count,
  save_strategy: z.literal('no'),
  eval_strategy: z.literal('no'),
  report_to: z.literal('none'),
  output_dir: z.string(),
}).refine((c) => c.load_in_4bit === (c.bnb_4bit_quant_storage !== undefined), {
  error: 'a 4-bit base needs bnb_4bit_quant_storage, and only it',
});

const auto = z.literal('auto');
const offload = z.discriminatedUnion('device', [
  z.strictObject({ device: z.literal('cpu'), pin_memory: z.boolean() }),
  z.strictObject({ device: z.literal('nvme'), nvme_path: z.string(), pin_memory: z.boolean() }),
]);

/** DeepSpeed's JSON (deepspeed.ai/docs/config-json), with `"auto"` where transformers fills in its own value. */
export const deepspeedConfig = z.strictObject({
  bf16: z.strictObject({ enabled: z.literal(true) }),
  zero_optimization: z.strictObject({
    stage: z.union([z.literal(1), z.literal(2), z.literal(3)]),
    offload_optimizer: offload.optional(),
    offload_param: offload.optional(),
    overlap_comm: z.boolean(),
    contiguous_gradients: z.boolean(),
    reduce_bucket_size: auto,
    stage3_prefetch_bucket_size: auto.optional(),
    stage3_param_persistence_threshold: auto.optional(),
    stage3_gather_16bit_weights_on_model_save: z.literal(true).optional(), // accelerate's zero3_save_16bit_model
  })
    .refine((zero) => zero.offload_param === undefined || zero.stage === 3, { error: 'offload_param needs stage 3' })
    .refine((zero) => (zero.stage === 3) === (zero.stage3_gather_16bit_weights_on_model_save === true), {
      error: 'stage 3 saves no adapter without stage3_gather_16bit_weights_on_model_save',
    }),
  gradient_accumulation_steps: auto,
  gradient_clipping: auto,
  train_batch_size: auto,
  train_micro_batch_size_per_gpu: auto,
});

const target = <Name extends string>(name: Name) => z.literal(name);
const localDataset = z.strictObject({ _target_: target('recipe_dataset.make_dataset'), path: z.string() });
const loader = (shuffle: boolean) => z.strictObject({
  _target_: target('torchdata.stateful_dataloader.StatefulDataLoader'),
  collate_fn: z.strictObject({ _target_: target('nemo_automodel.components.datasets.utils.default_collater') }),
  shuffle: z.literal(shuffle),
});

/** NeMo Automodel's YAML (docs/guides/llm/finetune.mdx, `PeftConfig`, `Llama-3.1-8B_qlora_squad.yaml`). */
export const nemoConfig = z.strictObject({
  recipe: z.literal('TrainFinetuneRecipeForNextTokenPrediction'),
  step_scheduler: z.strictObject({
    global_batch_size: count, local_batch_size: count, ckpt_every_steps: count, val_every_steps: count,
    num_epochs: count, max_steps: count,
  }).refine((s) => s.global_batch_size % s.local_batch_size === 0),
  dist_env: z.strictObject({ backend: z.literal('nccl'), timeout_minutes: count }),
  seed: z.number().int().nonnegative(), // under rng it is ignored
  model: z.strictObject({
    _target_: target('nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained'),
    pretrained_model_name_or_path: z.string(), dtype: bfloat16, force_hf: z.literal(true),
  }),
  peft: z.strictObject({
    _target_: target('nemo_automodel.components._peft.lora.PeftConfig'),
    target_modules: z.array(z.string()).min(1), dim: count, alpha: z.number().int().positive(),
    dropout: z.number().min(0).lt(1),
    dropout_position: z.literal('pre'), // its default, post, is not PEFT's
    lora_A_init: z.literal('uniform'), // nor is xavier
  }),
  distributed: z.strictObject({ strategy: z.literal('fsdp2'), dp_size: z.null(), tp_size: count, cp_size: count }),
  quantization: z.strictObject({
    load_in_4bit: z.literal(true), load_in_8bit: z.literal(false), bnb_4bit_compute_dtype: bfloat16,
    bnb_4bit_use_double_quant: z.boolean(), bnb_4bit_quant_type: z.enum(['nf4', 'fp4']),
    bnb_4bit_quant_storage: bfloat16,
  }).optional(),
  loss_fn: z.strictObject({ _target_: target('nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy') }),
  dataset: localDataset,
  dataloader: loader(true),
  validation_dataset: localDataset,
  validation_dataloader: loader(false),
  optimizer: z.strictObject({
    _target_: target('torch.optim.AdamW'), lr: z.number().positive(), betas: z.tuple([z.number(), z.number()]),
    eps: z.number().positive(), weight_decay: z.number().nonnegative(),
  }),
  lr_scheduler: z.strictObject({
    lr_decay_style: z.enum(['cosine', 'constant']), lr_warmup_steps: z.number().int().nonnegative(),
  }),
  clip_grad_norm: z.strictObject({ max_norm: z.number().positive() }),
  checkpoint: z.strictObject({
    enabled: z.literal(true), checkpoint_dir: z.string(), model_save_format: z.literal('safetensors'),
  }),
});

const canonicalTargets = [
  'linear_q', 'linear_k', 'linear_v', 'linear_proj', 'linear_fc1_gate', 'linear_fc1_up', 'linear_fc2',
] as const;

/** What `train.py` fills in of Megatron-Bridge's `ConfigContainer` (docs/training/peft.md, data-preparation.md). */
export const megatronConfig = z.strictObject({
  hf_model: z.string(),
  model: z.strictObject({
    tensor_model_parallel_size: count, pipeline_model_parallel_size: count, seq_length: count,
    recompute_granularity: z.enum(['full', 'selective']),
  }),
  train: z.strictObject({ train_iters: count, global_batch_size: count, micro_batch_size: count, eval_interval: count })
    .refine((t) => t.global_batch_size % t.micro_batch_size === 0),
  optimizer: z.strictObject({
    optimizer: z.literal('adam'), lr: z.number().positive(), weight_decay: z.number().nonnegative(),
    clip_grad: z.number().positive(), bf16: z.literal(true), use_distributed_optimizer: z.boolean(),
  }),
  scheduler: z.strictObject({
    lr_decay_style: z.enum(['cosine', 'constant']), lr_warmup_iters: z.number().int().nonnegative(), lr_decay_iters: count,
  }),
  peft: z.strictObject({
    // The canonical variant alone maps one to one onto PEFT's q, k, v, gate and up.
    target_modules: z.array(z.enum(canonicalTargets)).min(1),
    dim: count, alpha: z.number().positive(), dropout: z.number().min(0).lt(1), lora_A_init_method: z.literal('kaiming'),
  }),
  dataset: z.strictObject({ dataset_root: z.string(), seq_length: count }),
  // Left out, a BOS is not added, an EOS is, and spaces go: whatever the model was taught with.
  preprocessing: z.strictObject({
    prompt_column: z.literal('input'), completion_column: z.literal('output'), separator: z.literal(''),
    loss_mode: z.literal('completion'), strip_whitespace: z.literal(false), add_bos: z.boolean(), add_eos: z.boolean(),
  }),
  checkpoint: z.strictObject({ pretrained_checkpoint: z.string(), save: z.string(), save_interval: count }),
  seed: z.number().int().nonnegative(),
});
