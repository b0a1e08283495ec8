import { describe, expect, it } from 'vitest';
import { encodeRecords, epochOrder, makeBatch } from '../../src/data/batches.ts';
import { alpacaPrompt } from '../../src/data/prompt.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';

const tokenizer = loadTokenizer('assets/model');
const record = { instruction: '¿Cuál es la capital de Perú?', input: '', output: 'La capital de Perú es Lima.' };

describe('encodeRecords', () => {
  const encode = (maxLength: number, output = record.output) =>
    encodeRecords([{ ...record, output }], tokenizer, { template: 'es', maxLength });
  const { tokens, promptLength } = encode(256).examples[0]!;

  it('is start token, prompt, answer, end token', () => {
    const prompt = tokenizer.encode(alpacaPrompt(record));
    expect([...tokens]).toEqual([0, ...prompt, ...tokenizer.encode(record.output), 1]);
    expect(promptLength).toBe(1 + prompt.length);
    expect(encode(256).examples[0]!.record).toEqual(record);
  });

  it('never lets a token span prompt and answer', () => {
    // Encoded as one text, the prompt's last line break would be parted from its neighbours otherwise.
    const [example] = encode(256, '\n\nLima').examples;
    expect([...example!.tokens.subarray(0, promptLength)]).toEqual([...tokens.subarray(0, promptLength)]);
    expect(tokenizer.decode([...example!.tokens.subarray(promptLength)])).toBe('\n\nLima');
  });

  it('cuts a long example, and drops one whose prompt leaves no room for the answer', () => {
    expect(encode(promptLength + 2).examples[0]!.tokens).toEqual(tokens.slice(0, promptLength + 2));
    expect(encode(promptLength + 1)).toMatchObject({ dropped: 0 });
    expect(encode(promptLength)).toEqual({ examples: [], dropped: 1 });
  });

  it('keeps the order of the records', () => {
    const records = ['Lima.', 'Quito.', 'Bogotá.'].map((output) => ({ ...record, output }));
    const { examples } = encodeRecords(records, tokenizer, { template: 'es', maxLength: 256 });
    expect(examples.map((example) => example.record.output)).toEqual(['Lima.', 'Quito.', 'Bogotá.']);
  });

  it('begins with no start token where the model has none', () => {
    const { examples } = encodeRecords([record], { ...tokenizer, bosId: undefined }, { template: 'es', maxLength: 256 });
    expect([...examples[0]!.tokens]).toEqual([...tokens.subarray(1)]);
    expect(examples[0]!.promptLength).toBe(promptLength - 1);
  });
});

describe('makeBatch', () => {
  it('pads on the right and labels only what the answer predicts, shifted by one', () => {
    const batch = makeBatch([
      { tokens: Int32Array.of(0, 10, 11, 20, 1), promptLength: 3, record },
      { tokens: Int32Array.of(0, 12, 21), promptLength: 2, record },
    ], 2);
    expect(batch).toEqual({
      tokens: Int32Array.of(0, 10, 11, 20, 1, 0, 12, 21, 2, 2),
      labels: Int32Array.of(-100, -100, 20, 1, -100, -100, 21, -100, -100, -100),
      lengths: [5, 3],
      batchSize: 2,
      seqLength: 5,
    });
  });
});

describe('epochOrder', () => {
  it('visits each example once, in another order each epoch, the same for the same seed', () => {
    const order = epochOrder(50, 7, 0);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(epochOrder(50, 7, 0)).toEqual(order);
    expect(epochOrder(50, 7, 1)).not.toEqual(order);
    expect(epochOrder(50, 8, 0)).not.toEqual(order);
  });
});
