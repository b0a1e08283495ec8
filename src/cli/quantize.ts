import { SingleBar } from 'cli-progress';
import { findModel } from '../checkpoint/source.ts';
import { UserError } from '../errors.ts';
import { formatBytes, formatCount, formatDuration, formatNumber, formatPercent } from '../format.ts';
import { quantizeModel } from '../model/quantize.ts';
import type { QuantizeProgress } from '../model/quantize.ts';
import { isBlockSize } from '../quant/quantize.ts';
import { runCommand } from './main.ts';
import { choice, integer, option, optional, size, text, toggle } from './options.ts';
import type { Kind } from './options.ts';
import { checkOutput } from './output.ts';
import { isTerminal, onScreen } from './screen.ts';
import { runWriting } from './writing.ts';

const blockSize: Kind<number> = {
  schema: integer(32).schema.refine(isBlockSize),
  expected: 'una potencia de dos entre 32 y 4096',
};

const table = {
  model: optional('model', 'MODELO', 'carpeta del modelo, en 16 o 32 bits, o su nombre en el hub', text('una carpeta o un nombre')),
  output: optional('output', 'DIR', 'carpeta que se escribe', text('una carpeta')),
  type: option('type', 'TIPO', 'nf4 o fp4', choice('nf4', 'fp4'), 'nf4'),
  doubleQuant: toggle('no-double-quant', 'no cuantiza las escalas por segunda vez', false),
  blockSize: option('block-size', 'N', 'pesos por escala, de 32 a 4096', blockSize, '64'),
  shardSize: option('shard-size', 'TAMAÑO', 'lo más que ocupa cada archivo de pesos', size, '5GB'),
};

/** `npm run quantize`: a 16-bit model's folder as one in bitsandbytes' 4 bits. */
await runCommand({
  name: 'npm run quantize',
  about: `Cuantiza un modelo a 4 bits, tensor a tensor, y lo escribe como bitsandbytes: lo abren transformers y esta demo.
Hay que decirle --model y --output.`,
  options: table,
}, async ({ model, output, type: quantType, doubleQuant, blockSize, shardSize: shardBytes }) => {
  if (model === undefined) throw new UserError('Falta --model: indica la carpeta, o el nombre en el hub, del modelo que quieres cuantizar.');
  if (output === undefined) throw new UserError('Falta --output: indica la carpeta en que se escribe el modelo cuantizado.');
  checkOutput('--output', output);

  const { folder } = await onScreen((screen) => findModel(model, screen));
  const started = performance.now();
  const progress = showProgress();
  let last: QuantizeProgress | undefined;
  try {
    const writing = quantizeModel(folder, output, { quantType, doubleQuant, blockSize, shardBytes });
    await runWriting(writing, output, (now) => {
      progress.update(now);
      last = now;
    });
  } finally {
    progress.close();
  }
  const seconds = (performance.now() - started) / 1000;
  for (const line of summary(last!, seconds)) process.stdout.write(`${line}\n`);
  process.stdout.write(`Modelo guardado en «${output}».\n`);
});

function summary(end: QuantizeProgress, seconds: number): string[] {
  const { bytesRead, bytesWritten, parameters, bytesIn4bit, shards } = end;
  const bits = formatNumber(8 * bytesIn4bit / parameters, 3, true);
  const peak = process.resourceUsage().maxRSS * 1024;
  return [
    `${formatBytes(bytesRead)} → ${formatBytes(bytesWritten)} en ${formatCount(shards, 'archivo')}; `
    + `matrices cuantizadas: ${bits} bits por parámetro`,
    `${formatDuration(seconds)}, ${formatNumber(bytesRead / 1e6 / seconds)} MB/s, pico de memoria ${formatBytes(peak)}`,
  ];
}

/** On a terminal a bar, elsewhere a line for each tenth. */
function showProgress(): { update(now: QuantizeProgress): void; close(): void } {
  if (isTerminal(process.stdout)) {
    const bar = new SingleBar({ format: '  {bar} {percentage} % · {read} de {all}', barsize: 30, clearOnComplete: true });
    return {
      update: ({ bytesRead, bytesToRead }) => {
        const payload = { read: formatBytes(bytesRead), all: formatBytes(bytesToRead) };
        if (bar.isActive) bar.update(bytesRead, payload);
        else bar.start(bytesToRead, bytesRead, payload);
      },
      close: () => bar.stop(),
    };
  }
  let tenth = 0;
  return {
    update: ({ bytesRead, bytesToRead }) => {
      const now = Math.floor(10 * bytesRead / bytesToRead);
      if (now === tenth) return;
      tenth = now;
      const share = formatPercent(bytesRead / bytesToRead, 0);
      process.stdout.write(`  ${share} · ${formatBytes(bytesRead)} de ${formatBytes(bytesToRead)}\n`);
    },
    close: () => {},
  };
}
