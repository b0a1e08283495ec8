import { existsSync } from 'node:fs';
import { z } from 'zod';
import { readSafetensors, writeSafetensors } from '../checkpoint/safetensors.ts';
import { UserError } from '../errors.ts';
import type { Parameter } from '../model/weights.ts';
import { trainEvent } from '../runs/events.ts';
import type { TrainEvent } from '../runs/events.ts';
import type { AdamW } from './adamw.ts';

const metadata = z.object({
  step: z.coerce.number().int().nonnegative(),
  /** What the run was started with: going on with anything else would be another run. */
  fingerprint: z.string(),
  events: z.string().transform((text) => z.array(trainEvent).parse(JSON.parse(text))),
});

/** Everything an interrupted run needs to go on to the same losses, in one safetensors file. */
export function saveCheckpoint(
  file: string, parameters: readonly Parameter[], optimizer: AdamW, fingerprint: string, events: readonly TrainEvent[],
): void {
  const { m, v } = optimizer.exportState();
  const tensors = Object.fromEntries(
    parameters.map(({ name, values, shape }) => [name, { dtype: 'F32' as const, shape: [...shape], data: values }]),
  );
  writeSafetensors(file, {
    ...tensors,
    'optimizer.m': { dtype: 'F32', shape: [m.length], data: m },
    'optimizer.v': { dtype: 'F32', shape: [v.length], data: v },
  }, { step: String(optimizer.steps), fingerprint, events: JSON.stringify(events) });
}

/**
 * Puts parameters and optimizer back as they were.
 *
 * @returns the events emitted up to then.
 * @throws UserError when there is no checkpoint, or it belongs to another run.
 */
export function loadCheckpoint(file: string, parameters: readonly Parameter[], optimizer: AdamW, fingerprint: string): TrainEvent[] {
  if (!existsSync(file)) {
    throw new UserError(`${file}: no hay ningún punto de control que reanudar; quita --resume para empezar de cero.`);
  }
  const saved = readSafetensors(file);
  const parsed = metadata.safeParse(saved.metadata);
  if (!parsed.success) {
    throw new UserError(`${file}: no es un punto de control de este programa; quita --resume para empezar de cero.`);
  }
  const { step, fingerprint: started, events } = parsed.data;
  if (started !== fingerprint) {
    throw new UserError(
      `${file}: el punto de control es de una ejecución con otras opciones (${difference(started, fingerprint)}); `
      + 'repite aquellas o quita --resume para empezar de cero.',
    );
  }
  for (const parameter of parameters) {
    parameter.values.set(saved.float32(parameter.name));
    parameter.upload();
  }
  optimizer.importState({ m: saved.float32('optimizer.m'), v: saved.float32('optimizer.v') }, step);
  return events;
}

/** Names the options in which two fingerprints differ. */
function difference(before: string, now: string): string {
  const [a, b] = [before, now].map((text) => JSON.parse(text) as Record<string, unknown>) as [Record<string, unknown>, Record<string, unknown>];
  return Object.keys(b).filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]))
    .map((key) => `${key}: ${String(a[key])} → ${String(b[key])}`).join(', ');
}
