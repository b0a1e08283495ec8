import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { qlora, QloraOptions } from '../../demo/qlora.ts';
import { writeFileAtomic } from '../checkpoint/files.ts';
import { embeddedInstructions } from '../data/embedded.ts';
import { world } from '../data/world/index.ts';
import { UserError } from '../errors.ts';
import { formatCount, formatDuration, formatNumber } from '../format.ts';
import type { TrainEvent } from '../runs/events.ts';
import type { Recorder } from '../runs/recorder.ts';

/** Where the adapter lies that is trained as the i-th, counted from 0. */
export const specialistFolder = (output: string, i: number): string => join(output, 'especialistas', String(i + 1));

/**
 * Trains the LoRA adapters that a router chooses among, where none are given: the families of the embedded instructions
 * are dealt out to so many specialists, neighbours together, and each learns from its own alone, on its share of the
 * examples. They lie in `especialistas/` of the output folder, where an interrupted one is resumed.
 *
 * @param options those of the router's own run
 * @returns the folders of the adapters; undefined if interrupted
 * @throws UserError if there are more of them than families
 */
export async function trainSpecialists(
  count: number, options: QloraOptions, program: typeof qlora, recorder: Recorder,
): Promise<readonly string[] | undefined> {
  const families = [...new Set(world().map(({ family }) => family))];
  if (count > families.length) {
    throw new UserError(`--experts: ${count} adaptadores no se reparten las ${families.length} familias de las instrucciones `
      + `incluidas, al menos una para cada uno; pide ${families.length} o menos.`);
  }
  recorder.heading(`Antes · Entrena los ${formatCount(count, 'adaptador', 'adaptadores')} entre los que elige el router`);
  const records = embeddedInstructions().train;
  const folders: string[] = [];
  for (let i = 0; i < count; i++) {
    const own = families.filter((_, j) => Math.floor(j * count / families.length) === i);
    const outDir = specialistFolder(options.outDir, i);
    const checkpointFile = join(outDir, 'checkpoint.safetensors');
    const file = join(outDir, 'datos.json');
    mkdirSync(outDir, { recursive: true });
    writeFileAtomic(file, JSON.stringify(records.filter(({ family }) => own.includes(family))));
    const { heldOutFiles: _, ...data } = options.data;
    const events: TrainEvent[] = [];
    await program({
      ...options, outDir,
      adapter: { ...options.adapter, method: 'lora' },
      data: { ...data, files: [file], examples: Math.ceil(data.examples / count), heldOut: 0, validation: 0 },
      training: {
        ...options.training, checkpointFile, patience: undefined,
        inputs: { ...options.training.inputs, data: own.join(', ') },
        // The first says it where there is nothing to resume; the others may not have begun.
        resume: options.training.resume === true && (i === 0 || existsSync(checkpointFile)),
      },
    }, { loaded() {}, adapted() {}, data() {}, saved() {}, event: (event) => void events.push(event) });
    const steps = events.filter((event) => event.type === 'step');
    const end = events.at(-1);
    if (end?.type !== 'done' || end.stopped === 'interrupted') return undefined;
    recorder.line(
      `${i + 1}/${count} · ${own.join(', ')}: pérdida ${formatNumber(steps[0]!.loss, 3, true)} → `
      + `${formatNumber(steps.at(-1)!.loss, 3, true)}, en ${formatDuration(end.seconds)}`);
    folders.push(join(outDir, 'adapter'));
  }
  return folders;
}
