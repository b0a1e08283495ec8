import { UserError } from '../errors.ts';
import { Random } from '../random.ts';
import { readAlpaca, splitRecords } from './alpaca.ts';
import { encodeRecords } from './batches.ts';
import type { Example } from './batches.ts';
import type { PromptTemplate } from './prompt.ts';
import { loadTokenizer } from './tokenizer.ts';
import type { Tokenizer } from './tokenizer.ts';

const DRAWN_HELD_OUT = 50;

export interface DataOptions {
  readonly file: string;
  /** Without it, the examination is drawn from `file` itself. */
  readonly heldOutFile?: string | undefined;
  /** The most records to train on. */
  readonly examples: number;
  /** The most records to examine with; all of `heldOutFile` if not said, or 50 drawn from `file`. */
  readonly heldOut?: number | undefined;
  readonly template: PromptTemplate;
  /** Tokens of an example; see `encodeRecords`. */
  readonly maxLength: number;
  readonly seed: number;
}

export interface InstructionData {
  readonly tokenizer: Tokenizer;
  readonly train: readonly Example[];
  readonly heldOut: readonly Example[];
  /** Records whose prompt left no room for the answer. */
  readonly dropped: number;
}

/**
 * Alpaca records as token ids of the model in `modelDir`.
 *
 * @throws UserError if a file cannot be used, or no record fits in `maxLength`
 */
export function loadInstructions(modelDir: string, options: DataOptions): InstructionData {
  const { file, heldOutFile, examples, heldOut, seed } = options;
  const tokenizer = loadTokenizer(modelDir);
  const records = readAlpaca(file);
  const chosen = heldOutFile === undefined
    ? splitRecords(records, { examples, heldOut: heldOut ?? DRAWN_HELD_OUT, seed })
    : {
        train: Random.for(seed, 'records').shuffle(records).slice(0, examples),
        heldOut: readAlpaca(heldOutFile).slice(0, heldOut),
      };
  const train = encodeRecords(chosen.train, tokenizer, options);
  const examination = encodeRecords(chosen.heldOut, tokenizer, options);
  if (train.examples.length === 0) {
    throw new UserError(`Ningún registro de «${file}» cabe en ${options.maxLength} tokens con su respuesta: sube --max-length.`);
  }
  return {
    tokenizer, train: train.examples, heldOut: examination.examples, dropped: train.dropped + examination.dropped,
  };
}
