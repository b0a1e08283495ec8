import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { isAlive } from '../lifeline.ts';

/** Takes a folder for this process, to its end: of two runs into it one is lost. @throws UserError if it is taken */
export function lockFolder(folder: string): void {
  const file = join(folder, '.lock');
  const other = existsSync(file) ? Number(readFileSync(file, 'utf8')) : process.pid;
  if (other !== process.pid && isAlive(other)) { // one that was killed has left its file
    throw new UserError(`--output: en «${folder}» escribe otra ejecución, el proceso ${other}; espera a que acabe o elige `
      + `otra carpeta (si ese proceso es otra cosa, borra «${file}»).`);
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, String(process.pid));
  process.once('exit', () => {
    rmSync(file, { force: true });
    if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
  });
}
