/**
 * A trainer of byte-level BPE (Sennrich et al., 2016; the bytes as in GPT-2), writing Hugging
 * Face's `tokenizer.json`. It counts the words first and merges over the counts, as `tokenizers`
 * does, so it takes seconds.
 */

/** How GPT-2 parts a text into words, as the ByteLevel pre-tokenizer of `tokenizers` does. */
const WORD = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

export const SPECIAL_TOKENS = ['<s>', '</s>', '<pad>'] as const;

/** GPT-2's 256 printable characters, one a byte. */
const BYTE_CHARACTERS: string[] = (() => {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

/** How often each word occurs; a word keeps the space before it. */
export function countWords(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORD)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

export interface Bpe {
  /** Token to id: special tokens, the 256 bytes, then the merges in order. */
  vocabulary: Map<string, number>;
  merges: [string, string][];
}

/**
 * Merges the most frequent pair of neighbours until the vocabulary is full; on a tie, the pair that
 * comes first by code units, so that the same counts give the same tokenizer everywhere.
 */
export function trainBpe(counts: ReadonlyMap<string, number>, vocabularySize: number): Bpe {
  const tokens = [...SPECIAL_TOKENS, ...BYTE_CHARACTERS];
  const vocabulary = new Map<string, number>(tokens.map((token, id) => [token, id]));
  const encoder = new TextEncoder();
  const words = [...counts].map(([word, count]) => ({
    symbols: Array.from(encoder.encode(word), (byte) => BYTE_CHARACTERS[byte]!),
    count,
  }));

  // For each pair, its count and the words that hold it; both kept up to date through the merges.
  const pairs = new Map<string, { left: string; right: string; count: number; words: Set<number> }>();
  const tally = (index: number, sign: 1 | -1) => {
    const { symbols, count } = words[index]!;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const [left, right] = [symbols[i]!, symbols[i + 1]!];
      const key = `${left} ${right}`;
      let pair = pairs.get(key);
      if (!pair) pairs.set(key, pair = { left, right, count: 0, words: new Set() });
      pair.count += sign * count;
      if (sign > 0) pair.words.add(index);
    }
  };
  words.forEach((_, index) => tally(index, 1));

  const merges: [string, string][] = [];
  while (vocabulary.size < vocabularySize) {
    let bestKey = '';
    let bestCount = 0;
    for (const [key, { count }] of pairs) {
      if (count > bestCount || (count === bestCount && count > 0 && key < bestKey)) [bestKey, bestCount] = [key, count];
    }
    const best = pairs.get(bestKey);
    if (!best) break;
    const merged = best.left + best.right;
    merges.push([best.left, best.right]);
    if (!vocabulary.has(merged)) vocabulary.set(merged, vocabulary.size);
    for (const index of best.words) {
      tally(index, -1);
      words[index]!.symbols = merge(words[index]!.symbols, best.left, best.right);
      tally(index, 1);
    }
    pairs.delete(bestKey);
  }
  return { vocabulary, merges };
}

function merge(symbols: string[], left: string, right: string): string[] {
  const merged = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      merged.push(left + right);
      i++;
    } else {
      merged.push(symbols[i]!);
    }
  }
  return merged;
}

/** The contents of `tokenizer.json`, as `tokenizers` writes them. */
export function tokenizerJson({ vocabulary, merges }: Bpe): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: beginning('<s>'),
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges,
    },
  };
}

/** What puts a special token before every text. */
function beginning(token: (typeof SPECIAL_TOKENS)[number]): object {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  return {
    type: 'TemplateProcessing',
    single: [special, sequence('A', 0)],
    pair: [special, sequence('A', 0), sequence('B', 1)],
    special_tokens: { [token]: { id: token, ids: [SPECIAL_TOKENS.indexOf(token)], tokens: [token] } },
  };
}

/** The contents of `tokenizer_config.json`, for `transformers` and for us. */
export function tokenizerConfig(maxLength: number): object {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<s>',
    eos_token: '</s>',
    pad_token: '<pad>',
    add_bos_token: false,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
    model_max_length: maxLength,
  };
}
