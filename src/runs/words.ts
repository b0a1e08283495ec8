import type { RunHeader } from './schema.ts';

/** «24 nov 2026». */
export function dayOf({ startedAt }: Pick<RunHeader, 'startedAt'>): string {
  return new Date(startedAt)
    .toLocaleDateString('es-ES', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
}

/** «Intel Xeon Gold 6148» of «Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz»; of AMD without «16-Core Processor». */
export function processorOf({ provenance: { machine } }: Pick<RunHeader, 'provenance'>): string {
  return machine.cpu.replaceAll(/\((R|TM)\)| CPU| @.*$|( \d+-Core)? Processor/g, '');
}
