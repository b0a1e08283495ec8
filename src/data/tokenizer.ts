import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as huggingFace from '@huggingface/tokenizers';
import { z } from 'zod';
import { readJson } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { mayRunAway } from './backtracking.ts';
import { chatTemplateField, loadChatTemplate } from './chat.ts';
import type { ChatTemplate } from './chat.ts';

export interface Tokenizer {
  /** Text to ids, with no special token added. */
  encode(text: string): number[];
  /** Ids to text; special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Undefined for models that begin a text with no special token (Qwen, SmolLM2). */
  readonly bosId: number | undefined;
  /** What closes a text. */
  readonly eosId: number;
  /** What ends an answer: `eosId`, and the others that the model may say (Llama 3 has three). */
  readonly eosIds: readonly number[];
  readonly padId: number;
  /** How the model writes a conversation, if it was made for them. */
  readonly chat?: ChatTemplate | undefined;
}

// What we use of the library; its own declarations do not resolve under Node's module rules.
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
}
const LibraryTokenizer = huggingFace.Tokenizer as unknown as
  new (tokenizer: object, config: object) => LibraryTokenizer;

// A special token is written as its text or as an object that holds it.
const specialToken = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish()
  .transform((token) => (typeof token === 'object' ? token?.content : token));
const mapSchema = z.object({
  bos_token: specialToken, eos_token: specialToken, pad_token: specialToken, unk_token: specialToken,
});
type SpecialTokens = z.infer<typeof mapSchema>;
const configSchema = z.looseObject({
  ...mapSchema.shape, add_bos_token: z.boolean().nullish(), chat_template: chatTemplateField,
});
const generationSchema = z.object({
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish()
    .transform((ids) => (typeof ids === 'number' ? [ids] : ids ?? [])),
  pad_token_id: z.number().int().nonnegative().nullish().catch(undefined), // some write −1 for none
});
const tokenId = z.number().int().nonnegative();
const fileSchema = z.looseObject({
  model: z.looseObject({
    type: z.enum(['BPE', 'Unigram', 'WordPiece']).nullish(), // the library takes any other for one of them
    vocab: z.union([z.record(z.string(), tokenId), z.array(z.unknown())]),
  }),
  added_tokens: z.array(z.looseObject({ id: tokenId, content: z.string() })).default([]),
});
type TokenizerFile = z.infer<typeof fileSchema>;

/**
 * The tokenizer of a Hugging Face folder: `tokenizer.json`, and the special tokens that `tokenizer_config.json` names,
 * or else `special_tokens_map.json`; the end tokens and the padding that `generation_config.json` adds, or else
 * `config.json`. Of them `tokenizer.json` alone has to be there. Without a padding token, the end token pads.
 *
 * @throws UserError if a file is missing or malformed, or none names an end token
 */
export function loadTokenizer(folder: string): Tokenizer {
  const file = join(folder, 'tokenizer.json');
  const configFile = join(folder, 'tokenizer_config.json');
  const contents = readJson(file, fileSchema);
  const config = readIfThere(configFile, configSchema) ?? configSchema.parse({});
  const mapFile = join(folder, 'special_tokens_map.json');
  const map = readIfThere(mapFile, mapSchema);
  const generation = readIfThere(join(folder, 'generation_config.json'), generationSchema)
    ?? readIfThere(join(folder, 'config.json'), generationSchema);
  refuseRunaway(contents, file);
  refuseOtherIds(contents, file);
  const { tokenizer, encode, added } = openLibrary(contents, config, file);

  const tokenOf = (field: keyof SpecialTokens) => config[field] ?? map?.[field] ?? undefined;
  const idOf = (field: keyof SpecialTokens) => {
    const token = tokenOf(field);
    if (token === undefined) return undefined;
    const id = tokenizer.token_to_id(token);
    if (id === undefined) {
      throw new UserError(`El campo «${field}» de «${config[field] ? configFile : mapFile}» nombra «${token}», que no está en «${file}»: `
        + 'los dos archivos deben ser del mismo modelo.');
    }
    return id;
  };
  const eosId = idOf('eos_token') ?? generation?.eos_token_id[0];
  if (eosId === undefined) {
    throw new UserError(`En «${folder}» ningún archivo dice qué token cierra un texto: indícalo en tokenizer_config.json, `
      + 'en el campo «eos_token».');
  }
  // The post-processor says whether texts begin with a special token; old files say it in their configuration.
  const named = config.add_bos_token ? idOf('bos_token') : undefined;
  const names = Object.fromEntries(mapSchema.keyof().options.map((field) => [field, tokenOf(field)]));
  return {
    encode: (text) => (text === '' ? [] : encode(text, false)),
    decode: (ids) => (ids.length === 0 ? '' : tokenizer.decode([...ids], {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: false, // as transformers, whatever the file says: of BPE it would spoil the text
    })),
    vocabSize: largestId(contents) + 1,
    bosId: added ?? named,
    eosId,
    eosIds: [...new Set([eosId, ...generation?.eos_token_id ?? []])],
    padId: idOf('pad_token') ?? generation?.pad_token_id ?? eosId,
    chat: loadChatTemplate(folder, config.chat_template, names),
  };
}

/** The library's tokenizer, and the special token that it begins a text with. */
function openLibrary(contents: TokenizerFile, config: object, file: string) {
  try {
    const tokenizer = new LibraryTokenizer(contents, config);
    // A character that no token writes, not even an unknown one, is left out.
    const encode = (text: string, special: boolean) =>
      tokenizer.encode(text, { add_special_tokens: special }).ids.filter((id) => id !== undefined);
    const [plain, whole] = [encode('a', false), encode('a', true)];
    const added = whole.length > plain.length && whole[0] !== plain[0] ? whole[0] : undefined;
    return { tokenizer, encode, added };
  } catch (error) {
    throw new UserError(`No se puede usar el tokenizador «${file}» (${(error as Error).message}): `
      + 'vuelve a descargarlo o elige un modelo con un tokenizer.json de Hugging Face.');
  }
}

/** The library runs the expressions that the file holds; one of them could stop the program for ever. */
function refuseRunaway({ normalizer, pre_tokenizer: preTokenizer, decoder }: TokenizerFile, file: string): void {
  for (const { Regex: expression } of partsOf(normalizer, preTokenizer, decoder)) {
    if (typeof expression === 'string' && mayRunAway(expression)) {
      throw new UserError(`En «${file}», la expresión regular «${expression}» podría no acabar nunca: `
        + 'vuelve a descargar el tokenizador o elige otro modelo.');
    }
  }
}

/** The ways to part a text that the library does as Python's; every other it takes for one of these. */
const PARTINGS = [
  'Split con behavior Isolated', 'Split con behavior Removed', 'Split con behavior Removed e invert',
  'Punctuation con behavior Isolated', 'Punctuation con behavior Contiguous',
];

/** What the library passes over without a word: its ids would be others than Python's. */
function refuseOtherIds(contents: TokenizerFile, file: string): void {
  const { model, normalizer, pre_tokenizer: preTokenizer, added_tokens: added } = contents;
  const refuse = (what: string): never => {
    throw new UserError(`El tokenizador «${file}» usa ${what}, que aquí no se admite: elige otro modelo.`);
  };
  if (model.type === 'Unigram' && model['byte_fallback']) refuse('Unigram con byte_fallback');
  const word = added.find((token) => token['single_word']);
  if (word) refuse(`single_word en el token «${word.content}»`);
  // Gemma's splits at spaces, of which its normalizer leaves none.
  const hasSpaces = !partsOf(normalizer).some(({ pattern }) => literalOf(pattern) === ' ');
  for (const { type, behavior = 'Isolated', invert, pattern } of partsOf(preTokenizer)) {
    if (type !== 'Split' && type !== 'Punctuation') continue;
    const parting = `${type} con behavior ${String(behavior)}${invert ? ' e invert' : ''}`;
    const isDone = PARTINGS.includes(parting) && !(parting === PARTINGS[1] && literalOf(pattern) !== undefined);
    if (!isDone && (hasSpaces || literalOf(pattern) !== ' ')) refuse(parting);
  }
}

/** What a pattern looks for, if it is no regular expression. */
function literalOf(pattern: unknown): unknown {
  return (pattern as { String?: unknown } | null | undefined)?.String;
}

/** Every object and list of parts of the file. */
function partsOf(...roots: unknown[]): Readonly<Record<string, unknown>>[] {
  const found: Readonly<Record<string, unknown>>[] = [];
  for (const parts = [...roots]; parts.length > 0;) {
    const part = parts.pop();
    if (typeof part !== 'object' || part === null) continue;
    found.push(part as Readonly<Record<string, unknown>>);
    for (const inside of Object.values(part)) parts.push(inside);
  }
  return found;
}

function largestId({ model: { vocab }, added_tokens: added }: TokenizerFile): number {
  const ids = Array.isArray(vocab) ? [vocab.length - 1] : Object.values(vocab);
  return [...ids, ...added.map(({ id }) => id)].reduce((largest, id) => Math.max(largest, id), -1);
}

function readIfThere<T>(file: string, schema: z.ZodType<T>): T | undefined {
  return existsSync(file) ? readJson(file, schema) : undefined;
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
