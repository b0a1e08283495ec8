import { join } from 'node:path';
import * as huggingFace from '@huggingface/tokenizers';
import { z } from 'zod';
import { readJson } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';

export interface Tokenizer {
  /** Text to ids, with no special token added. */
  encode(text: string): number[];
  /** Ids to text; special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Undefined for models that begin a text with no special token (Qwen). */
  readonly bosId: number | undefined;
  readonly eosId: number;
  readonly padId: number;
}

// What we use of the library; its own declarations do not resolve under Node's module rules.
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean }): string;
  token_to_id(token: string): number | undefined;
  get_vocab(withAddedTokens: boolean): Map<string, number>;
}
const LibraryTokenizer = huggingFace.Tokenizer as unknown as
  new (tokenizer: object, config: object) => LibraryTokenizer;

// A special token is written as its text or as an object that holds it.
const specialToken = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish()
  .transform((token) => (typeof token === 'object' ? token?.content : token));
const configSchema = z.looseObject({ bos_token: specialToken, eos_token: specialToken, pad_token: specialToken });
const fileSchema = z.looseObject({
  model: z.looseObject({ vocab: z.union([z.record(z.string(), z.number()), z.array(z.unknown())]) }),
  added_tokens: z.array(z.looseObject({ id: z.number().int(), content: z.string() })).default([]),
});

/**
 * The tokenizer of a Hugging Face folder: `tokenizer.json`, and the names of the special tokens
 * from `tokenizer_config.json`. Without a padding token, the end token pads.
 *
 * @throws UserError if a file is missing or malformed, or names no end token
 */
export function loadTokenizer(folder: string): Tokenizer {
  const file = join(folder, 'tokenizer.json');
  const configFile = join(folder, 'tokenizer_config.json');
  const contents = readJson(file, fileSchema);
  const config = readJson(configFile, configSchema);
  let tokenizer: LibraryTokenizer;
  try {
    tokenizer = new LibraryTokenizer(contents, config);
  } catch (error) {
    throw new UserError(`No se puede usar el tokenizador «${file}» (${(error as Error).message}): `
      + 'vuelve a descargarlo o elige un modelo con un tokenizer.json de Hugging Face.');
  }

  const idOf = (field: 'bos_token' | 'eos_token' | 'pad_token') => {
    const token = config[field];
    if (token === undefined || token === null) return undefined;
    const id = tokenizer.token_to_id(token);
    if (id === undefined) {
      throw new UserError(`El campo «${field}» de «${configFile}» nombra «${token}», que no está en «${file}»: `
        + 'los dos archivos deben ser del mismo modelo.');
    }
    return id;
  };
  const eosId = idOf('eos_token');
  if (eosId === undefined) {
    throw new UserError(`A «${configFile}» le falta el campo «eos_token»: indica en él el token que cierra un texto.`);
  }
  let largest = 0;
  for (const id of tokenizer.get_vocab(true).values()) largest = Math.max(largest, id);
  return {
    encode: (text) => (text === '' ? [] : tokenizer.encode(text, { add_special_tokens: false }).ids),
    decode: (ids) => (ids.length === 0 ? '' : tokenizer.decode([...ids], { skip_special_tokens: true })),
    vocabSize: largest + 1,
    bosId: idOf('bos_token'),
    eosId,
    padId: idOf('pad_token') ?? eosId,
  };
}

/**
 * Checks that every id of the tokenizer has its row in the model's embedding.
 *
 * @throws UserError if some have none
 */
export function checkTokenizer(tokenizer: Tokenizer, vocabSize: number): void {
  if (tokenizer.vocabSize > vocabSize) {
    throw new UserError(`El tokenizador tiene ${tokenizer.vocabSize} entradas y el modelo solo ${vocabSize} («vocab_size»): `
      + 'usa el tokenizer.json que acompaña al modelo.');
  }
}
