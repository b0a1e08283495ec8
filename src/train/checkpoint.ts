import { existsSync } from 'node:fs';
import { z } from 'zod';
import { readSafetensors, writeSafetensors } from '../checkpoint/safetensors.ts';
import type { SafetensorsFile, TensorData } from '../checkpoint/safetensors.ts';
import { UserError } from '../errors.ts';
import { settle } from '../model/weights.ts';
import type { Trainable } from '../peft/trainable.ts';
import { trainEvent } from '../runs/events.ts';
import type { TrainEvent } from '../runs/events.ts';
import { sizeOf } from '../shape.ts';
import type { StateArray } from './adamw.ts';
import type { FieldArray } from './moments.ts';
import type { OptimizerState } from './optimizer.ts';

/** A field that is JSON within the file's text metadata. */
const jsonText = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue('not JSON');
    return z.NEVER;
  }
});

const metadata = z.object({
  step: z.coerce.number().int().nonnegative(),
  /** What the run was started with: going on with anything else would be another run. */
  fingerprint: jsonText.pipe(z.record(z.string(), z.json())),
  events: jsonText.pipe(z.array(trainEvent)),
});

/**
 * Everything an interrupted run needs to go on to the same losses, in one safetensors file. A run that has made no step
 * is not put over another.
 *
 * @param fingerprint a JSON object of all that decides the losses, by the name of its option
 */
export async function saveCheckpoint(
  file: string,
  { parameters, hooks }: Pick<Trainable, 'parameters' | 'hooks'>,
  optimizer: OptimizerState,
  fingerprint: string,
  events: readonly TrainEvent[],
): Promise<void> {
  if (optimizer.steps === 0 && existsSync(file)) return;
  await settle(parameters);
  const state = await optimizer.exportState();
  const tensors: Record<string, TensorData> = {};
  for (const { name, values, shape } of parameters) tensors[name] = { dtype: 'F32', shape, data: values };
  for (const { name, dtype, length } of optimizer.stateArrays) {
    tensors[`optimizer.${name}`] = { dtype, shape: [length], data: state.get(name)! };
  }
  for (const [name, values] of hooks?.state ?? []) {
    tensors[`method.${name}`] = { dtype: 'F32', shape: [values.length], data: values };
  }
  writeSafetensors(file, tensors, { step: String(optimizer.steps), fingerprint, events: JSON.stringify(events) });
}

/** How far the run of a checkpoint came, and of how many steps; undefined if there is none that can be read. */
export function checkpointProgress(file: string): { step: number; steps: number } | undefined {
  const saved = existsSync(file) ? metadata.safeParse(openSaved(file)?.metadata) : undefined;
  const start = saved?.data?.events.find((event) => event.type === 'start');
  return start && { step: saved!.data!.step, steps: start.steps };
}

/** What a run is refused with that cannot go on because it has not begun. */
export function noCheckpoint(file: string): UserError {
  return new UserError(`${file}: no hay ningún punto de control que reanudar; quita --resume para empezar de cero.`);
}

/**
 * Puts parameters, optimizer and the method's own state back as they were.
 *
 * @returns the events emitted up to then.
 * @throws UserError when there is no checkpoint, it is damaged, or it belongs to another run.
 */
export function loadCheckpoint(
  file: string, { parameters, hooks }: Pick<Trainable, 'parameters' | 'hooks'>, optimizer: OptimizerState,
  fingerprint: string,
): TrainEvent[] {
  const refuse = (why: string) => new UserError(`${file}: ${why}; quita --resume para empezar de cero.`);
  if (!existsSync(file)) throw noCheckpoint(file);
  const saved = openSaved(file);
  if (!saved) throw refuse('el punto de control está dañado o no se puede leer');
  const parsed = metadata.safeParse(saved.metadata);
  if (!parsed.success) throw refuse('no es un punto de control de este programa');
  const { step, fingerprint: started, events } = parsed.data;
  const differences = difference(started, JSON.parse(fingerprint) as Record<string, unknown>);
  if (differences.length > 0) {
    throw new UserError(
      `${file}: el punto de control es de una ejecución con otras opciones u otros archivos (${differences.join(', ')}); `
      + 'vuelve a ellos o quita --resume para empezar de cero.',
    );
  }
  // All is read and measured before anything is put in its place.
  const read = (name: string, dtype: StateArray['dtype'], length: number): FieldArray => {
    if (!saved.has(name)) throw refuse(`falta el tensor «${name}»`);
    const entry = saved.entry(name);
    const values = sizeOf(entry.shape);
    if (values !== length || entry.dtype !== dtype) {
      throw refuse(
        `el tensor «${name}» tiene ${values} valores ${entry.dtype} y se esperaban ${length} ${dtype}`);
    }
    if (dtype !== 'F32') return saved.bytes(name);
    const numbers = saved.float32(name);
    if (!numbers.every(Number.isFinite)) throw refuse(`el tensor «${name}» tiene valores que no son números`);
    return numbers;
  };
  const state = new Map(optimizer.stateArrays.map(({ name, dtype, length }) =>
    [name, read(`optimizer.${name}`, dtype, length)]));
  const restored = parameters.map(({ name, values }) => read(name, 'F32', values.length));
  const methodState = [...hooks?.state ?? []].map(([name, values]) =>
    [values, read(`method.${name}`, 'F32', values.length)] as const);
  parameters.forEach((parameter, i) => parameter.assign(restored[i] as Float32Array));
  methodState.forEach(([values, saved]) => values.set(saved));
  optimizer.importState(state, step);
  return events;
}

/** Undefined if it cannot be opened: what a model's file is refused with is no help here. */
function openSaved(file: string): SafetensorsFile | undefined {
  try {
    return readSafetensors(file);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** The options in which two fingerprints differ, as «--batch-size: 16 → 8». */
function difference(before: Record<string, unknown>, now: Record<string, unknown>): string[] {
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value) ?? 'nada');
  const flag = (key: string) => `--${key.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((key) => text(before[key]) !== text(now[key]))
    .map((key) => `${flag(key)}: ${text(before[key])} → ${text(now[key])}`);
}
