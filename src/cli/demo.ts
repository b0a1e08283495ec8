import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { qlora } from '../../demo/qlora.ts';
import { openCheckpoint } from '../checkpoint/folder.ts';
import { UserError } from '../errors.ts';
import type { RunRecord } from '../runs/schema.ts';
import { provenance } from '../runs/provenance.ts';
import { runsFolder, saveRun, writeRun } from '../runs/store.ts';
import { useBackend } from '../tensor/backend.ts';
import { trainDefaults } from '../train/train.ts';
import { dataOptions, demoHelp, parseDemoFlags } from './flags.ts';
import type { DemoFlags } from './flags.ts';
import { formatBytes, formatCount, formatNumber, formatPercent } from '../format.ts';
import { runCommand } from './main.ts';
import { qloraRecord } from './qlora-record.ts';
import type { QloraMeasured } from './qlora-record.ts';
import { createScreen } from './screen.ts';
import type { Screen } from './screen.ts';

const methodNames = { lora: 'LoRA', rslora: 'rsLoRA', dora: 'DoRA' };

/** `npm run demo`: the four steps of the last slide, told as they happen. */
await runCommand(async () => {
  const argv = process.argv.slice(2);
  const flags = parseDemoFlags(argv);
  if (flags.help) {
    process.stdout.write(`${demoHelp}\n`);
    return;
  }
  const screen = createScreen({ json: flags.json });
  try {
    await demo(flags, screen, commandLine('npm run demo', argv));
  } finally {
    screen.close();
  }
});

async function demo(flags: DemoFlags, screen: Screen, command: string): Promise<void> {
  checkOutput(flags.output);
  const startedAt = new Date();
  const backend = await useBackend(flags.backend);
  screen.line(`QLoRA sobre «${flags.model}», con el backend ${backend}`);

  const interruption = new AbortController();
  const stop = () => {
    screen.line('Interrumpido: termina el paso en curso y guarda… (otro Ctrl-C sale sin guardar)');
    interruption.abort();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);

  let origin: RunRecord['provenance'] | undefined;
  const measured: QloraMeasured = { events: [] };
  const { peft, r, alpha, dropout, targetModules, seed } = flags;
  const adapter = { r, alpha, dropout, targetModules, seed };
  try {
    screen.heading(1, 'Carga el modelo base en 4 bits');
    await qlora({
      modelDir: flags.model,
      outDir: flags.output,
      quant: { quantType: flags.quant, doubleQuant: flags.doubleQuant },
      lora: { ...adapter, useRslora: peft === 'rslora', useDora: peft === 'dora' },
      data: dataOptions(flags),
      training: {
        ...flags,
        learningRate: flags.learningRate ?? trainDefaults.learningRate,
        residentBytes: flags.optimizerBytes,
        checkpointFile: join(flags.output, 'checkpoint.safetensors'),
        inputs: {
          ...adapter, peft, model: flags.model, quant: flags.quant, doubleQuant: flags.doubleQuant,
          data: flags.data, heldOut: flags.heldOut, eval: flags.evaluate, template: flags.template,
          maxLength: flags.maxLength,
        },
        signal: interruption.signal,
      },
    }, {
      loaded(size) {
        measured.size = size;
        screen.line(
          `${formatBytes(size.bytes16)} en 16 bits → ${formatBytes(size.bytes)} `
          + `(${formatPercent(size.bytes / size.bytes16)}; embeddings y normas siguen anchas)`,
        );
        screen.line(
          `Matrices cuantizadas a ${flags.quant.toUpperCase()}${flags.doubleQuant ? ' con doble cuantización' : ''}: `
          + `${formatBytes(size.linearBytes16)} → ${formatBytes(size.linearBytes)}, `
          + `${formatNumber(size.bitsPerParameter, 3, true)} bits por parámetro`,
        );
        screen.heading(2, `Inserta ${methodNames[peft]} (r = ${r}, alpha = ${alpha}, dropout = ${formatNumber(dropout, 2)})`);
      },
      adapted(count) {
        measured.count = count;
        screen.line(count.line);
        screen.heading(3, 'Entrena');
      },
      data(data) {
        origin = provenance('qlora', backend, inputFiles(flags));
        if (data.dropped > 0) {
          screen.line(
            `Quedan fuera, sin sitio para la respuesta en --max-length ${flags.maxLength}: `
            + `${formatCount(data.dropped, 'ejemplo')}.`,
          );
        }
        if (data.heldOut.length > 0) screen.line('Pregunta primero a la base sin ajustar…');
      },
      event(event) {
        measured.events.push(event);
        if (event.type === 'evaluation' && event.when === 'after') screen.heading(4, 'Evalúa y guarda el adaptador');
        screen.show(event);
      },
      saved(folder) {
        screen.line(`\nAdaptador guardado en «${folder}» (formato PEFT).`);
      },
    });
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
  if (measured.events.some((event) => event.type === 'done' && event.stopped === 'interrupted')) {
    throw new UserError(`Guardado en «${flags.output}». Para seguir donde quedó: repite la orden con --resume.`);
  }

  const record: RunRecord = qloraRecord(measured, {
    startedAt, command, provenance: origin!,
    flags: { ...flags, learningRate: flags.learningRate ?? trainDefaults.learningRate },
  });
  const kept = join(flags.output, 'run.json');
  saveRun(kept, record);
  screen.line(`Medidas guardadas en «${kept}».`);
  if (flags.record) {
    writeRun(record);
    screen.line(`También en «${join(runsFolder, record.id)}.json»: son las que muestran las diapositivas.`);
  }
}

/** Asked before the training, not after it: whether the folder, or the nearest there is above it, can be written. */
function checkOutput(folder: string): void {
  let nearest = resolve(folder);
  while (!existsSync(nearest)) nearest = dirname(nearest);
  if (!statSync(nearest).isDirectory()) {
    throw new UserError(`--output: «${nearest}» es un archivo y se esperaba una carpeta; elige otra.`);
  }
  try {
    accessSync(nearest, constants.W_OK);
  } catch {
    throw new UserError(`--output: no hay permiso para escribir en «${nearest}»; elige otra carpeta.`);
  }
}

/** As it would be typed again. */
function commandLine(command: string, argv: readonly string[]): string {
  const typed = argv.map((word) => (/^[\w./=,:+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return [command, ...(typed.length > 0 ? ['--', ...typed] : [])].join(' ');
}

/** The files that the result depends on. */
function inputFiles({ model, data, heldOut }: DemoFlags): string[] {
  return [...openCheckpoint(model).fileList, join(model, 'tokenizer.json'), data, ...(heldOut ? [heldOut] : [])];
}
