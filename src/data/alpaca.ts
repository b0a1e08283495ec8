import { z } from 'zod';
import { readJson } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { Random } from '../random.ts';

/** A record of the Alpaca format (Taori et al., 2023). */
export const alpacaRecord = z.object({
  instruction: z.string().refine((text) => text.trim() !== ''),
  input: z.string().default(''),
  output: z.string().refine((text) => text.trim() !== ''),
});

export type AlpacaRecord = z.infer<typeof alpacaRecord>;

/**
 * The records of an Alpaca JSON file.
 *
 * @throws UserError if the file cannot be read, is not a JSON array, is empty, or a record lacks
 * its instruction or its output
 */
export function readAlpaca(file: string): AlpacaRecord[] {
  const contents = readJson(file, z.unknown());
  const form = 'una lista JSON de registros con «instruction», «input» y «output»';
  if (!Array.isArray(contents)) throw new UserError(`El archivo «${file}» no es una lista: se esperaba ${form}.`);
  if (contents.length === 0) throw new UserError(`El archivo «${file}» no tiene ningún registro: se esperaba ${form}.`);
  return contents.map((value, index) => {
    const parsed = alpacaRecord.safeParse(value);
    if (parsed.success) return parsed.data;
    const field = parsed.error.issues[0]?.path[0];
    throw new UserError(field === undefined
      ? `El registro ${index + 1} de «${file}» no es un objeto: se esperaba ${form}.`
      : `El registro ${index + 1} de «${file}» no tiene bien el campo «${String(field)}»: `
        + 'se esperaba un texto; complétalo o quita el registro.');
  });
}

/**
 * A seeded split of a file that brings no held-out set: `heldOut` records to examine with, and up to
 * `examples` others to train on.
 *
 * @throws UserError if nothing would be left to train on
 */
export function splitRecords(
  records: readonly AlpacaRecord[],
  { examples, heldOut, seed }: { examples: number; heldOut: number; seed: number },
): { train: AlpacaRecord[]; heldOut: AlpacaRecord[] } {
  if (records.length <= heldOut) {
    throw new UserError(`Hay ${records.length} registros y se apartan ${heldOut} para evaluar: no queda ninguno con que entrenar; `
      + 'aparta menos o usa un archivo mayor.');
  }
  const shuffled = Random.for(seed, 'records').shuffle(records);
  return { train: shuffled.slice(heldOut, heldOut + examples), heldOut: shuffled.slice(0, heldOut) };
}
