import { advise, required } from '../distributed/advice.ts';
import type { Advice } from '../distributed/advice.ts';
import { findArchitecture } from '../distributed/architecture.ts';
import { plan, planDefaults, refusal } from '../distributed/planner.ts';
import type { Plan, PlanOptions } from '../distributed/planner.ts';
import type { MeasuredCheck } from '../distributed/measured.ts';
import { publishedChecks } from '../distributed/published.ts';
import type { PublishedCheck } from '../distributed/published.ts';
import { modelSize } from '../distributed/size.ts';
import { adviceOf, capacityOf, outcomeOf, titleOf, trafficOf, verdictOf } from '../distributed/words.ts';
import type { PlanChoice } from '../distributed/words.ts';
import { UserError } from '../errors.ts';
import { formatBytes, formatNumber, formatPercent } from '../format.ts';
import { targetNames } from '../peft/targets.ts';
import { embeddedModel, targetsOption } from './flags.ts';
import { runCommand } from './main.ts';
import { choice, integer, option, positive, share, text, toggle } from './options.ts';
import { createScreen, onScreen } from './screen.ts';
import type { Screen } from './screen.ts';

const d = planDefaults;

const training = {
  model: option('model', 'MODELO', 'carpeta, config.json o nombre del hub: de los conocidos no se descarga nada; de otro, solo su config.json', text('un modelo'),
    'meta-llama/Llama-2-7b-hf'),
  method: option('method', 'MÉTODO', 'full, lora o qlora', choice('full', 'lora', 'qlora'), d.method),
  r: option('r', 'N', 'rango de los adaptadores', integer(1), String(d.r)),
  targetModules: targetsOption,
  dropout: option('dropout', 'X', 'dropout de los adaptadores, de 0 a menos de 1', share, String(d.dropout)),
  sequence: option('sequence', 'N', 'tokens por secuencia', integer(1), String(d.sequence)),
  batchSize: option('batch-size', 'N', 'secuencias por microlote y GPU', integer(1), String(d.batchSize)),
  accumulation: option('accumulation', 'N', 'microlotes por paso de optimizador', integer(1), String(d.accumulation)),
  checkpointing: option('checkpointing', 'CUÁL', 'none, full o sqrt (una entrada de cada √capas)',
    choice('none', 'full', 'sqrt'), d.checkpointing),
  optimizer: option('optimizer', 'CUÁL', 'adamw, adamw-8bit, paged-adamw o paged-adamw-8bit',
    choice('adamw', 'adamw-8bit', 'paged-adamw', 'paged-adamw-8bit'), d.optimizer),
  precision: option('precision', 'CUÁL', 'mixed (bf16 y fp32), bf16 o fp32', choice('mixed', 'bf16', 'fp32'), d.precision),
};

const machine = {
  gpus: option('gpus', 'N', 'cuántas GPU', integer(1), '1'),
  gpuMemory: option('gpu-memory', 'GIB', 'memoria de cada una, en GiB', positive, '24'),
  scheme: option('scheme', 'CUÁL', 'ddp, zero1, zero2, zero3 o fsdp', choice('ddp', 'zero1', 'zero2', 'zero3', 'fsdp'), d.scheme),
  offload: option('offload', 'DÓNDE', 'none, cpu o nvme', choice('none', 'cpu', 'nvme'), d.offload),
  tensorParallel: option('tensor-parallel', 'N', 'GPU entre las que se parte cada capa', integer(1), '1'),
  pipelineParallel: option('pipeline-parallel', 'N', 'etapas en que se parte el modelo', integer(1), '1'),
};

const output = {
  check: toggle('check', 'compara el planificador con cifras publicadas, y con pasos que mide aquí'),
  json: toggle('json', 'el plan en JSON, y nada más'),
};

/** `npm run plan`: what a fine-tuning run needs, before anybody rents a card. */
await runCommand({
  name: 'npm run plan',
  about: 'Dice qué ocupa un ajuste en cada GPU, si cabe, qué cambiar primero y qué viaja en cada paso. Son fórmulas: no entrena.',
  options: { ...training, ...machine, ...output },
  groups: { Entrenamiento: training, Máquina: machine, Salida: output },
}, async (flags) => {
  const write = (value: string) => void process.stdout.write(`${value}\n`);
  const screen = createScreen();
  if (flags.check) {
    // A plan alone needs no tensors.
    const [{ measuredChecks }, { useBackend }] = await Promise.all([
      import('../distributed/measured.ts'), import('../tensor/backend.ts'),
    ]);
    await useBackend('wasm');
    const published = publishedChecks();
    const measured: MeasuredCheck[] = [];
    for await (const check of measuredChecks(embeddedModel)) measured.push(check);
    if (flags.json) return write(JSON.stringify({ published, measured }, null, 2));
    showPublished(screen, published);
    return showMeasured(screen, measured);
  }

  const config = await onScreen((screen) => findArchitecture(flags.model, screen), { json: flags.json });
  const size = modelSize(config);
  const { gpuMemory, check: _check, json, model, ...chosen } = flags;
  const names = targetNames(config, chosen.targetModules, 'un plan cuenta todos los bloques por igual');
  const targetModules = chosen.targetModules === 'all-linear' ? 'all-linear' : names;
  const options: PlanOptions = { ...d, ...chosen, targetModules };
  const refused = refusal(options, size);
  if (refused !== undefined) throw new UserError(refused);
  const choice: PlanChoice = { model, gpuMemory, options };
  const capacity = capacityOf(choice);
  const planned = plan(size, options);
  const advice = advise(size, options, capacity);
  if (json) {
    const fits = required(planned) <= capacity;
    return write(JSON.stringify({ model, options, capacity, fits, ...planned, advice }, null, 2));
  }
  show(screen, choice, planned);
  showAdvice(screen, advice, planned, capacity);
  if (options.method !== 'full' && planned.dataParallel > 1) {
    screen.line(`\n${comparedSchemes((scheme) => plan(size, { ...options, scheme, offload: 'none' }))}`);
  }
});

function show(screen: Screen, choice: PlanChoice, planned: Plan): void {
  const { parts } = planned;
  screen.line(titleOf(choice));
  screen.line(`${formatNumber(planned.parameters)} parámetros; se entrenan ${formatNumber(planned.trained)} `
    + `(${formatPercent(planned.trained / planned.parameters, 2)})\n`);
  screen.table([
    ['por GPU, en el peor momento del paso', 'bytes'],
    ['pesos', formatBytes(parts.weights)],
    ['gradientes', formatBytes(parts.gradients)],
    ['optimizador', formatBytes(parts.optimizer)],
    ['activaciones', formatBytes(parts.activations)],
    ['búferes (parámetros reunidos, comunicación, una matriz descuantizada)', formatBytes(parts.buffers)],
    ['fragmentación del asignador', formatBytes(parts.fragmentation)],
    ['contexto de CUDA', formatBytes(parts.context)],
    ['total', formatBytes(planned.total)],
    ...(planned.pageable > 0 ? [['  de ello, paginable a la CPU', formatBytes(planned.pageable)]] : []),
    ...(planned.host > 0 ? [[`fuera de la GPU (${choice.options.offload}), por GPU`, formatBytes(planned.host)]] : []),
  ]);
  const traffic = trafficOf(planned);
  if (traffic) screen.line(`\n${traffic}`);
}

function showAdvice(screen: Screen, advice: readonly Advice[], planned: Plan, capacity: number): void {
  screen.line(`\n${verdictOf(planned, capacity)}${advice.length > 0 ? ' Qué cambiar, por orden:' : ''}`);
  advice.forEach((one, i) => screen.line(`  ${i + 1}. ${adviceOf(one)}`));
  if (required(planned) > capacity) screen.line(outcomeOf(advice.at(-1)?.plan ?? planned, capacity));
}

/** With adapters only they have gradients and states, so that stages 1 and 2 have little to share out: in figures. */
function comparedSchemes(of: (scheme: PlanOptions['scheme']) => Plan): string {
  const states = (scheme: PlanOptions['scheme']) => {
    const { weights, gradients, optimizer } = of(scheme).parts;
    return weights + gradients + optimizer;
  };
  const whole = states('ddp');
  const saved = (scheme: PlanOptions['scheme']) => `${formatBytes(whole - states(scheme))} (${formatPercent(1 - states(scheme) / whole)})`;
  return `Con adaptadores casi todo son pesos congelados: de ${formatBytes(whole)} de estados, ZeRO-1 ahorra ${saved('zero1')}, `
    + `ZeRO-2 ${saved('zero2')} y ZeRO-3 o FSDP, que reparten la base, ${saved('fsdp')}.`;
}

function gigabytes(bytes: number): string {
  return `${formatNumber(bytes / 1e9, 2, true)} GB`;
}

function signed(error: number): string {
  const rounded = Math.round(error * 1000) / 1000 || 0; // no −0
  return `${rounded > 0 ? '+' : ''}${formatPercent(rounded)}`;
}

function showPublished(screen: Screen, checks: readonly PublishedCheck[]): void {
  screen.table([
    ['caso', 'publicado', 'planificado', 'error', 'fuente'],
    ...checks.map(({ what, published, planned, error, source, unmet }) =>
      [what, gigabytes(published), gigabytes(planned), `${signed(error)}${unmet ? ' *' : ''}`, source]),
  ]);
  screen.line('');
  for (const { what, unmet } of checks) if (unmet) screen.line(`* ${what}: ${unmet}.`);
}

/** Planned and measured here, and the error of each part. */
function showMeasured(screen: Screen, checks: readonly MeasuredCheck[]): void {
  screen.line('\nUn paso de este proyecto, medido aquí (wasm) y planificado como su motor:\n');
  screen.table([
    ['caso', 'medido', 'planificado', 'error', 'pesos', 'gradientes', 'optimizador', 'activaciones'],
    ...checks.map(({ what, total, weights, gradients, optimizer, activations }) => [
      what, formatBytes(total.measured), formatBytes(total.planned),
      ...[total, weights, gradients, optimizer, activations].map(({ error }) => signed(error)),
    ]),
  ]);
}
