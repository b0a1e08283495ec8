import { findModel } from '../checkpoint/source.ts';
import { alpacaPrompt } from '../data/prompt.ts';
import { checkTokenizer, loadTokenizer } from '../data/tokenizer.ts';
import { UserError } from '../errors.ts';
import { formatBytes, formatCount, formatNumber, formatPercent, formatSignificant } from '../format.ts';
import type { LlamaModel } from '../model/llama.ts';
import { combineFolders } from '../peft/combine-folders.ts';
import { combinations, combineDefaults, majoritySigns } from '../peft/combine.ts';
import { logitsDifference, mergeAdapter, trainedModel } from '../peft/merge.ts';
import type { Difference } from '../peft/merge.ts';
import { useBackend } from '../tensor/backend.ts';
import { backendOption, embeddedModel } from './flags.ts';
import { runCommand } from './main.ts';
import { choice, integer, numbers, option, optional, positive, repeated, size, text, toggle } from './options.ts';
import type { Idle, Values } from './options.ts';
import { checkOutput } from './output.ts';
import { onScreen } from './screen.ts';
import { runWriting } from './writing.ts';

const common = {
  model: option('model', 'MODELO', 'base: carpeta, u org/nombre[@revisión] del hub', text('una carpeta o un nombre del hub'), embeddedModel),
  adapter: repeated('adapter', 'DIR', 'carpeta del adaptador; con --combine, una vez por cada uno', text('una carpeta'), 'out/qlora/adapter'),
  output: option('output', 'DIR', 'carpeta que se escribe; no puede tener nada', text('una carpeta'), 'out/merged'),
};
const intoBase = {
  shardSize: option('shard-size', 'TAMAÑO', 'lo más que ocupa cada archivo de pesos', size, '5GB'),
  quant: option('quant', 'TIPO', '4 bits con que se compara: nf4, fp4 o int4', choice('nf4', 'fp4', 'int4'), 'nf4'),
  doubleQuant: toggle('no-double-quant', 'compara sin la segunda cuantización de las escalas', false),
  backend: backendOption,
};
const together = {
  combine: optional('combine', 'MODO', `reúne varios adaptadores en uno: ${combinations.join(', ')}`, choice(...combinations)),
  weights: optional('weights', 'PESOS', 'peso de cada adaptador; con uno negativo, se resta', numbers, 'todos 1'),
  density: option('density', 'X', 'parte de los valores que conservan ties, dare y magnitude_prune', positive,
    String(combineDefaults.density)),
  majoritySign: option('majority-sign', 'MODO', 'signo de ties: de la suma (total) o por votos (frequency)', choice(...majoritySigns), combineDefaults.majoritySign),
  rank: optional('rank', 'N', 'rango del resultado en svd y los acabados en svd', integer(1), 'el mayor'),
  seed: option('seed', 'N', 'semilla de lo que dare descarta', integer(0), String(combineDefaults.seed)),
};
const table = { ...common, ...intoBase, ...together };
type Flags = Values<typeof table>;

const notOf = (modes: RegExp) => ({ combine }: Flags) =>
  combine !== undefined && !modes.test(combine) && `con --combine ${combine}`;
const idle: readonly Idle<typeof table>[] = [
  [['weights', 'density', 'majoritySign', 'rank', 'seed'], ({ combine }) => combine === undefined && 'sin --combine'],
  [['shardSize', 'quant', 'doubleQuant'], ({ combine }) => combine !== undefined && 'con --combine'],
  [['density'], notOf(/ties|dare|prune/)],
  [['majoritySign'], notOf(/ties/)],
  [['rank'], notOf(/svd$/)],
  [['seed'], notOf(/dare/)],
];

/** Larger models take minutes for the logits of one question: every weight is read and put in 4 bits for it. */
const CHEAP_PARAMETERS = 500e6;
const question = alpacaPrompt({ instruction: '¿Cuál es la capital de Perú?' });

/** `npm run merge`: an adapter into its base, as a checkpoint of its own; or several adapters into one. */
await runCommand({
  name: 'npm run merge',
  about: `Fusiona un adaptador con los pesos de su base, tensor a tensor, y los escribe en bf16 como los abre transformers.
Fusiona sobre los pesos que tiene la base, de 16 o 32 bits, y dice cuánto cambia el resultado sobre sus 4 bits.
Con --combine no toca la base: reúne varios adaptadores LoRA en uno, como add_weighted_adapter de PEFT.`,
  options: table,
  groups: { 'Opciones': common, 'En la base': intoBase, 'Varios en uno': together },
  idle,
}, async (flags) => {
  checkOutput('--output', flags.output);
  await (flags.combine === undefined ? mergeIntoBase(flags) : combine(flags, flags.combine));
});

async function mergeIntoBase(flags: Flags): Promise<void> {
  const { adapter: [adapter, other], output, shardSize: shardBytes } = flags;
  if (adapter === undefined || other !== undefined) {
    throw new UserError('--adapter: con la base se fusiona un adaptador cada vez; para reunir varios en uno, di cómo con --combine.');
  }
  const { folder: model } = await onScreen((screen) => findModel(flags.model, screen));
  await useBackend(flags.backend);
  say(`Fusiona «${adapter}» con «${model}»…`);
  const quant = { quantType: flags.quant, doubleQuant: flags.doubleQuant };
  let [tenth, parameters] = [0, 0];
  const merging = mergeAdapter(model, adapter, output, { quant, shardBytes });
  const { matrices, base, update, weights, shards, bytes } = await runWriting(merging, output, ({ done, all }) => {
    parameters = all;
    const now = Math.floor(10 * done / all);
    if (now > tenth && all > CHEAP_PARAMETERS) say(`  ${formatPercent(done / all, 0)}`);
    tenth = now;
  });
  say(`Cambia ${formatCount(matrices, 'matriz', 'matrices')} de la base en ${base}: ${inWords(update)}.`);
  if (weights) {
    const name = `${flags.quant.toUpperCase()}${flags.doubleQuant ? ' con doble cuantización' : ''}`;
    say(`Si se fusionara sobre sus 4 bits (${name}), esas matrices diferirían ${inWords(weights)}.`);
  } else {
    say('La base solo está en 4 bits: se ha fusionado sobre ellos, descuantizados, que es menos exacto que sobre 16.');
  }
  if (parameters <= CHEAP_PARAMETERS) compare(output, model, trainedModel(model, adapter, quant).base);
  say(`Modelo guardado en «${output}»: ${formatBytes(bytes)} en bf16, ${formatCount(shards, 'archivo')}.`);
}

/** Says how far the merged model's logits are from the trained one's. A base that cannot read is merged as well. */
function compare(output: string, model: string, trained: LlamaModel): void {
  try {
    const tokenizer = loadTokenizer(model);
    checkTokenizer(tokenizer, trained.config.vocabSize);
    const logits = logitsDifference(output, trained, Int32Array.from(tokenizer.encode(question)));
    say(`Sus logits en una pregunta difieren de los de la base en 4 bits con el adaptador al lado ${inWords(logits)}.`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`No se comparan sus logits en una pregunta. ${error.message}`);
  }
}

async function combine(flags: Flags, combination: NonNullable<Flags['combine']>): Promise<void> {
  const { adapter: folders, output, density, majoritySign, rank, seed } = flags;
  const { folder, name } = await onScreen((screen) => findModel(flags.model, screen));
  await useBackend(flags.backend);
  const weights = flags.weights ?? folders.map(() => 1);
  const { adapter: { options, targets } } = combineFolders(folder, name, folders, output, combination, {
    weights, density, majoritySign, rank, seed,
  });
  say(`${formatCount(folders.length, 'adaptador', 'adaptadores')} en uno, con ${combination} y pesos `
    + `${weights.map((weight) => formatNumber(weight, 3)).join(' y ')}: rango ${options.r} en ${formatCount(targets.size, 'matriz', 'matrices')}.`);
  say(`Adaptador guardado en «${output}» (formato PEFT).`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function inWords({ mean, max }: Difference): string {
  return `${formatSignificant(mean)} de media y ${formatSignificant(max)} como mucho`;
}
