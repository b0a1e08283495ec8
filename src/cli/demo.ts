import { join } from 'node:path';
import { qlora } from '../../demo/qlora.ts';
import { UserError } from '../errors.ts';
import type { RunRecord } from '../runs/schema.ts';
import { provenance } from '../runs/provenance.ts';
import { saveRun, writeRun } from '../runs/store.ts';
import { useBackend } from '../tensor/backend.ts';
import { trainDefaults } from '../train/train.ts';
import { demoHelp, embeddedData, embeddedModel, parseDemoFlags } from './flags.ts';
import type { DemoFlags } from './flags.ts';
import { formatBytes, formatCount, formatNumber, formatPercent } from '../format.ts';
import { runCommand } from './main.ts';
import { qloraRecord } from './qlora-record.ts';
import type { QloraMeasured } from './qlora-record.ts';
import { createScreen } from './screen.ts';

/** `npm run demo`: the four steps of the last slide, told as they happen. */
await runCommand(async () => {
  const flags = parseDemoFlags(process.argv.slice(2));
  if (flags.help) {
    process.stdout.write(`${demoHelp}\n`);
    return;
  }
  const screen = createScreen({ json: flags.json });
  try {
    await demo(flags, screen);
  } finally {
    screen.close();
  }
});

async function demo(flags: DemoFlags, screen: ReturnType<typeof createScreen>): Promise<void> {
  const startedAt = new Date();
  const backend = await useBackend(flags.backend);
  screen.line(`QLoRA sobre «${flags.model}», con el backend ${backend}`);

  const interruption = new AbortController();
  const stop = () => {
    screen.line('Interrumpido: termina el paso en curso y guarda…');
    interruption.abort();
  };
  process.once('SIGINT', stop);

  const measured: QloraMeasured = { events: [] };
  try {
    screen.heading(1, 'Carga el modelo base en 4 bits');
    await qlora({
      modelDir: flags.model,
      outDir: flags.output,
      quant: { quantType: flags.quant, doubleQuant: flags.doubleQuant },
      lora: { r: flags.r, alpha: flags.alpha, dropout: flags.dropout, targetModules: flags.targetModules, seed: flags.seed },
      data: {
        file: flags.data, heldOutFile: flags.heldOut, examples: flags.examples, heldOut: flags.evaluate,
        template: flags.template, maxLength: flags.maxLength, seed: flags.seed,
      },
      training: {
        ...flags,
        learningRate: flags.learningRate ?? trainDefaults.learningRate,
        residentBytes: flags.optimizerBytes,
        checkpointFile: join(flags.output, 'checkpoint.safetensors'),
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
        screen.heading(2, `Inserta LoRA (r = ${flags.r}, alpha = ${flags.alpha}, dropout = ${formatNumber(flags.dropout, 2)})`);
      },
      adapted(count) {
        measured.count = count;
        screen.line(count.line);
        screen.heading(3, 'Entrena');
      },
      data(data) {
        if (data.dropped > 0) {
          screen.line(`${formatCount(data.dropped, 'ejemplo', 'ejemplos')} sin sitio para la respuesta en --max-length ${flags.maxLength}: se dejan fuera.`);
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
  }
  if (interruption.signal.aborted) {
    throw new UserError(`Guardado en «${flags.output}». Para seguir donde quedó: repite la orden con --resume.`);
  }

  const inputs = [
    join(flags.model, 'model.safetensors'), join(flags.model, 'tokenizer.json'), flags.data,
    ...(flags.heldOut ? [flags.heldOut] : []),
  ];
  const record: RunRecord = qloraRecord(measured, {
    startedAt, flags: { ...flags, learningRate: flags.learningRate ?? trainDefaults.learningRate },
    provenance: provenance(backend, inputs),
  });
  saveRun(join(flags.output, 'run.json'), record);
  if (flags.model === embeddedModel && flags.data === embeddedData) {
    writeRun(record);
    screen.line('Medidas guardadas en «assets/runs/qlora.json»: son las que muestran las diapositivas.');
  }
}
