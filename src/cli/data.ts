import { readAlpaca } from '../data/alpaca.ts';
import { encodeRecords } from '../data/batches.ts';
import { embeddedFiles } from '../data/embedded.ts';
import { loadTokenizer } from '../data/tokenizer.ts';
import { writeFileAtomic } from '../checkpoint/files.ts';
import { formatNumber } from '../format.ts';
import { embeddedData, embeddedHeldOut, embeddedModel } from './flags.ts';
import { runCommand } from './main.ts';

/** `npm run data`: writes the embedded instruction set and the tokenizer, from the project's folder. */
await runCommand({
  name: 'npm run data',
  about: 'Escribe de nuevo en assets/ los datos incluidos y el tokenizador: siempre los mismos bytes.',
  options: {},
}, async () => {
  for (const [path, contents] of embeddedFiles()) {
    writeFileAtomic(path, contents);
    process.stdout.write(`${path}: ${formatNumber(contents.length / 1000, 0)} kB\n`);
  }
  const tokenizer = loadTokenizer(embeddedModel);
  for (const file of [embeddedData, embeddedHeldOut]) {
    const { examples } = encodeRecords(await readAlpaca([file]), tokenizer, { template: 'es', maxLength: Infinity });
    const mean = (length: (example: typeof examples[number]) => number) =>
      formatNumber(examples.reduce((sum, example) => sum + length(example), 0) / examples.length, 1);
    process.stdout.write(`${file}: ${examples.length} registros, ${mean(({ promptLength }) => promptLength)} tokens de `
      + `instrucción y ${mean(({ tokens, promptLength }) => tokens.length - promptLength)} de respuesta de media; `
      + `el mayor tiene ${Math.max(...examples.map(({ tokens }) => tokens.length))}\n`);
  }
});
