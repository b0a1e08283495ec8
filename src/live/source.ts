import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { region, withRegion } from '../deck/code.ts';
import type { Experiment } from '../runs/experiments.ts';

/** An edited program lies beside its original, whose imports it shares, for as long as it runs; git ignores it. */
const prefix = '.editado-';

/** The region of the program that the slide shows, as the file has it. */
export function readRegion({ file, region: name }: Experiment): string {
  return region(readFileSync(file, 'utf8'), name, file).trimEnd();
}

/** Writes the program with an edited region. @returns its absolute path */
export function writeEdited({ file, region: name }: Experiment, code: string): string {
  const path = resolve(dirname(file), prefix + basename(file));
  writeFileSync(path, withRegion(readFileSync(file, 'utf8'), name, file, code).text);
  return path;
}

/** Takes away what a server that was killed left. */
export function removeEdited(folder: string): void {
  for (const name of readdirSync(folder)) if (name.startsWith(prefix)) rmSync(join(folder, name), { force: true });
}
