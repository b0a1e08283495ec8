import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { qlora } from '../../demo/qlora.ts';
import { UserError } from '../errors.ts';
import { formatNumber } from '../format.ts';
import { recordedLabel } from '../live/label.ts';
import { replay } from '../live/replay.ts';
import { experiments } from '../runs/experiments.ts';
import { Recorder } from '../runs/recorder.ts';
import { toldBy } from '../runs/schema.ts';
import { readRun, runsFolder, saveRun, writeRun } from '../runs/store.ts';
import { useBackend } from '../tensor/backend.ts';
import { gainsFrom16Bits, mixedPrecision, useMixedPrecision } from '../tensor/bfloat16.ts';
import { halfPrecision } from '../tensor/webgpu/tiles.ts';
import { checkpointProgress, noCheckpoint } from '../train/checkpoint.ts';
import { checkDemoFlags, demoCommand } from './flags.ts';
import type { DemoFlags } from './flags.ts';
import { lockFolder } from './lock.ts';
import { commandLine, interruption, runCommand } from './main.ts';
import { checkOutput } from './output.ts';
import { checkpointIn, runQlora } from './qlora-run.ts';
import { onScreen } from './screen.ts';
import type { Screen } from './screen.ts';
import { findSources } from './sources.ts';
import { specialistFolder } from './specialists.ts';

/** `npm run demo`: the four steps of the last slide, told as they happen. */
await runCommand(demoCommand, async (given) => {
  const flags = checkDemoFlags(given);
  const typed = commandLine(demoCommand.name, process.argv.slice(2));
  await onScreen(
    (screen) => (flags.replay ? playBack(flags, screen) : demo(flags, screen, typed)),
    { json: flags.json },
  );
});

async function demo(flags: DemoFlags, screen: Screen, command: string): Promise<void> {
  checkOutput('--output', flags.output);
  checkCheckpoint(flags, screen);
  lockFolder(flags.output);
  const sources = await findSources(flags, screen);
  const backend = await useBackend(flags.backend);
  useMixedPrecision(flags.bfloat16 && gainsFrom16Bits(backend));
  const narrow = mixedPrecision() ? 'bfloat16' : halfPrecision() ? 'float16' : undefined;
  const { signal, release } = interruption(() =>
    screen.line('Interrumpido: termina el paso en curso y guarda… (otro Ctrl-C sale sin guardar)'));
  screen.line(
    `QLoRA sobre «${sources.model.name}», con el backend ${backend}${narrow ? `, en ${narrow} y float32` : ''}`);
  const recorder = new Recorder(
    { id: 'qlora', title: experiments.qlora.title, command, backend }, (event) => screen.show(event));
  try {
    await runQlora(flags, sources, qlora, recorder, signal);
  } finally {
    release();
  }

  const { record } = recorder;
  const kept = join(flags.output, 'run.json');
  saveRun(kept, record);
  screen.line(`Medidas guardadas en «${kept}».`);
  if (flags.record) {
    writeRun(record);
    screen.line(`También en «${join(runsFolder, record.id)}.json»: son las que muestran las diapositivas.`);
  }
}

/** The recorded run as it was, event by event. */
async function playBack({ speed }: DemoFlags, screen: Screen): Promise<void> {
  const record = readRun('qlora');
  if (!record) throw new UserError('No hay ninguna ejecución grabada que reproducir: grábala con npm run record.');
  const { header, events } = toldBy(record);
  screen.line(`${header.title}, ${recordedLabel(header)}`);
  for await (const event of replay(events, speed)) {
    screen.show(event);
    if (event.type === 'done') break; // what follows tells what was saved then
  }
}

/** Says what a run would take the place of; of one that is to go on, whether it has begun. @throws UserError if not */
function checkCheckpoint({ output, resume }: DemoFlags, screen: Screen): void {
  const file = checkpointIn(output);
  if (resume) {
    // A router's own adapters come before it.
    if (![file, checkpointIn(specialistFolder(output, 0))].some((begun) => existsSync(begun))) throw noCheckpoint(file);
    return;
  }
  const { step, steps } = checkpointProgress(file) ?? { step: 0, steps: 0 };
  if (step < steps) {
    screen.line(`Hay un punto de control en el paso ${formatNumber(step)} de «${output}»: --resume sigue desde ahí; `
      + 'esta ejecución lo sustituye.');
  }
}
