import { z } from 'zod';
import type { DataOptions } from '../data/load.ts';
import { UserError } from '../errors.ts';
import { methodNames, tooFewAdapters } from '../peft/methods.ts';
import { backendNames } from '../tensor/backend.ts';
import { optimizerNames } from '../train/adamw.ts';
import {
  choice, integer, notNegative, option, optional, parseOptions, positive, repeated, share, text, toggle,
} from './options.ts';
import type { Command, Idle, Kind, Values } from './options.ts';
import type { Sources } from './sources.ts';

export const embeddedModel = 'assets/model';
export const embeddedData = 'assets/data/alpaca_es.json';
export const embeddedHeldOut = 'assets/data/heldout_es.json';

/** What could only be names is a list of names; a regular expression is whatever else. */
const targets: Kind<string | string[]> = {
  schema: z.string().trim().min(1).transform((value) =>
    (value === 'all-linear' || !/^[\w.,\s-]+$/.test(value) ? value : value.split(',').map((name) => name.trim())))
    .pipe(z.union([z.string(), z.array(z.string().min(1))])),
  expected: 'all-linear, nombres separados por comas (q_proj,v_proj) o una expresión regular',
};

/** Which layers get an adapter, where every method puts one on all the linear ones if it is not told. */
export const targetsOption = option(
  'target-modules', 'CAPAS', 'all-linear, capas con comas o expresión regular', targets, 'all-linear',
);

const kibibytes: Kind<number> = {
  schema: integer(1).schema.transform((kib) => kib * 1024),
  expected: 'un entero de KiB, 1 o más',
};

const folder = text('una carpeta');
const model = text('una carpeta o un nombre del hub, como org/nombre');
const alpaca = text('un archivo en formato Alpaca, «alpaca», un nombre del hub o una dirección https://');

const input = {
  model: option('model', 'MODELO', 'carpeta, u org/nombre[@revisión] del hub', model, embeddedModel),
  data: option('data', 'DATOS', 'archivo, org/nombre del hub, alpaca o URL', alpaca, embeddedData),
  heldOut: optional('held-out', 'DATOS', 'preguntas de examen', alpaca,
    'las suyas; con otro --data, se apartan'),
  examples: option('examples', 'N', 'ejemplos de entrenamiento, como mucho', integer(1), '1000'),
  evaluate: optional('eval', 'N', 'preguntas de examen que se hacen', integer(1), 'todas; con otro --data, 50'),
  template: option('template', 'IDIOMA', 'plantilla de Alpaca: es o en; un modelo con plantilla de chat usa la suya',
    choice('es', 'en'), 'es'),
  maxLength: option('max-length', 'N', 'tokens por ejemplo, como mucho', integer(8), '256'),
};

/** Where tensors are computed, for every command that computes. */
export const backendOption = optional(
  'backend', 'NOMBRE', 'tensorflow, webgpu, wasm o cpu', choice(...backendNames), 'el mejor que haya',
);

const base = {
  backend: backendOption,
  quant: optional('quant', 'TIPO', 'pesos de la base: nf4, fp4 o int4', choice('nf4', 'fp4', 'int4'),
    'nf4; si ya está en 4 bits, los suyos'),
  doubleQuant: toggle('no-double-quant', 'no cuantiza las escalas por segunda vez', false),
};

const peft = choice(...methodNames);

const adapter = {
  peft: option('peft', 'TIPO', `adaptador: ${peft.expected}`, peft, 'lora'),
  r: option('r', 'N', 'rango de LoRA', integer(1), '16'),
  alpha: option('alpha', 'N', 'escala: multiplica por alpha / r; en rslora, por alpha / √r', positive, '16'),
  dropout: option('dropout', 'X', 'dropout de LoRA, de 0 a menos de 1', share, '0.05'),
  targetModules: optional(targetsOption.name, 'CAPAS', targetsOption.help, targets,
    'all-linear; en ia3, k, v y down'),
};

/** What one method alone heeds. */
const method = {
  initR: optional('init-r', 'N', 'rango inicial de cada matriz en adalora, que acaba en --r de media', integer(2), '1,5 · r'),
  tinit: optional('tinit', 'N', 'pasos que adalora pasa con el rango inicial', integer(0), 'una décima parte'),
  tfinal: optional('tfinal', 'N', 'últimos pasos de adalora, con el rango ya repartido', integer(0), 'tres décimas partes'),
  deltaT: option('delta-t', 'N', 'pasos de adalora entre dos repartos del rango', integer(1), '1'),
  orthRegWeight: option('orth-reg-weight', 'X', 'peso de la ortogonalidad en adalora', notNegative, '0.5'),
  experts: option('experts', 'N', 'adaptadores por capa en adamix; los que router entrena si no se le dan', integer(1), '4'),
  adapters: repeated('adapter', 'DIR', 'carpeta de un adaptador de los que elige router; una vez por cada uno', folder),
};

const training = {
  epochs: option('epochs', 'N', 'vueltas a los ejemplos; puede ser 0.5', positive, '1'),
  batchSize: option('batch-size', 'N', 'ejemplos por paso de gradiente', integer(1), '8'),
  accumulation: option('accumulation', 'N', 'pasos de gradiente por paso de optimizador', integer(1), '1'),
  learningRate: option('learning-rate', 'X', 'tasa de aprendizaje', positive, '3e-3'),
  warmup: option('warmup', 'X', 'parte de los pasos en que la tasa sube desde 0', share, '0.05'),
  schedule: option('schedule', 'FORMA', 'tasa después: constant o cosine', choice('constant', 'cosine'), 'cosine'),
  optimizer: option('optimizer', 'NOMBRE', 'paged_adamw_32bit, o paged_adamw_8bit con momentos de 8 bits',
    choice(...optimizerNames), 'paged_adamw_32bit'),
  weightDecay: option('weight-decay', 'X', 'decaimiento de pesos de AdamW', notNegative, '0'),
  clip: option('clip', 'X', 'norma máxima del gradiente', positive, '1'),
  seed: option('seed', 'N', 'semilla: la misma da las mismas pérdidas', integer(0), '42'),
};

/** Early stopping, which only this loop does. */
const stopping = {
  patience: optional('patience', 'N', 'para tras N validaciones sin mejora y deja el mejor adaptador', integer(1),
    'no para antes'),
  validateEvery: option('validate-every', 'N', 'pasos entre validaciones de --patience', integer(1), '10'),
};

const memory = {
  checkpointing: toggle('no-checkpointing', 'guarda todas las activaciones en vez de recomputarlas', false),
  pageBytes: option('page-size', 'KIB', 'página de los estados del optimizador, en KiB', kibibytes, '64'),
  optimizerBytes: optional('optimizer-memory', 'KIB', 'memoria para páginas residentes, en KiB', kibibytes,
    '1024; con webgpu, sin límite'),
};

const precision = {
  bfloat16: toggle('no-bf16', 'multiplica en float32, y no en bfloat16 (tensorflow) o float16 (webgpu, en una GPU)', false),
};

const output = {
  output: option('output', 'DIR', 'carpeta del adaptador y del punto de control', folder, 'out/qlora'),
  resume: toggle('resume', 'sigue desde el punto de control de --output'),
  record: toggle('record', 'guarda las medidas para las diapositivas, en assets/runs/qlora.json'),
  replay: toggle('replay', 'reproduce la ejecución grabada de las diapositivas, sin calcular nada'),
  speed: option('speed', 'X', 'velocidad de --replay', positive, '1'),
  json: toggle('json', 'un suceso en JSON por línea, y nada más'),
};

const { examples: _examples, ...examination } = input;

/** What decides a run, here or on another engine; and what decides its examination. */
export const runOptions = { ...input, ...base, ...adapter, ...training, checkpointing: memory.checkpointing };
export const examinationOptions = {
  ...examination, backend: base.backend,
  seed: { ...training.seed, help: 'semilla con que se apartan las preguntas de otro --data: la de su ajuste' },
};

const table = { ...runOptions, ...method, ...stopping, ...memory, ...precision, ...output };

/** Options of `npm run demo`. Sizes in bytes, shares from 0 to 1. */
export type DemoFlags = Values<typeof table>;

const givenAdapters = ({ peft, adapters }: DemoFlags) => peft === 'router' && adapters.length > 0 && 'con --adapter';

const idle: readonly Idle<typeof table>[] = [
  [['initR', 'tinit', 'tfinal', 'deltaT', 'orthRegWeight'], ({ peft }) => peft !== 'adalora' && 'sin --peft adalora'],
  [['adapters'], ({ peft }) => peft !== 'router' && 'sin --peft router'],
  [['experts'], ({ peft }) => peft !== 'adamix' && peft !== 'router' && 'sin --peft adamix o router'],
  [['r', 'alpha', 'dropout'], ({ peft }) => peft === 'ia3' && 'con --peft ia3'],
  [['r', 'alpha', 'dropout', 'targetModules', 'experts'], givenAdapters],
  [['validateEvery'], ({ patience }) => patience === undefined && 'sin --patience'],
  [['speed'], ({ replay }) => !replay && 'sin --replay'],
  [fieldsBut('replay', 'speed', 'json'), ({ replay }) => replay && 'con --replay'],
];

function fieldsBut(...names: (keyof typeof table)[]) {
  return (Object.keys(table) as (keyof typeof table)[]).filter((field) => !names.includes(field));
}

/** `npm run demo`; what its options ask of each other is checked by `checkDemoFlags`. */
export const demoCommand: Command<typeof table> = {
  name: 'npm run demo',
  about: `Carga un modelo en 4 bits, le inserta LoRA, lo entrena con instrucciones y lo evalúa antes y después (QLoRA).
Con Ctrl-C guarda lo hecho; para seguir, repite la orden con --resume.
Solo se descarga lo que se pide por su nombre del hub o su dirección, una vez, a la caché de Hugging Face (HF_HOME,
HF_TOKEN, HF_ENDPOINT y HF_HUB_OFFLINE valen como en Python).`,
  options: table,
  groups: {
    'Modelo base': { model: input.model, ...base },
    'Datos': {
      data: input.data, heldOut: input.heldOut, examples: input.examples, evaluate: input.evaluate,
      template: input.template, maxLength: input.maxLength,
    },
    'Adaptador': { ...adapter, ...method },
    'Entrenamiento': { ...training, ...stopping },
    'Memoria': memory,
    'Precisión': precision,
    'Salida': output,
  },
  idle,
};

/**
 * Reads the command line of `npm run demo`.
 * @throws UserError naming the option, what was expected and what came
 */
export const parseDemoFlags = (argv: readonly string[]): DemoFlags => checkDemoFlags(parseOptions(demoCommand, argv));

/**
 * The options with those filled in that follow from others.
 * @throws UserError if they contradict each other
 */
export function checkDemoFlags(given: DemoFlags): DemoFlags {
  const flags = withHeldOut(given);
  const trainsOwn = flags.adapters.length === 0 && flags.data === embeddedData && flags.experts > 1;
  if (flags.peft === 'router' && flags.adapters.length < 2 && !trainsOwn) throw new UserError(tooFewAdapters);
  const { pageBytes, optimizerBytes = pageBytes } = flags;
  if (optimizerBytes < pageBytes) {
    throw new UserError(`--optimizer-memory ${optimizerBytes / 1024}: no cabe ni una página, que ocupa ${pageBytes / 1024} KiB; `
      + 'sube esa memoria, o baja --page-size.');
  }
  return flags;
}

/** With the embedded data and no `--held-out`, the embedded questions; with foreign data it stays undefined. */
export function withHeldOut<Flags extends Pick<DemoFlags, 'data' | 'heldOut'>>(flags: Flags): Flags {
  return flags.data === embeddedData ? { ...flags, heldOut: flags.heldOut ?? embeddedHeldOut } : flags;
}

/**
 * The data that the options ask for, as the loader takes them.
 * @param sources where they were found; without it they are files of the person's own
 */
export function dataOptions(
  flags: Pick<DemoFlags, keyof typeof input | 'seed'>, sources?: Pick<Sources, 'data' | 'heldOut'>,
): DataOptions {
  const { data, heldOut, examples, evaluate, template, maxLength, seed } = flags;
  const files = sources?.data.files ?? [data];
  const heldOutFiles = sources ? sources.heldOut?.files : heldOut === undefined ? undefined : [heldOut];
  return { files, heldOutFiles, examples, heldOut: evaluate, template, maxLength, seed };
}
