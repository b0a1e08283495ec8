import { dump } from 'js-yaml';
import { UserError } from '../../errors.ts';
import type { EngineFiles, RecipeData, RecipeOptions } from './recipe.ts';
import { processes } from './recipe.ts';
import { accelerateConfig, deepspeedConfig, trlConfig } from './schemas.ts';

/** Versions that this recipe has been run with. */
const pinned = [
  'torch==2.13.0', 'transformers==5.18.0', 'trl==1.13.0', 'peft==0.21.0', 'accelerate==1.15.0', 'datasets==5.0.1',
  'safetensors==0.8.0', 'tokenizers==0.23.2',
];

type Sharding = 'trl' | 'fsdp' | 'fsdp2' | 'deepspeed';

/** TRL on accelerate: plain DDP, FSDP of either version, or DeepSpeed. */
export function trlFiles(options: RecipeOptions, data: RecipeData): EngineFiles {
  const engine = options.engine as Sharding;
  const isFsdp = engine === 'fsdp' || engine === 'fsdp2';
  checkOptions(options, engine);
  const notes: string[] = [];
  const quantized = options.quantized && !options.cpu;
  if (options.quantized && options.cpu) notes.push('bitsandbytes no cuantiza aquí sin GPU: la base va en bf16 y esto es LoRA, no QLoRA.');
  const optim = optimizerOf(options, engine, quantized, notes);
  const config = trlConfig.parse({
    model_name_or_path: options.base,
    dtype: 'bfloat16',
    use_peft: true,
    lora_r: options.r,
    lora_alpha: options.alpha,
    lora_dropout: options.dropout,
    lora_target_modules: [...options.targetModules],
    use_rslora: options.peft === 'rslora',
    use_dora: options.peft === 'dora',
    load_in_4bit: quantized,
    ...(quantized && {
      bnb_4bit_quant_type: options.quantType,
      use_bnb_nested_quant: options.doubleQuant,
      bnb_4bit_quant_storage: 'bfloat16',
    }),
    dataset_name: 'data',
    completion_only_loss: true,
    max_length: options.maxLength,
    packing: false,
    loss_type: 'nll',
    learning_rate: options.learningRate,
    num_train_epochs: options.epochs,
    per_device_train_batch_size: options.batchSize,
    gradient_accumulation_steps: options.accumulation,
    lr_scheduler_type: options.schedule === 'cosine' ? 'cosine' : 'constant_with_warmup',
    warmup_steps: options.warmup,
    optim,
    weight_decay: options.weightDecay,
    max_grad_norm: options.clip,
    gradient_checkpointing: options.checkpointing,
    ...(options.checkpointing && {
      // PEFT needs the reentrant variant under ZeRO-3 (TRL, issue 2514) and under FSDP 1, where what is computed again
      // comes in another type than it was.
      gradient_checkpointing_kwargs: { use_reentrant: engine === 'fsdp' || (engine === 'deepspeed' && options.zero === 3) },
    }),
    bf16: true,
    ...(options.cpu && { use_cpu: true }),
    seed: options.seed,
    logging_steps: 10,
    save_strategy: 'no',
    eval_strategy: 'no',
    report_to: 'none',
    output_dir: 'adapter',
  });
  const accelerate = accelerateConfig.parse(accelerateOf(options, engine));
  const deepspeed = engine === 'deepspeed' ? deepspeedConfig.parse(deepspeedOf(options, notes)) : undefined;
  const start = isFsdp
    ? 'accelerate launch --config_file accelerate.yaml {} train.py --config sft.yaml'
    : 'trl sft --config sft.yaml --accelerate_config accelerate.yaml {}';
  if (isFsdp && options.cpu) notes.push('accelerate solo enciende FSDP con GPU: sin ella lo enciende train.py, y cada proceso carga la base entera.');
  if (isFsdp) notes.push('Con SHARDED_STATE_DICT «trl sft» termina sin guardar el adaptador: train.py lo reúne, y lo guarda del modelo sin envolver, donde PEFT lo encuentra.');
  return {
    files: {
      'sft.yaml': yaml(config),
      'accelerate.yaml': yaml(accelerate),
      ...(deepspeed && { 'deepspeed.json': `${JSON.stringify(deepspeed, null, 2)}\n` }),
      ...(isFsdp && { 'train.py': options.cpu ? fsdpScriptOnCpu : fsdpScript }),
      ...tokenFiles(data),
    },
    requirements: [
      ...pinned, ...(quantized ? ['bitsandbytes==0.50.2'] : []), ...(deepspeed ? ['deepspeed==0.19.8'] : []),
    ],
    launch: start.replace(' {}', ''),
    launchSlurm: start.replace('{}', '--machine_rank $SLURM_NODEID --main_process_ip $MASTER_ADDR --main_process_port 29500'),
    adapter: { folder: 'adapter', how: [] },
    notes,
  };
}

function checkOptions(options: RecipeOptions, engine: Sharding): void {
  const { zero, offload, cpu, tensorParallel, pipelineParallel } = options;
  if (tensorParallel > 1 || pipelineParallel > 1) {
    throw new UserError('--tensor-parallel y --pipeline-parallel parten el modelo, que es cosa de Megatron: elige --engine megatron-bridge.');
  }
  if (engine === 'trl' && offload !== 'none') {
    throw new UserError('--offload necesita estados repartidos: elige --engine fsdp, fsdp2 o deepspeed.');
  }
  if (engine.startsWith('fsdp') && offload === 'nvme') {
    throw new UserError('--offload nvme solo lo hace DeepSpeed en la etapa 3: elige --engine deepspeed --zero 3, u --offload cpu.');
  }
  if (engine === 'deepspeed' && offload === 'nvme' && zero !== 3) {
    throw new UserError(`--offload nvme necesita --zero 3, y se ha pedido --zero ${zero}: cambia una de las dos.`);
  }
  if ((engine === 'deepspeed' || engine === 'fsdp2') && cpu) {
    throw new UserError(`--cpu no vale para ${engine}, que aquí solo se prepara para GPU: elige --engine trl o fsdp.`);
  }
}

function optimizerOf({ optimizer, cpu }: RecipeOptions, engine: Sharding, quantized: boolean, notes: string[]): string {
  if (engine === 'trl' && quantized && !cpu) return optimizer;
  // Paged states are of bitsandbytes: FSDP fails on saving them (PEFT, fsdp.md, caveat 4), and DeepSpeed has its own.
  notes.push(`Estados del optimizador sin paginar (adamw_torch en lugar de ${optimizer}): ${engine === 'trl'
    ? 'los paginados son de bitsandbytes, que aquí no se usa.'
    : 'paged_adamw falla al guardar bajo FSDP, y ZeRO reparte los suyos, con offload o sin él.'}`);
  return 'adamw_torch';
}

function accelerateOf(options: RecipeOptions, engine: Sharding): object {
  const { nodes, cpu, offload, zero } = options;
  const all = processes(options);
  const shared = {
    compute_environment: 'LOCAL_MACHINE',
    debug: false,
    machine_rank: 0,
    main_training_function: 'main',
    num_machines: nodes,
    num_processes: all,
    rdzv_backend: nodes > 1 ? 'c10d' : 'static',
    same_network: true,
    use_cpu: cpu,
  };
  const precision = { mixed_precision: 'bf16', downcast_bf16: 'no' };
  if (engine === 'trl') {
    // Without cards, too, where `use_cpu` counts: for MULTI_CPU accelerate 1.15 starts one process, unless by mpirun.
    return { ...shared, ...precision, distributed_type: all === 1 ? 'NO' : 'MULTI_GPU' };
  }
  if (engine === 'deepspeed') {
    return {
      ...shared,
      distributed_type: 'DEEPSPEED',
      deepspeed_config: {
        deepspeed_config_file: 'deepspeed.json',
        deepspeed_multinode_launcher: 'standard',
        zero3_init_flag: zero === 3, // without it every process would load the whole base first
      },
    };
  }
  const fsdp = {
    fsdp_auto_wrap_policy: 'TRANSFORMER_BASED_WRAP',
    fsdp_activation_checkpointing: false,
    fsdp_cpu_ram_efficient_loading: !cpu, // it sends the weights from one card to the others
    fsdp_offload_params: offload === 'cpu',
    fsdp_state_dict_type: 'SHARDED_STATE_DICT',
  };
  return {
    ...shared,
    ...precision,
    distributed_type: 'FSDP',
    fsdp_config: engine === 'fsdp2'
      ? { ...fsdp, fsdp_version: 2, fsdp_reshard_after_forward: true }
      : {
          ...fsdp,
          fsdp_version: 1,
          fsdp_reshard_after_forward: 'FULL_SHARD',
          fsdp_backward_prefetch: 'BACKWARD_PRE',
          fsdp_forward_prefetch: false,
          fsdp_use_orig_params: false,
          fsdp_sync_module_states: !cpu,
        },
  };
}

function deepspeedOf({ zero, offload, quantized }: RecipeOptions, notes: string[]): object {
  const device = offload === 'none' ? undefined : { device: offload, ...(offload === 'nvme' && { nvme_path: '/local_nvme' }), pin_memory: true };
  if (offload === 'nvme') notes.push('El offload a disco usa /local_nvme: cambia nvme_path en deepspeed.json por tu disco rápido.');
  if (offload !== 'none' && zero < 3) notes.push(`En la etapa ${zero} solo hay offload del optimizador: offload_param es de la 3.`);
  if (quantized && zero < 3) {
    notes.push(`ZeRO-${zero} reparte lo que se entrena, que aquí son los adaptadores: la base en 4 bits queda entera en cada GPU.`);
  }
  return {
    bf16: { enabled: true },
    zero_optimization: {
      stage: zero,
      ...(device && { offload_optimizer: device }),
      ...(device && zero === 3 && { offload_param: device }),
      overlap_comm: true,
      contiguous_gradients: true,
      reduce_bucket_size: 'auto',
      ...(zero === 3 && {
        stage3_prefetch_bucket_size: 'auto',
        stage3_param_persistence_threshold: 'auto',
        stage3_gather_16bit_weights_on_model_save: true,
      }),
    },
    gradient_accumulation_steps: 'auto',
    gradient_clipping: 'auto',
    train_batch_size: 'auto',
    train_micro_batch_size_per_gpu: 'auto',
  };
}

/** Token ids and which of them are the answer: the engine trains on what the demo trains on, to the token. */
export function tokenFiles({ train, heldOut }: RecipeData): Record<string, string> {
  const lines = (examples: RecipeData['train']) => examples.map(({ tokens, promptLength }) => `${JSON.stringify({
    input_ids: tokens, completion_mask: tokens.map((_, i) => (i < promptLength ? 0 : 1)),
  })}\n`).join('');
  return { 'data/train.jsonl': lines(train), ...(heldOut.length > 0 && { 'data/test.jsonl': lines(heldOut) }) };
}

export const yaml = (value: object): string => dump(value, { lineWidth: 120, noRefs: true });

const trainer = `trainer = SFTTrainer(
    model=model.model_name_or_path,
    args=training,
    train_dataset=load_dataset(script.dataset_name)['train'],
    quantization_config=get_quantization_config(model),
    peft_config=get_peft_config(model),
)
`;

// PEFT 0.21 finds no adapter in a model whose blocks FSDP has wrapped, and saves an empty file.
const saved = `if trainer.args.should_save:
    extract_model_from_parallel(trainer.model, recursive=True).save_pretrained(training.output_dir, state_dict=weights)
trainer.accelerator.print('Adaptador guardado en', training.output_dir)
`;

const trlNames = 'ModelConfig, ScriptArguments, SFTConfig, SFTTrainer, TrlParser, get_peft_config, get_quantization_config';

const fsdpScript = `"""What \`trl sft\` does, and then the adapter gathered from its shards: FSDP saves none of SHARDED_STATE_DICT."""
from accelerate.utils import extract_model_from_parallel
from datasets import load_dataset
from trl import ${trlNames}

script, training, model = TrlParser((ScriptArguments, SFTConfig, ModelConfig)).parse_args_and_config()
training.model_init_kwargs = dict(dtype=model.dtype)
${trainer}trainer.train()
weights = trainer.accelerator.get_state_dict(trainer.model)
${saved}`;

/** accelerate 1.15 turns FSDP on for cards alone, and takes a run without them for plain DDP. */
const fsdpScriptOnCpu = `"""The same without cards: FSDP is turned on here, and the adapter gathered without what only cards need."""
import torch
from accelerate import DistributedType, FullyShardedDataParallelPlugin, PartialState
from accelerate.utils import extract_model_from_parallel
from datasets import load_dataset
from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel, StateDictType
from trl import ${trlNames}

script, training, model = TrlParser((ScriptArguments, SFTConfig, ModelConfig)).parse_args_and_config()
training.model_init_kwargs = dict(dtype=model.dtype)
${trainer}state = trainer.accelerator.state
state.fsdp_plugin = FullyShardedDataParallelPlugin()  # of accelerate.yaml
PartialState().distributed_type = state.distributed_type = DistributedType.FSDP  # the one is copied onto the other
trainer.is_fsdp_enabled = True
init, cpu = FullyShardedDataParallel.__init__, torch.device('cpu')  # without the index that accelerate gives it
FullyShardedDataParallel.__init__ = lambda *args, **given: init(*args, **{**given, 'device_id': cpu})
trainer.train()
# Offloading to the CPU what is on the CPU would free it.
whole = FullStateDictConfig(offload_to_cpu=False, rank0_only=False)
with FullyShardedDataParallel.state_dict_type(trainer.model, StateDictType.FULL_STATE_DICT, whole):
    weights = trainer.model.state_dict()
${saved}`;
