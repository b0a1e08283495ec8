import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { qlora } from '../../demo/qlora.ts';
import type { ModelSource } from '../checkpoint/source.ts';
import { UserError } from '../errors.ts';
import { formatBytes, formatNumber, formatPercent } from '../format.ts';
import { heldQuantization } from '../model/load.ts';
import { methods } from '../peft/methods.ts';
import type { QuantType } from '../quant/codebooks.ts';
import type { TrainEvent } from '../runs/events.ts';
import type { Recorder } from '../runs/recorder.ts';
import { mixedPrecision } from '../tensor/bfloat16.ts';
import { dataOptions } from './flags.ts';
import type { DemoFlags } from './flags.ts';
import { leftOut } from './left-out.ts';
import { countResults, qloraParameters, sizeResults, trainingResults } from './qlora-record.ts';
import { inputFiles, pinned, pinsOf, sumOf } from './sources.ts';
import type { Sources } from './sources.ts';
import { trainSpecialists } from './specialists.ts';

/** Training examples set apart for early stopping to look at. */
const VALIDATION = 64;

export const checkpointIn = (output: string): string => join(output, 'checkpoint.safetensors');

/**
 * The four steps of the last slide with the demo's options, told to a recorder.
 * @param sources the model and the data that the options ask for
 * @param program the demo's program, or an edited one
 * @throws UserError if it is interrupted, saying how to go on
 */
export async function runQlora(
  given: DemoFlags, sources: Sources, program: typeof qlora, recorder: Recorder, signal?: AbortSignal,
): Promise<void> {
  const method = methods[given.peft];
  const flags = {
    ...given,
    targetModules: given.targetModules ?? method.targetModules,
    ...quantizationOf(given, sources.model),
  };
  const events: TrainEvent[] = [];
  const { peft, r, alpha, dropout, experts, adapters, targetModules, seed } = flags;
  const { initR, tinit, tfinal, deltaT, orthRegWeight } = flags;
  const adapter = {
    r, alpha, dropout, initR, tinit, tfinal, deltaT, orthRegWeight, experts, adapters, targetModules, seed,
  };
  const checkpointFile = checkpointIn(flags.output);
  const replaces = !flags.resume && existsSync(checkpointFile);
  const options = {
    modelDir: sources.model.folder,
    baseModel: sources.model.name,
    outDir: flags.output,
    quant: { quantType: flags.quant, doubleQuant: flags.doubleQuant },
    adapter: { method: peft, ...adapter, adapters: adapters as readonly string[] },
    data: { ...dataOptions(flags, sources), validation: flags.patience === undefined ? 0 : VALIDATION },
    training: {
      ...flags,
      residentBytes: flags.optimizerBytes,
      checkpointFile,
      inputs: {
        ...adapter, adapters: adapters.map((folder) => `${folder} (${sumOf([join(folder, 'adapter_model.safetensors')])})`),
        peft, ...pinned(flags, sources), quant: flags.quant, doubleQuant: flags.doubleQuant,
        eval: flags.evaluate, template: flags.template, maxLength: flags.maxLength, bf16: mixedPrecision(),
      },
      signal,
    },
  };
  if (peft === 'router' && adapters.length === 0) {
    const specialists = await trainSpecialists(experts, options, program, recorder);
    if (!specialists) throw interrupted(flags.output);
    options.adapter.adapters = specialists;
    options.training.resume &&= existsSync(checkpointFile); // it may have been stopped before its turn
  }
  recorder.heading('1/4 · Carga el modelo base en 4 bits');
  await program(options, {
    loaded(size) {
      recorder.line(
        `${formatBytes(size.bytes16)} en 16 bits → ${formatBytes(size.bytes)} `
        + `(${formatPercent(size.bytes / size.bytes16)}; embeddings y normas, en 32 bits)`,
      );
      recorder.line(
        `Matrices cuantizadas a ${quantName(flags.quant, flags.doubleQuant)}: `
        + `${formatBytes(size.linearBytes16)} → ${formatBytes(size.linearBytes)}, `
        + `${formatNumber(size.bitsPerParameter, 3, true)} bits por parámetro`,
      );
      recorder.result(sizeResults(size));
      const heeded = method.options.map((name) => `${name} = ${formatNumber(adapter[name], 2)}`).join(', ');
      recorder.heading(`2/4 · Inserta ${method.title}${heeded && ` (${heeded})`}`);
    },
    adapted(count) {
      recorder.line(count.line);
      recorder.result(countResults(count));
      recorder.heading('3/4 · Entrena');
    },
    data(data) {
      recorder.origin(inputFiles(sources), qloraParameters(flags, data.train.length), pinsOf(sources));
      for (const line of leftOut(data, flags.maxLength)) recorder.line(line);
      if (data.heldOut.length > 0) recorder.line('Pregunta primero a la base sin ajustar…');
    },
    event(event) {
      events.push(event);
      if (event.type === 'evaluation' && event.when === 'after') recorder.heading('4/4 · Evalúa y guarda el adaptador');
      recorder.tell(event);
    },
    saved(folder) {
      recorder.line(`\nAdaptador guardado en «${folder}» (formato PEFT).`);
    },
  });
  const done = events.findLast((event) => event.type === 'done')!;
  if (done.stopped === 'interrupted') throw interrupted(flags.output, replaces && done.steps === 0);
  recorder.result(trainingResults(events));
}

function interrupted(output: string, leavesOther = false): UserError {
  return new UserError(leavesOther
    ? `Interrumpido antes del primer paso: no se ha guardado nada, y en «${output}» queda lo que había.`
    : `Guardado en «${output}». Para seguir donde quedó: repite la orden con --resume.`);
}

/** How the base is put in 4 bits; one that comes in them stays so. @throws UserError if another way was asked for */
function quantizationOf(
  { quant, doubleQuant }: DemoFlags, { folder, name }: ModelSource,
): { quant: QuantType; doubleQuant: boolean } {
  const held = heldQuantization(folder);
  if (!held) return { quant: quant ?? 'nf4', doubleQuant };
  const words = `«${name}» ya está en ${quantName(held.quantType, held.doubleQuant)}`;
  if (quant !== undefined && quant !== held.quantType) {
    throw new UserError(`--quant ${quant}: ${words}; quítala, o da la base en 16 bits.`);
  }
  if (!doubleQuant && held.doubleQuant) {
    throw new UserError(`--no-double-quant: ${words}; quítala, o da la base en 16 bits.`);
  }
  return { quant: held.quantType, doubleQuant: held.doubleQuant };
}

const quantName = (quant: QuantType, doubleQuant: boolean): string =>
  `${quant.toUpperCase()}${doubleQuant ? ' con doble cuantización' : ''}`;
