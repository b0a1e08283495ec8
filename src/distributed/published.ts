import { required } from './advice.ts';
import { knownConfig } from './known.ts';
import { fragmentationShare, plan, planDefaults, shard } from './planner.ts';
import type { Plan, PlanOptions } from './planner.ts';
import { modelSize } from './size.ts';

/** A figure that somebody published, and ours for the same case. Bytes. */
export interface PublishedCheck {
  readonly what: string;
  readonly published: number;
  readonly planned: number;
  /** planned / published − 1; of a bound, what it is exceeded by. */
  readonly error: number;
  readonly source: string;
  /** Why the plan is more than 10% away, where it is. */
  readonly unmet?: string;
}

const GB = 1e9;
const GiB = 2 ** 30;

/** ZeRO's own example: 7.5B parameters on 64 GPUs. */
function zero(): PublishedCheck[] {
  const parameters = 7.5e9;
  const states = { weights: 2 * parameters, gradients: 2 * parameters, optimizer: 12 * parameters };
  const rows = [['ddp', 'sin ZeRO', 120], ['zero1', 'ZeRO-1', 31.4], ['zero2', 'ZeRO-2', 16.6], ['zero3', 'ZeRO-3', 1.9]] as const;
  return rows.map(([scheme, name, gigabytes]) => {
    const { weights, gradients, optimizer } = shard(states, scheme, 64);
    // The paper prints one decimal.
    const planned = Math.round((weights + gradients + optimizer) / GB * 10) / 10 * GB;
    return row(`Estados de 7,5B en 64 GPU, ${name}`, gigabytes * GB, planned, 'ZeRO, Rajbhandari et al. 2020, fig. 1');
  });
}

const row = (what: string, published: number, planned: number, source: string, unmet?: string): PublishedCheck =>
  ({ what, published, planned, error: planned / published - 1, source, ...(unmet !== undefined && { unmet }) });

type Counted = (plan: Plan) => number;
const allocated: Counted = (p) => p.allocated;
const reserved: Counted = (p) => p.reserved;
const total: Counted = (p) => p.total;
const base: Counted = (p) => p.parts.weights / (1 - fragmentationShare);

const llama7 = 'meta-llama/Llama-2-7b-hf';
const llama70 = 'meta-llama/Llama-2-70b-hf';

/** LitGPT's table: LoRA on q and v, bf16, no checkpointing, the longest of Alpaca's examples; bitsandbytes 0.41.1. */
const litgpt: Partial<PlanOptions> = {
  method: 'lora', r: 8, targetModules: ['q_proj', 'v_proj'], precision: 'bf16', checkpointing: 'none', sequence: 1304,
};
const litgpt4bit: Partial<PlanOptions> = { ...litgpt, method: 'qlora', keepsQuantizedInputs: true };
const litgptSource = 'LitGPT, tutorials/resource-tables.md';

/** fsdp_qlora's benchmark, by the defaults of its train.py: two cards of 24 GB, r 64, no adapter on o_proj. */
const fsdpQlora: Partial<PlanOptions> = {
  method: 'qlora', r: 64, targetModules: ['k_proj', 'q_proj', 'v_proj', 'up_proj', 'down_proj', 'gate_proj'], dropout: 0.1,
  precision: 'bf16', scheme: 'fsdp', gpus: 2,
};
const fsdpQloraSource = 'fsdp_qlora, benchmarks_03_2024.md';

/** PEFT's guide: sequences of 2048, r 8. */
const peft: Partial<PlanOptions> = { ...fsdpQlora, r: 8, targetModules: 'all-linear', batchSize: 2, accumulation: 2 };
const peftSource = 'PEFT, docs/source/accelerate/fsdp.md';

const loading = 'con un lote tan pequeño el pico está en la carga y el reparto del modelo, que el plan no cuenta';
const offloading = 'la guía da 35,6 GB sin offload y solo 16,0 menos con él, de estados que ocupan 18,8; ella misma dice que no lo ha probado';

const cases: readonly (readonly [
  what: string, model: string, options: Partial<PlanOptions>, counted: Counted, published: number, source: string,
  unmet?: string,
])[] = [
  ['QLoRA 7B: la base en 4 bits', 'huggyllama/llama-7b', { method: 'qlora', r: 1 }, base, 5048e6, 'QLoRA, Dettmers et al. 2023, apéndice'],
  ['LoRA Llama-2-7B, lote 1', llama7, litgpt, allocated, 21.30 * GB, litgptSource],
  ['LoRA Llama-2-7B, lote 2', llama7, { ...litgpt, batchSize: 2 }, allocated, 29.07 * GB, litgptSource],
  ['QLoRA Llama-2-7B, NF4', llama7, { ...litgpt4bit, doubleQuant: false }, allocated, 14.14 * GB, litgptSource],
  ['QLoRA Llama-2-7B, NF4 + DQ', llama7, litgpt4bit, allocated, 13.84 * GB, litgptSource],
  ['LoRA Llama-2-13B, lote 1', 'meta-llama/Llama-2-13b-hf', litgpt, allocated, 38.12 * GB, litgptSource],
  ['QLoRA Llama-2-13B, NF4 + DQ', 'meta-llama/Llama-2-13b-hf', litgpt4bit, allocated, 22.55 * GB, litgptSource],
  ['QLoRA 7B, FSDP × 2, lote 1 × 512', llama7, { ...fsdpQlora, sequence: 512 }, reserved, 4.98 * GiB, fsdpQloraSource, loading],
  ['QLoRA 7B, FSDP × 2, lote 1', llama7, fsdpQlora, reserved, 5.21 * GiB, fsdpQloraSource],
  ['QLoRA 7B, FSDP × 2, lote 4', llama7, { ...fsdpQlora, batchSize: 4 }, reserved, 11.22 * GiB, fsdpQloraSource],
  ['QLoRA 7B, FSDP × 2, lote 10', llama7, { ...fsdpQlora, batchSize: 10 }, reserved, 20.97 * GiB, fsdpQloraSource],
  ['QLoRA 7B, FSDP × 2 + CPU, lote 12', llama7, { ...fsdpQlora, offload: 'cpu', batchSize: 12 }, reserved, 22.38 * GiB, fsdpQloraSource],
  ['QLoRA 7B, DDP × 2, lote 8', llama7, { ...fsdpQlora, scheme: 'ddp', batchSize: 8 }, reserved, 20.94 * GiB, fsdpQloraSource],
  ['LoRA 7B, FSDP × 2, lote 1 × 512', llama7, { ...fsdpQlora, method: 'lora', sequence: 512 }, allocated, 8.28 * GiB, fsdpQloraSource],
  ['LoRA 7B, FSDP × 2, lote 1', llama7, { ...fsdpQlora, method: 'lora' }, allocated, 9.16 * GiB, fsdpQloraSource],
  ['LoRA 7B, FSDP × 2, lote 4', llama7, { ...fsdpQlora, method: 'lora', batchSize: 4 }, reserved, 16.14 * GiB, fsdpQloraSource],
  ['LoRA 7B, FSDP × 2, lote 6', llama7, { ...fsdpQlora, method: 'lora', batchSize: 6 }, reserved, 21.35 * GiB, fsdpQloraSource],
  ['LoRA 7B, FSDP × 2 + CPU, lote 10', llama7, { ...fsdpQlora, method: 'lora', offload: 'cpu', batchSize: 10 }, reserved,
    22.69 * GiB, fsdpQloraSource, 'la tabla no dice qué más quedó en la tarjeta; las demás filas con offload sí salen'],
  ['LoRA 7B, DDP × 2, lote 4', llama7, { ...fsdpQlora, method: 'lora', scheme: 'ddp', batchSize: 4 }, reserved, 22.04 * GiB, fsdpQloraSource],
  ['QLoRA 70B, FSDP × 2 + CPU (2 × 24 GB)', llama70, { ...fsdpQlora, offload: 'cpu', batchSize: 2 }, reserved, 14.92 * GiB, fsdpQloraSource],
  ['QLoRA 70B, FSDP × 2', llama70, peft, total, 35.6 * GB, peftSource],
  ['QLoRA 70B, FSDP × 2 + CPU', llama70, { ...peft, offload: 'cpu' }, total, 19.6 * GB, peftSource, offloading],
  ['LoRA 70B, FSDP × 8 (de 72 a 80 GB)', llama70, { ...peft, method: 'lora', gpus: 8, batchSize: 8, accumulation: 4 }, total, 72 * GB, peftSource],
];

/** "> 780 → < 48 GB": a bound, met by what has to stay on the card while the paged optimizer waits. */
function qlora65(): PublishedCheck {
  const bound = 48 * GB;
  const planned = required(planOf('huggyllama/llama-65b', { r: 64, sequence: 512, precision: 'bf16', optimizer: 'paged-adamw' }));
  return {
    what: 'QLoRA 65B, una tarjeta (menos de 48 GB)', published: bound, planned, error: Math.max(0, planned / bound - 1),
    source: 'QLoRA, Dettmers et al. 2023, resumen',
  };
}

function planOf(model: string, options: Partial<PlanOptions>): Plan {
  return plan(modelSize(knownConfig(model)!), { ...planDefaults, ...options });
}

/** The planner against every figure that we found with its conditions. One model of memory for all. */
export function publishedChecks(): PublishedCheck[] {
  return [
    ...zero(), qlora65(),
    ...cases.map(([what, model, options, counted, published, source, unmet]) =>
      row(what, published, counted(planOf(model, options)), source, unmet)),
  ];
}
