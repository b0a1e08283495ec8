import { z } from 'zod';
import { UserError } from '../errors.ts';
import { formatCount } from '../format.ts';
import { Random } from '../random.ts';
import { readRecords } from './records.ts';

/** A record of the Alpaca format (Taori et al., 2023). Some of Stanford's have no answer: their output is empty. */
const alpacaRecord = z.object({
  instruction: z.string().refine((text) => text.trim() !== ''),
  input: z.string().nullish().transform((text) => text ?? ''),
  output: z.string(),
});

export type AlpacaRecord = z.infer<typeof alpacaRecord>;

const fields = ['instruction', 'input', 'output'];
const form = 'registros con «instruction», «input» y «output»';

/**
 * The records of Alpaca files (see `readRecords`), of all of them one after another.
 *
 * @throws UserError if a file cannot be read or is empty, or a record lacks its instruction or its output
 */
export async function readAlpaca(files: readonly string[]): Promise<AlpacaRecord[]> {
  const records: AlpacaRecord[] = [];
  for (const file of files) {
    const contents = await readRecords(file, fields);
    if (contents.length === 0) throw new UserError(`El archivo «${file}» no tiene ningún registro: se esperaban ${form}.`);
    for (const [index, value] of contents.entries()) records.push(checkRecord(value, `El registro ${index + 1} de «${file}»`));
  }
  return records;
}

function checkRecord(value: unknown, subject: string): AlpacaRecord {
  const parsed = alpacaRecord.safeParse(value);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path[0];
  if (field === undefined) throw new UserError(`${subject} no es un objeto: se esperaban ${form}.`);
  const present = Object.keys(value as object);
  const { [field]: found } = value as Record<PropertyKey, unknown>;
  if (typeof found === 'string') {
    throw new UserError(`${subject} tiene vacío el campo «${String(field)}»: complétalo o quita el registro.`);
  }
  throw new UserError(present.includes(String(field))
    ? `${subject} no tiene bien el campo «${String(field)}»: se esperaba un texto; complétalo o quita el registro.`
    : `${subject} no tiene el campo «${String(field)}» (tiene ${listed(present)}): se esperaban ${form}.`);
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'ninguno';
  return names.slice(0, 6).map((name) => `«${name}»`).join(', ') + (names.length > 6 ? '…' : '');
}

/**
 * A seeded split: records to examine with, and up to `examples` others to train on, none of which asks the same.
 * Without training, `examples` is 0, and all may be for the examination.
 *
 * @param file what to call it in the sentence
 * @param heldOut how many to draw, or records of another file
 * @throws UserError if nothing would be left to train on
 */
export function splitRecords(
  records: readonly AlpacaRecord[],
  { file, examples, heldOut, seed }: {
    file: string; examples: number; heldOut: number | readonly AlpacaRecord[]; seed: number;
  },
): { train: AlpacaRecord[]; heldOut: readonly AlpacaRecord[]; repeated: number } {
  const isDrawn = typeof heldOut === 'number';
  const shuffled = Random.for(seed, 'records').shuffle(records);
  const [questions, others] = isDrawn ? [shuffled.slice(0, heldOut), shuffled.slice(heldOut)] : [heldOut, shuffled];
  const asked = new Set(questions.map(questionOf));
  const unasked = others.filter((record) => !asked.has(questionOf(record)));
  if (unasked.length === 0 && examples > 0) {
    const why = isDrawn
      ? `se apartan ${heldOut} para evaluar${others.length > 0 ? ', y los demás repiten sus preguntas' : ''}`
      : 'todos repiten las preguntas con que se evalúa';
    throw new UserError(`En «${file}» hay ${formatCount(records.length, 'registro')} y ${why}: no queda ninguno con que `
      + `entrenar; ${isDrawn ? 'aparta menos con --eval, o da otras preguntas con --held-out' : 'da otras con --held-out'} `
      + 'o más registros con --data.');
  }
  return { train: unasked.slice(0, examples), heldOut: questions, repeated: others.length - unasked.length };
}

/** What the model is asked: what was learnt by heart is no examination. */
const questionOf = ({ instruction, input }: AlpacaRecord) => JSON.stringify([instruction, input]);
