import { UserError } from '../errors.ts';
import { readAlpaca, splitRecords } from './alpaca.ts';
import type { AlpacaRecord } from './alpaca.ts';
import { encodeRecords } from './batches.ts';
import type { Example } from './batches.ts';
import type { PromptTemplate } from './prompt.ts';
import { loadTokenizer } from './tokenizer.ts';
import type { Tokenizer } from './tokenizer.ts';

const DRAWN_HELD_OUT = 50;

export interface DataOptions {
  readonly files: readonly string[];
  /** Without them, the examination is drawn from `files` themselves. */
  readonly heldOutFiles?: readonly string[] | undefined;
  /** The most records to train on; 0 where there is no training. */
  readonly examples: number;
  /** How many of the training examples are set apart for validation, at most a fifth of them; none if not said. */
  readonly validation?: number | undefined;
  /** The most records to examine with; all of `heldOutFiles` if not said, or 50 drawn from `files`. */
  readonly heldOut?: number | undefined;
  readonly template: PromptTemplate;
  /** Tokens of an example; see `encodeRecords`. */
  readonly maxLength: number;
  readonly seed: number;
}

export interface InstructionData {
  readonly tokenizer: Tokenizer;
  readonly train: readonly Example[];
  /** Set apart from `train`. */
  readonly validation: readonly Example[];
  readonly heldOut: readonly Example[];
  /** Records whose prompt left no room for the answer. */
  readonly dropped: number;
  /** Records left out because their output is empty. */
  readonly unanswered: number;
  /** Records not trained on because they ask the same as one of the questions. */
  readonly repeated: number;
}

/**
 * Alpaca records as token ids of the model in `modelDir`.
 *
 * @throws UserError if a file cannot be used, or no record fits in `maxLength`
 */
export async function loadInstructions(modelDir: string, options: DataOptions): Promise<InstructionData> {
  const { files, heldOutFiles, examples, heldOut, seed } = options;
  const tokenizer = loadTokenizer(modelDir);
  let unanswered = 0;
  const read = async (paths: readonly string[]): Promise<AlpacaRecord[]> => {
    const records = await readAlpaca(paths);
    const answered = records.filter(({ output }) => output.trim() !== '');
    if (answered.length === 0) {
      throw new UserError(`Ningún registro de «${paths[0]}» tiene respuesta en «output»: complétalos o usa otro archivo.`);
    }
    unanswered += records.length - answered.length;
    return answered;
  };
  const records = await read(files);
  const chosen = splitRecords(records, {
    file: files[0]!, examples, heldOut: heldOutFiles ? await read(heldOutFiles) : heldOut ?? DRAWN_HELD_OUT, seed,
  });
  const train = encodeRecords(chosen.train, tokenizer, options);
  const examination = encodeRecords(chosen.heldOut.slice(0, heldOut), tokenizer, options);
  const [needed, from] = examples > 0 ? [train, files] : [examination, heldOutFiles ?? files];
  if (needed.examples.length === 0) {
    throw new UserError(`Ningún registro de «${from[0]}» cabe en ${options.maxLength} tokens con su respuesta: sube --max-length.`);
  }
  const dropped = train.dropped + examination.dropped;
  const apart = Math.min(options.validation ?? 0, Math.floor(train.examples.length / 5));
  return {
    tokenizer, train: train.examples.slice(apart), validation: train.examples.slice(0, apart),
    heldOut: examination.examples, dropped, unanswered, repeated: chosen.repeated,
  };
}
