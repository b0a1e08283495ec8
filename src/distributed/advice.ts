import { plan, refusal } from './planner.ts';
import type { Plan, PlanOptions } from './planner.ts';
import type { ModelSize } from './size.ts';

/** One change to the options, and what it comes to. */
export interface Advice {
  /** Spanish: what is changed and what it costs. */
  readonly change: string;
  readonly options: PlanOptions;
  readonly plan: Plan;
}

/** What has to be free on the GPU: a paged optimizer may wait on the host. */
export const required = ({ total, pageable }: Plan): number => total - pageable;

type Change = (o: PlanOptions) => { change: string; options: PlanOptions } | undefined;

/** Changes by what they cost: first those that leave the training as it is, then slower ones, then other trainings. */
const changes: readonly Change[] = [
  // A frozen base has no gradients of its weights: back is one forward and not two, and one forward more is the half.
  (o) => (o.checkpointing === 'none'
    ? {
        change: `--checkpointing full: recomputa las activaciones, ${o.method === 'full' ? 'un tercio' : 'casi la mitad'} más de cómputo`,
        options: { ...o, checkpointing: 'full' },
      }
    : undefined),
  (o) => {
    if (o.batchSize === 1) return undefined;
    const batchSize = largestDivisor(o.batchSize);
    const accumulation = o.accumulation * o.batchSize / batchSize;
    return {
      change: `--batch-size ${batchSize} --accumulation ${accumulation}: el mismo lote efectivo, en más microlotes`,
      options: { ...o, batchSize, accumulation },
    };
  },
  (o) => {
    if (o.gpus === o.tensorParallel * o.pipelineParallel || ['zero3', 'fsdp'].includes(o.scheme)) return undefined;
    const isPaged = o.optimizer.startsWith('paged'); // FSDP fails on saving it
    return {
      change: `--scheme fsdp${isPaged ? ' --optimizer adamw' : ''}: reparte también los pesos, con más tráfico`,
      options: { ...o, scheme: 'fsdp', optimizer: isPaged ? 'adamw' : o.optimizer },
    };
  },
  // Not where the optimizer is sharded, for the same reason.
  (o) => (o.optimizer === 'adamw' && o.scheme === 'ddp'
    ? { change: '--optimizer paged-adamw-8bit: momentos en 8 bits, y a la CPU si falta sitio', options: { ...o, optimizer: 'paged-adamw-8bit' } }
    : undefined),
  (o) => (o.offload === 'none' && o.scheme !== 'ddp'
    ? { change: '--offload cpu: los estados esperan en la memoria del anfitrión; cada paso los trae por PCIe', options: { ...o, offload: 'cpu' } }
    : undefined),
  (o) => (o.method === 'full'
    ? { change: '--method lora: congela la base y entrena adaptadores', options: { ...o, method: 'lora' } }
    : undefined),
  (o) => (o.method === 'lora'
    ? { change: '--method qlora: la base congelada, en 4 bits', options: { ...o, method: 'qlora' } }
    : undefined),
  (o) => (o.sequence > 256
    ? { change: `--sequence ${Math.ceil(o.sequence / 2)}: textos más cortos`, options: { ...o, sequence: Math.ceil(o.sequence / 2) } }
    : undefined),
];

const most = 12;

/** The largest but itself. */
function largestDivisor(n: number): number {
  let divisor = Math.floor(n / 2);
  while (n % divisor > 0) divisor--;
  return divisor;
}

/**
 * What to change first, and then, until it fits: the cheapest change that is enough alone; if none is, the cheapest
 * that frees a twentieth of what is needed. Empty when it fits already; the last plan may still not fit.
 *
 * @param capacity bytes of a GPU
 */
export function advise(size: ModelSize, options: PlanOptions, capacity: number): Advice[] {
  const steps: Advice[] = [];
  let now = { options, plan: plan(size, options) };
  while (required(now.plan) > capacity && steps.length < most) {
    const possible = changes
      .flatMap((change) => change(now.options) ?? [])
      .filter((candidate) => refusal(candidate.options, size) === undefined)
      .map((candidate) => ({ ...candidate, plan: plan(size, candidate.options) }));
    const next = possible.find((candidate) => required(candidate.plan) <= capacity)
      ?? possible.find((candidate) => required(candidate.plan) < 0.95 * required(now.plan));
    if (!next) break;
    steps.push(next);
    now = next;
  }
  return steps;
}
