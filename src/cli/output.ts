import { existsSync, mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';

/**
 * Asked before the work, not after it: whether a folder, or the nearest there is above it, can be written.
 *
 * @param option where it was said, for the messages
 * @throws UserError if not
 */
export function checkOutput(option: string, folder: string): void {
  let nearest = resolve(folder);
  while (!existsSync(nearest)) nearest = dirname(nearest);
  if (!statSync(nearest).isDirectory()) {
    throw new UserError(`${option}: «${nearest}» es un archivo y se esperaba una carpeta; elige otra.`);
  }
  try {
    rmdirSync(mkdtempSync(join(nearest, '.prueba-'))); // what is permitted does not tell of /proc, nor of a full disk
  } catch (error) {
    throw new UserError(
      `${option}: en «${nearest}» no se puede escribir (${(error as NodeJS.ErrnoException).code}); elige otra carpeta.`);
  }
}
