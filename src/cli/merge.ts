import { findModel } from '../checkpoint/source.ts';
import { alpacaPrompt } from '../data/prompt.ts';
import { loadTokenizer } from '../data/tokenizer.ts';
import { formatBytes, formatCount, formatPercent, formatSignificant } from '../format.ts';
import { logitsDifference, mergeAdapter, trainedModel } from '../peft/merge.ts';
import type { Difference } from '../peft/merge.ts';
import { useBackend } from '../tensor/backend.ts';
import { backendOption, embeddedModel } from './flags.ts';
import { runCommand } from './main.ts';
import { choice, helpText, option, parseOptions, size, text, toggle } from './options.ts';
import { createScreen } from './screen.ts';
import { runWriting } from './writing.ts';

const command = 'npm run merge';
const table = {
  model: option('model', 'MODELO', 'base: carpeta, u org/nombre[@revisión] del hub', text('una carpeta o un nombre del hub'), embeddedModel),
  adapter: option('adapter', 'DIR', 'carpeta del adaptador: LoRA, rsLoRA o DoRA', text('una carpeta'), 'out/qlora/adapter'),
  output: option('output', 'DIR', 'carpeta que se escribe; no puede tener nada', text('una carpeta'), 'out/merged'),
  shardSize: option('shard-size', 'TAMAÑO', 'lo más que ocupa cada fichero de pesos', size, '5GB'),
  quant: option('quant', 'TIPO', '4 bits con que se compara: nf4, fp4 o int4', choice('nf4', 'fp4', 'int4'), 'nf4'),
  doubleQuant: toggle('no-double-quant', 'compara sin la segunda cuantización de las escalas', false),
  backend: backendOption,
  help: toggle('help', 'esta ayuda'),
};

/** Larger models take minutes for the logits of one question: every weight is read and put in 4 bits for it. */
const CHEAP_PARAMETERS = 500e6;
const question = alpacaPrompt({ instruction: '¿Cuál es la capital de Perú?' });

/** `npm run merge`: an adapter into its base, as a checkpoint of its own. */
await runCommand(async () => {
  const flags = parseOptions(table, process.argv.slice(2), command);
  const say = (line: string) => process.stdout.write(`${line}\n`);
  if (flags.help) {
    say(helpText(`Uso: ${command} -- [opciones]

Funde un adaptador en los pesos de su base, tensor a tensor, y los escribe en bf16 como los abre transformers.
Funde sobre los pesos que tiene la base, de 16 o 32 bits, y dice cuánto cambia el resultado sobre sus 4 bits.`,
    { Opciones: table }));
    return;
  }
  const { adapter, output, shardSize: shardBytes } = flags;
  const { folder: model } = await findModel(flags.model, createScreen({ json: false }));
  await useBackend(flags.backend);
  say(`Funde «${adapter}» en «${model}»…`);
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
    say(`Fundido sobre sus 4 bits (${name}), esas matrices diferirían ${inWords(weights)}.`);
  } else {
    say('La base solo está en 4 bits: se ha fundido sobre ellos, descuantizados, que es menos exacto que sobre 16.');
  }
  if (parameters <= CHEAP_PARAMETERS) {
    const ids = Int32Array.from(loadTokenizer(model).encode(question));
    const logits = logitsDifference(output, trainedModel(model, adapter, quant).base, ids);
    say(`Sus logits en una pregunta difieren de los de la base en 4 bits con el adaptador al lado ${inWords(logits)}.`);
  }
  say(`Modelo guardado en «${output}»: ${formatBytes(bytes)} en bf16, ${formatCount(shards, 'fichero')}.`);
});

function inWords({ mean, max }: Difference): string {
  return `${formatSignificant(mean)} de media y ${formatSignificant(max)} como mucho`;
}
