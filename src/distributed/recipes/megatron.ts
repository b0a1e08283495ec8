import { UserError } from '../../errors.ts';
import type { EngineFiles, RecipeData, RecipeOptions } from './recipe.ts';
import { processes } from './recipe.ts';
import { megatronConfig } from './schemas.ts';

/** PEFT's names of the linear layers, and those of Megatron-Bridge's canonical LoRA. */
const targets: Readonly<Record<string, string>> = {
  q_proj: 'linear_q', k_proj: 'linear_k', v_proj: 'linear_v', o_proj: 'linear_proj',
  gate_proj: 'linear_fc1_gate', up_proj: 'linear_fc1_up', down_proj: 'linear_fc2',
};

/** Megatron-Bridge: LoRA in bf16 with tensor and pipeline parallelism. It has no 4-bit base. */
export function megatronFiles(options: RecipeOptions, data: RecipeData): EngineFiles {
  checkOptions(options);
  const { tensorParallel, pipelineParallel, batchSize, accumulation } = options;
  const dataParallel = processes(options) / (tensorParallel * pipelineParallel);
  const globalBatch = batchSize * accumulation * dataParallel;
  const steps = Math.max(1, Math.round(options.epochs * Math.ceil(data.train.length / globalBatch)));
  const config = megatronConfig.parse({
    hf_model: options.base,
    model: {
      tensor_model_parallel_size: tensorParallel, pipeline_model_parallel_size: pipelineParallel,
      seq_length: options.maxLength, recompute_granularity: options.checkpointing ? 'full' : 'selective',
    },
    train: { train_iters: steps, global_batch_size: globalBatch, micro_batch_size: batchSize, eval_interval: steps },
    optimizer: {
      optimizer: 'adam', lr: options.learningRate, weight_decay: options.weightDecay, clip_grad: options.clip,
      bf16: true, use_distributed_optimizer: true,
    },
    scheduler: {
      lr_decay_style: options.schedule, lr_warmup_iters: Math.ceil(options.warmup * steps), lr_decay_iters: steps,
    },
    peft: {
      target_modules: options.targetModules.map((name) => targets[name]),
      dim: options.r, alpha: options.alpha, dropout: options.dropout, lora_A_init_method: 'kaiming',
    },
    dataset: { dataset_root: 'data', seq_length: options.maxLength },
    preprocessing: {
      prompt_column: 'input', completion_column: 'output', separator: '', loss_mode: 'completion',
      strip_whitespace: false, add_bos: data.adds.bos, add_eos: data.adds.eos,
    },
    checkpoint: { pretrained_checkpoint: 'base', save: 'checkpoints', save_interval: steps },
    seed: options.seed,
  });
  const start = `torchrun --nproc-per-node ${options.gpusPerNode} {} train.py`;
  return {
    files: {
      'megatron.json': `${JSON.stringify(config, null, 2)}\n`,
      'train.py': trainScript,
      'convert.py': convertScript,
      'export.py': exportScript,
      'data/training.jsonl': textLines(data.train),
      'data/validation.jsonl': textLines(data.heldOut.length > 0 ? data.heldOut : data.train.slice(0, 1)),
    },
    requirements: ['megatron-bridge==0.6.2', 'peft==0.21.0'],
    launch: `[ -d base ] || python convert.py\n${start.replace(' {}', '')}\npython export.py`,
    launchSlurm: start.replace('{}',
      '--nnodes $SLURM_NNODES --node-rank $SLURM_NODEID --rdzv-backend c10d --rdzv-endpoint $MASTER_ADDR:29500'),
    adapter: { folder: 'adapter', how: [
      'Con varios nodos, antes: python convert.py (la base, al formato de Megatron); después: python export.py (el adaptador, al de PEFT).',
    ] },
    notes: [
      ...(options.quantized
        ? ['Megatron-Bridge no tiene NF4: esta receta es LoRA con la base en bf16, que ocupa casi cuatro veces más que en 4 bits.']
        : []),
      'Usa CanonicalLoRA, con un adaptador para cada una de q, k, v, gate y up, como PEFT; la variante rápida de Megatron los fusiona.',
      'Megatron tokeniza el texto él mismo; si pone un token inicial y uno final como aquí se lo dicen add_bos y add_eos.',
      `Estados del optimizador sin paginar (el distribuido de Megatron en lugar de ${options.optimizer}).`,
    ],
  };
}

function checkOptions(options: RecipeOptions): void {
  const { offload, cpu, peft, tensorParallel: t, pipelineParallel: p } = options;
  if (peft !== 'lora') {
    throw new UserError(`--peft ${peft}: de los que Megatron-Bridge devuelve a PEFT capa a capa solo está lora; elígelo, o --engine fsdp.`);
  }
  if (cpu) throw new UserError('--cpu no vale para Megatron-Bridge, que necesita GPU de NVIDIA: elige --engine trl o fsdp.');
  if (offload !== 'none') throw new UserError('--offload no está en la receta de Megatron-Bridge: elige --engine fsdp, fsdp2 o deepspeed.');
  if (processes(options) % (t * p) !== 0) {
    throw new UserError(`--gpus: ${processes(options)} GPU no se reparten entre --tensor-parallel ${t} y --pipeline-parallel ${p}; `
      + `usa un múltiplo de ${t * p}.`);
  }
}

const textLines = (examples: RecipeData['train']): string =>
  examples.map(({ prompt, answer }) => `${JSON.stringify({ input: prompt, output: answer })}\n`).join('');

const convertScript = `"""The Hugging Face base as a Megatron checkpoint, in base/: adapters are put on one."""
import json

from megatron.bridge import AutoBridge

AutoBridge.import_ckpt(json.load(open('megatron.json'))['hf_model'], 'base')
`;

const exportScript = `"""The way back: the adapter as the folder that PEFT opens, in adapter/."""
import json

from megatron.bridge import AutoBridge

config = json.load(open('megatron.json'))
AutoBridge.from_hf_pretrained(config['hf_model']).export_adapter_ckpt(
    peft_checkpoint=config['checkpoint']['save'], output_path='adapter')
`;

const trainScript = `"""LoRA in bf16 by Megatron-Bridge, as megatron.json says. Launched by torchrun: see launch.sh."""
import json

from megatron.bridge import AutoBridge
from megatron.bridge.data.builders import GPTSFTDatasetConfig, PromptCompletionSFTPreprocessingConfig
from megatron.bridge.peft.canonical_lora import CanonicalLoRA
from megatron.bridge.training.config import (
    CheckpointConfig, ConfigContainer, DistributedDataParallelConfig, LoggerConfig, RNGConfig, SchedulerConfig,
    TokenizerConfig, TrainingConfig,
)
from megatron.bridge.training.finetune import finetune
from megatron.bridge.training.gpt_step import forward_step
from megatron.core.optimizer import OptimizerConfig

config = json.load(open('megatron.json'))
model = AutoBridge.from_hf_pretrained(config['hf_model']).to_megatron_provider(load_weights=False)
for name, value in config['model'].items():
    setattr(model, name, value)
if config['model']['recompute_granularity'] == 'full':
    model.recompute_method, model.recompute_num_layers = 'uniform', 1

finetune(ConfigContainer(
    model=model,
    train=TrainingConfig(**config['train']),
    optimizer=OptimizerConfig(**config['optimizer']),
    scheduler=SchedulerConfig(**config['scheduler']),
    ddp=DistributedDataParallelConfig(use_distributed_optimizer=True),
    dataset=GPTSFTDatasetConfig(
        **config['dataset'],
        seed=config['seed'],
        do_test=False,
        preprocessing=PromptCompletionSFTPreprocessingConfig(**config['preprocessing']),
    ),
    tokenizer=TokenizerConfig(tokenizer_type='HuggingFaceTokenizer', tokenizer_model=config['hf_model']),
    checkpoint=CheckpointConfig(**config['checkpoint']),
    logger=LoggerConfig(log_interval=10),
    rng=RNGConfig(seed=config['seed']),
    peft=CanonicalLoRA(**config['peft']),
), forward_step)
`;
