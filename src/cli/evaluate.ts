import { loadInstructions } from '../data/load.ts';
import { checkTokenizer } from '../data/tokenizer.ts';
import { loadModel } from '../model/load.ts';
import { loadAdapter } from '../peft/folder.ts';
import { useBackend } from '../tensor/backend.ts';
import { evaluate } from '../train/evaluate.ts';
import { formatCount, formatNumber, formatPercent, formatSignificant } from '../format.ts';
import { dataOptions, examinationOptions, withHeldOut } from './flags.ts';
import { leftOut } from './left-out.ts';
import { runCommand } from './main.ts';
import { optional, text, toggle } from './options.ts';
import { onScreen } from './screen.ts';
import { findSources } from './sources.ts';

const options = {
  ...examinationOptions,
  adapter: optional('adapter', 'DIR', 'adaptador de PEFT que se pone sobre la base', text('una carpeta'), 'ninguno'),
  loadIn4bit: toggle('4bit', 'con la base en NF4, como en la demo, en vez de como viene'),
  json: toggle('json', 'las cifras en JSON, y nada más'),
};

/** `npm run evaluate`: a base, or an adapter trained here or elsewhere, asked the held-out questions. */
await runCommand({
  name: 'npm run evaluate',
  about: 'Hace las preguntas de examen a un modelo, con un adaptador de PEFT o sin él, venga de donde venga.',
  options,
}, async (given) => {
  const flags = withHeldOut(given);
  const write = (line: string) => void process.stdout.write(`${line}\n`);
  const sources = await onScreen((screen) => findSources(flags, screen), { json: flags.json });
  await useBackend(flags.backend);
  const data = await loadInstructions(sources.model.folder, dataOptions({ ...flags, examples: 0 }, sources));
  const model = loadModel(sources.model.folder, { loadIn4bit: flags.loadIn4bit });
  checkTokenizer(data.tokenizer, model.config.vocabSize);
  if (flags.adapter !== undefined) loadAdapter(model, flags.adapter);
  const figures = await evaluate(model, data.heldOut, data.tokenizer);
  if (flags.json) return write(JSON.stringify(figures));
  for (const line of leftOut({ ...data, repeated: 0 }, flags.maxLength)) write(line); // nothing is trained
  write(`${flags.model}${flags.adapter === undefined ? '' : ` con ${flags.adapter}`}: pérdida ${formatNumber(figures.loss, 3, true)}, `
    + `perplejidad ${formatSignificant(figures.perplexity, 4)}, acierto exacto ${formatPercent(figures.exactMatch)} `
    + `de ${formatCount(figures.count, 'pregunta')}`);
});
