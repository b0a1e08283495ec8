import { UserError } from '../../errors.ts';
import type { EngineFiles, RecipeData, RecipeOptions } from './recipe.ts';
import { processes } from './recipe.ts';
import { nemoConfig } from './schemas.ts';
import { tokenFiles, yaml } from './trl.ts';

/** NeMo Automodel: PyTorch's FSDP2 on Hugging Face models, NF4 included. */
export function nemoFiles(options: RecipeOptions, data: RecipeData): EngineFiles {
  checkOptions(options);
  const globalBatch = options.batchSize * options.accumulation * processes(options) / options.tensorParallel;
  const steps = Math.max(1, Math.round(options.epochs * Math.ceil(data.train.length / globalBatch)));
  const dataset = (path: string) => ({ _target_: 'recipe_dataset.make_dataset', path });
  const loader = (shuffle: boolean) => ({
    _target_: 'torchdata.stateful_dataloader.StatefulDataLoader',
    collate_fn: { _target_: 'nemo_automodel.components.datasets.utils.default_collater' },
    shuffle,
  });
  const config = nemoConfig.parse({
    recipe: 'TrainFinetuneRecipeForNextTokenPrediction',
    step_scheduler: {
      global_batch_size: globalBatch, local_batch_size: options.batchSize, num_epochs: Math.ceil(options.epochs),
      max_steps: steps, ckpt_every_steps: steps, val_every_steps: steps,
    },
    dist_env: { backend: 'nccl', timeout_minutes: 10 },
    seed: options.seed,
    model: {
      _target_: 'nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained',
      pretrained_model_name_or_path: options.base, dtype: 'bfloat16', force_hf: true,
    },
    peft: {
      _target_: 'nemo_automodel.components._peft.lora.PeftConfig',
      target_modules: options.targetModules.map((name) => `*.${name}`), dim: options.r, alpha: options.alpha, dropout: options.dropout,
      dropout_position: 'pre', lora_A_init: 'uniform',
    },
    distributed: { strategy: 'fsdp2', dp_size: null, tp_size: options.tensorParallel, cp_size: 1 },
    ...(options.quantized && {
      quantization: {
        load_in_4bit: true, load_in_8bit: false, bnb_4bit_compute_dtype: 'bfloat16',
        bnb_4bit_use_double_quant: options.doubleQuant, bnb_4bit_quant_type: options.quantType,
        bnb_4bit_quant_storage: 'bfloat16',
      },
    }),
    loss_fn: { _target_: 'nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy' },
    dataset: dataset('data/train.jsonl'),
    dataloader: loader(true),
    validation_dataset: dataset('data/test.jsonl'),
    validation_dataloader: loader(false),
    optimizer: {
      _target_: 'torch.optim.AdamW', lr: options.learningRate, betas: [0.9, 0.999], eps: 1e-8,
      weight_decay: options.weightDecay,
    },
    lr_scheduler: { lr_decay_style: options.schedule, lr_warmup_steps: Math.ceil(options.warmup * steps) },
    clip_grad_norm: { max_norm: options.clip },
    checkpoint: { enabled: true, checkpoint_dir: 'checkpoints', model_save_format: 'safetensors' },
  });
  const nodes = options.nodes > 1
    ? '--nnodes $SLURM_NNODES --node-rank $SLURM_NODEID --rdzv-backend c10d --rdzv-endpoint $MASTER_ADDR:29500'
    : '';
  const start = `PYTHONPATH=. torchrun --nproc-per-node ${options.gpusPerNode} {} -m nemo_automodel.recipes.llm.train_ft -c nemo.yaml`;
  return {
    files: { 'nemo.yaml': yaml(config), 'recipe_dataset.py': datasetScript(data.padId), ...tokenFiles(data) },
    requirements: [`nemo-automodel${options.quantized ? '[cuda_source]' : ''}==0.7.0`, 'peft==0.21.0'],
    launch: start.replace(' {}', ''),
    launchSlurm: start.replace('{}', nodes),
    adapter: { folder: `checkpoints/epoch_${Math.ceil(options.epochs) - 1}_step_${steps - 1}/model`, how: [
      'El número de época y de paso de la carpeta los pone NeMo: usa la última que haya en checkpoints/.',
    ] },
    notes: [
      ...(options.checkpointing ? ['NeMo decide él mismo qué activaciones recomputa (activation_checkpointing); aquí no se pide.'] : []),
      `Estados del optimizador sin paginar (torch.optim.AdamW en lugar de ${options.optimizer}): FSDP2 los reparte.`,
    ],
  };
}

function checkOptions(options: RecipeOptions): void {
  const { offload, pipelineParallel, tensorParallel, alpha, cpu, peft } = options;
  if (peft !== 'lora') throw new UserError(`--peft ${peft} no está en la receta de NeMo Automodel: elige lora, o --engine fsdp.`);
  if (cpu) throw new UserError('--cpu no vale para NeMo Automodel, que necesita GPU de NVIDIA: elige --engine trl o fsdp.');
  if (offload !== 'none') throw new UserError('--offload no está en la receta de NeMo Automodel: elige --engine fsdp, fsdp2 o deepspeed.');
  if (pipelineParallel > 1) {
    throw new UserError('--pipeline-parallel no está en la receta de NeMo Automodel: elige --engine megatron-bridge.');
  }
  if (processes(options) % tensorParallel !== 0) {
    throw new UserError(`--gpus: ${processes(options)} GPU no se reparten entre --tensor-parallel ${tensorParallel}; usa un múltiplo.`);
  }
  if (!Number.isInteger(alpha)) throw new UserError(`--alpha ${alpha}: NeMo Automodel espera un entero; redondéalo.`);
}

const datasetScript = (padId: number) => `"""The demo's own tokens as NeMo Automodel takes them: labels are the next token, -100 before the answer."""
import json


def make_dataset(path, tokenizer=None, **_):
    examples = []
    with open(path, encoding='utf-8') as lines:
        for row in map(json.loads, lines):
            ids, mask = row['input_ids'], row['completion_mask']
            examples.append({
                'input_ids': ids[:-1],
                'labels': [token if kept else -100 for token, kept in zip(ids[1:], mask[1:])],
                'attention_mask': [1] * (len(ids) - 1),
                '___PAD_TOKEN_IDS___': {'input_ids': ${padId}, 'labels': -100, 'attention_mask': 0},
            })
    return examples
`;
