import { mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { isAlive } from '../lifeline.ts';

/**
 * Takes a folder for this process, to its end: of two runs into it one is lost. Each process leaves a file of its own
 * there, and only then looks for others': of two that do so at once, at least one sees the other.
 *
 * @throws UserError if it is taken
 */
export function lockFolder(folder: string): void {
  const fileOf = (pid: number) => join(folder, `.lock-${pid}`);
  const release = () => {
    rmSync(fileOf(process.pid), { force: true });
    try {
      rmdirSync(folder);
    } catch {
      // It is not empty: what the run made is in it.
    }
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(fileOf(process.pid), '');
  process.once('exit', release);
  const others = readdirSync(folder).flatMap((name) => Number(/^\.lock-(\d+)$/.exec(name)?.[1] ?? process.pid))
    .filter((pid) => pid !== process.pid);
  const other = others.find(isAlive);
  if (other !== undefined) {
    release();
    throw new UserError(`--output: en «${folder}» escribe otra ejecución, el proceso ${other}; espera a que acabe o elige `
      + `otra carpeta (si ese proceso es otra cosa, borra «${fileOf(other)}»).`);
  }
  others.forEach((pid) => rmSync(fileOf(pid), { force: true })); // those of processes that were killed
}
