import { checkpointing } from '../../demo/checkpointing.ts';
import { quantization, quantizationInputs } from '../../demo/quantization.ts';
import type { DataOptions } from '../data/load.ts';
import { provenance } from '../runs/provenance.ts';
import type { RunRecord } from '../runs/schema.ts';
import { writeRun } from '../runs/store.ts';
import { useBackend } from '../tensor/backend.ts';
import { embeddedData, embeddedHeldOut, embeddedModel } from './flags.ts';
import { runCommand } from './main.ts';
import { choice, helpText, optional, parseOptions, toggle } from './options.ts';

const options = {
  backend: optional('backend', 'NOMBRE', 'tensorflow, wasm o cpu', choice('tensorflow', 'wasm', 'cpu'), 'el mejor que haya'),
  help: toggle('help', 'esta ayuda'),
};

const data: DataOptions = {
  file: embeddedData, heldOutFile: embeddedHeldOut, examples: 1000, template: 'es', maxLength: 256, seed: 42,
};

/**
 * `npm run record`: measures what the slides show besides the demo (which the same command runs next),
 * and leaves the records in `assets/runs/`.
 */
await runCommand(async () => {
  const flags = parseOptions(options, process.argv.slice(2), 'npm run record');
  if (flags.help) {
    process.stdout.write(`${helpText('Uso: npm run record -- [opciones]\n\nMide lo que muestran las diapositivas.', { Opciones: options })}\n`);
    return;
  }
  const backend = await useBackend(flags.backend);
  const show = (line: string) => void process.stdout.write(`${line}\n`);

  /** Measures, and keeps the figures under that id. */
  const record = async (
    id: string, title: string, inputs: readonly string[], parameters: RunRecord['parameters'],
    measure: () => Promise<object>,
  ) => {
    const startedAt = new Date();
    const origin = provenance(backend, inputs);
    show(`${title}…`);
    const results = await measure() as RunRecord['results'];
    const seconds = (Date.now() - startedAt.getTime()) / 1000;
    writeRun({
      format: 1, id, title, startedAt: startedAt.toISOString(), seconds, command: 'npm run record', provenance: origin,
      parameters, results, events: [],
    });
    show(`  guardado en «assets/runs/${id}.json»`);
  };

  await record(
    'quantization', 'Error y perplejidad de NF4, FP4 e Int4', quantizationInputs(embeddedModel, data),
    { model: embeddedModel, doubleQuant: true }, async () => quantization(embeddedModel, data, show),
  );
  await record(
    'checkpointing', 'Un paso con y sin gradient checkpointing', [`${embeddedModel}/config.json`, embeddedData],
    { model: embeddedModel, batchSize: 8 }, async () => checkpointing(embeddedModel, data),
  );
});
