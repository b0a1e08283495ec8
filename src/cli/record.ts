import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { checkpointing } from '../../demo/checkpointing.ts';
import { quantization, quantizationInputs } from '../../demo/quantization.ts';
import { provenance } from '../runs/provenance.ts';
import type { RunRecord } from '../runs/schema.ts';
import { runsFolder, writeRun } from '../runs/store.ts';
import { useBackend } from '../tensor/backend.ts';
import { backendOption, dataOptions, parseDemoFlags } from './flags.ts';
import { runCommand } from './main.ts';
import { helpText, parseOptions, toggle } from './options.ts';

const options = {
  backend: backendOption,
  help: toggle('help', 'esta ayuda'),
};

// What the demo does when it is told nothing.
const demo = parseDemoFlags([]);
const data = dataOptions(demo);

/**
 * `npm run record`: measures what the slides show, the demo last, and leaves the records in `assets/runs/`.
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
    const origin = provenance(id, backend, inputs);
    show(`${title}…`);
    const results = await measure() as RunRecord['results'];
    const seconds = (Date.now() - startedAt.getTime()) / 1000;
    writeRun({
      format: 1, id, title, startedAt: startedAt.toISOString(), seconds, command: 'npm run record', provenance: origin,
      parameters, results, events: [],
    });
    show(`  guardado en «${join(runsFolder, id)}.json»`);
  };

  await record(
    'quantization', 'Error y perplejidad de NF4, FP4 e Int4', quantizationInputs(demo.model, data),
    { model: demo.model, doubleQuant: true }, async () => quantization(demo.model, data, show),
  );
  await record(
    'checkpointing', 'Un paso con y sin gradient checkpointing', [`${demo.model}/config.json`, demo.data],
    { model: demo.model, batchSize: demo.batchSize },
    async () => checkpointing(demo.model, data, { batchSize: demo.batchSize }),
  );
  // A program of its own, as anyone would run it: its memory is not ours.
  const { status } = spawnSync(
    process.execPath, ['--import', 'tsx', 'src/cli/demo.ts', '--record', ...process.argv.slice(2)], { stdio: 'inherit' },
  );
  process.exitCode = status ?? 1;
});
