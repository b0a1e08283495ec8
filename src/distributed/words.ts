import { formatBytes, formatPercent } from '../format.ts';
import { required } from './advice.ts';
import type { Advice } from './advice.ts';
import { planDefaults } from './planner.ts';
import type { Plan, PlanOptions } from './planner.ts';

// How a plan is told in Spanish, in the terminal and on the slide alike. Formulas alone: a page bundles this file.

/** What somebody asks of the planner. */
export interface PlanChoice {
  readonly model: string;
  /** Of each card, GiB. */
  readonly gpuMemory: number;
  readonly options: PlanOptions;
}

/** Bytes of a card. */
export const capacityOf = ({ gpuMemory }: PlanChoice): number => gpuMemory * 2 ** 30;

/** Schemes by their names. */
export const schemeNames = { ddp: 'DDP', zero1: 'ZeRO-1', zero2: 'ZeRO-2', zero3: 'ZeRO-3', fsdp: 'FSDP' } as const;

/** «meta-llama/Llama-2-7b-hf: QLoRA r = 16; 2 GPU de 24 GiB, FSDP». */
export function titleOf(choice: PlanChoice): string {
  const { model, options: { method, r, gpus, scheme } } = choice;
  const trained = { full: 'todos los pesos', lora: `LoRA r = ${r}`, qlora: `QLoRA r = ${r}` }[method];
  return `${model}: ${trained}; ${gpus} GPU de ${formatBytes(capacityOf(choice))}, ${schemeNames[scheme]}`;
}

/** The command that asks the same: its flags, without those that say what would be taken anyway. */
export function commandOf({ model, gpuMemory, options }: PlanChoice): string {
  const flags = (Object.keys(planDefaults) as (keyof PlanOptions)[])
    .filter((name) => String(options[name]) !== String(planDefaults[name]))
    .map((name) => ` --${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} ${String(options[name])}`);
  return `npm run plan -- --model ${model} --gpu-memory ${gpuMemory}${flags.join('')}`;
}

/** Whether it fits, and how much is left or missing. @param capacity bytes of a card */
export function verdictOf(plan: Plan, capacity: number): string {
  const missing = required(plan) - capacity;
  return missing <= 0
    ? `Cabe: quedan ${formatBytes(-missing)} libres en cada GPU.`
    : `No cabe: faltan ${formatBytes(missing)} en cada GPU.`;
}

/** What has to be free after a change. */
export const adviceOf = ({ change, plan }: Advice): string => `${change} → ${formatBytes(required(plan))}`;

/** What comes of all the changes. @param capacity bytes of a card */
export function outcomeOf(plan: Plan, capacity: number): string {
  const left = required(plan) - capacity;
  return left <= 0
    ? `Así cabe, y quedan ${formatBytes(-left)} libres.`
    : `Ni aun así: faltan ${formatBytes(left)}; hacen falta más GPU, otras mayores o un modelo más pequeño.`;
}

/** What each GPU sends in a step, and how long a pipeline waits; empty where nothing does. */
export function trafficOf({ traffic, bubble }: Plan): string {
  const moved = ([
    ['entre réplicas', traffic.data], ['dentro de las capas', traffic.tensor], ['entre etapas', traffic.pipeline],
    ['con el anfitrión', traffic.host],
  ] as const).filter(([, bytes]) => bytes > 0).map(([name, bytes]) => `${formatBytes(bytes)} ${name}`);
  return [
    ...(moved.length > 0 ? [`Tráfico por paso y GPU: ${moved.join(', ')}.`] : []),
    ...(bubble > 0 ? [`Burbuja de la tubería: ${formatPercent(bubble)} del tiempo útil.`] : []),
  ].join(' ');
}
