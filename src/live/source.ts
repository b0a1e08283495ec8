import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { region, withRegion } from '../deck/code.ts';
import { UserError } from '../errors.ts';
import { isAlive } from '../lifeline.ts';
import type { Experiment } from '../runs/experiments.ts';

/**
 * An edited program lies beside its original, whose imports it shares, for as long as it runs; git ignores it. Its name
 * has the server's process: another talk's, in the same folder, is another.
 */
const edited = /^\.editado-(\d+)-/;

/** The region of the program that the slide shows, as the file has it. */
export function readRegion({ file, region: name }: Experiment): string {
  return region(readFileSync(file, 'utf8'), name, file).trimEnd();
}

/** Writes the program with an edited region. @returns its absolute path */
export function writeEdited({ file, region: name }: Experiment, code: string): string {
  const path = resolve(dirname(file), `.editado-${process.pid}-${basename(file)}`);
  writeFileSync(path, withRegion(readFileSync(file, 'utf8'), name, file, code).text);
  return path;
}

/** What keeps an edited program from being read, by the lines of the slide, if that is what esbuild's error tells. */
export function syntaxErrorIn({ file, region: name }: Experiment, { message }: Error): UserError | undefined {
  const [, line, what] = /:(\d+):\d+: ERROR: (.*)/.exec(message) ?? [];
  if (what === undefined) return undefined;
  const { line: first } = withRegion(readFileSync(file, 'utf8'), name, file, ''); // lines before it
  return new UserError(`el código editado no se puede leer; línea ${Number(line) - first}: ${what}`);
}

/** Takes away what this server has left, or one that was killed. */
export function removeEdited(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = Number(edited.exec(name)?.[1]);
    if (pid === process.pid || (pid > 0 && !isAlive(pid))) rmSync(join(folder, name), { force: true });
  }
}
