import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../checkpoint/files.ts';
import { toBfloat16 } from '../checkpoint/halves.ts';
import { writeSafetensors } from '../checkpoint/safetensors.ts';
import { mixProse, pretrainingDocuments, prose } from '../data/pretraining.ts';
import { checkTokenizer, loadTokenizer } from '../data/tokenizer.ts';
import { UserError } from '../errors.ts';
import { toHuggingFace } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { useBackend } from '../tensor/backend.ts';
import { newModel, pretrain, pretrainDefaults } from '../train/pretrain.ts';
import { backendOption, embeddedModel } from './flags.ts';
import { interruption, runCommand } from './main.ts';
import { integer, notNegative, option, optional, positive, share, text, toggle } from './options.ts';
import { checkOutput } from './output.ts';
import { onScreen } from './screen.ts';

/**
 * The embedded base. Every linear layer holds a multiple of 64 · 256 weights, so that double
 * quantisation has no half-filled block: 4.127 bits per parameter, as in the paper.
 */
const embedded: LlamaConfig = {
  vocabSize: 4096, hiddenSize: 256, intermediateSize: 640, layers: 4, heads: 8, kvHeads: 2, headDim: 32,
  maxPositions: 512, rmsNormEps: 1e-5, ropeTheta: 10000, tiedHead: true,
};

const options = {
  steps: option('steps', 'N', 'pasos de optimizador', integer(1), String(pretrainDefaults.steps)),
  batchSize: option('batch-size', 'N', 'filas de texto por paso', integer(1), String(pretrainDefaults.batchSize)),
  learningRate: option('learning-rate', 'X', 'tasa de aprendizaje máxima', positive, String(pretrainDefaults.learningRate)),
  weightDecay: option('weight-decay', 'X', 'decaimiento de pesos', notNegative, String(pretrainDefaults.weightDecay)),
  seed: option('seed', 'N', 'semilla', integer(0), String(pretrainDefaults.seed)),
  prose: optional('prose', 'DIR', 'carpeta de textos que se mezclan con los enunciados', text('una carpeta'), 'ninguna'),
  proseShare: option('prose-share', 'X', 'parte del texto que es prosa, de 0 a menos de 1', share, '0.2'),
  backend: backendOption,
  output: option('output', 'DIR', 'carpeta del modelo', text('una carpeta'), embeddedModel),
  work: option('work', 'DIR', 'carpeta del punto de control', text('una carpeta'), 'out/pretrain'),
  resume: toggle('resume', 'sigue desde el punto de control de --work'),
};

/** `npm run pretrain`: makes the embedded base model from the generated statements. */
await runCommand({ name: 'npm run pretrain', about: 'Preentrena el modelo incluido.', options }, async (flags) => {
  checkOutput('--output', flags.output);
  checkOutput('--work', flags.work);
  await useBackend(flags.backend);
  const { signal } = interruption();
  const tokenizer = loadTokenizer(embeddedModel);
  checkTokenizer(tokenizer, embedded.vocabSize);
  const { seqLength } = pretrainDefaults;

  const rows = tokenRows(tokenStream(), seqLength + 1);
  let nextStep = 1;
  const rowsOf = (step: number) => {
    const take = () => Array.from({ length: flags.batchSize }, () => rows.next().value as number[]);
    for (; nextStep < step; nextStep++) take(); // a resumed run passes over what it has seen
    nextStep++;
    return take();
  };

  function* tokenStream(): Generator<number> {
    const statements = pretrainingDocuments(flags.seed);
    const documents = flags.prose === undefined
      ? statements
      : mixProse(statements, [...prose(flags.prose)], { share: flags.proseShare, seed: flags.seed });
    for (const document of documents) {
      yield tokenizer.bosId!;
      yield* tokenizer.encode(document);
      yield tokenizer.eosId;
    }
  }

  const model = newModel(embedded, flags.seed);
  await onScreen(async (screen) => {
    for await (const event of pretrain(model, rowsOf, {
      ...pretrainDefaults, ...flags, seqLength, checkpointFile: join(flags.work, 'checkpoint.safetensors'), signal,
      inputs: flags.prose === undefined ? {} : { prose: flags.prose, proseShare: flags.proseShare },
    })) screen.show(event);
  });
  if (signal.aborted) throw new UserError(`Guardado en «${flags.work}». Para seguir: repite la orden con --resume.`);

  const tensors = Object.fromEntries(model.parameters.map(({ name, shape, values }) =>
    [name, { dtype: 'BF16' as const, shape: [...shape], data: toBfloat16(values) }]));
  writeSafetensors(join(flags.output, 'model.safetensors'), tensors, { format: 'pt' });
  const ids = { bosId: tokenizer.bosId!, eosId: tokenizer.eosId, padId: tokenizer.padId };
  writeFileAtomic(join(flags.output, 'config.json'), `${JSON.stringify(toHuggingFace(embedded, ids), null, 2)}\n`);
  if (flags.output !== embeddedModel) {
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
      writeFileAtomic(join(flags.output, file), readFileSync(join(embeddedModel, file)));
    }
  }
  process.stdout.write(`Modelo guardado en «${flags.output}».\n`);
});

/** Ids in rows of one length, end to end: no padding, documents parted by their special tokens. */
function* tokenRows(ids: Iterable<number>, length: number): Generator<number[]> {
  let row: number[] = [];
  for (const id of ids) {
    row.push(id);
    if (row.length === length) {
      yield row;
      row = [];
    }
  }
}
