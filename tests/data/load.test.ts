import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadInstructions } from '../../src/data/load.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const at = temporaryFolder();
const options = {
  files: ['assets/data/alpaca_es.json'], heldOutFiles: ['assets/data/heldout_es.json'],
  examples: 100, heldOut: 20, template: 'es', maxLength: 256, seed: 1,
} as const;

describe('loadInstructions', () => {
  it('takes as many records as asked for, the same for the same seed', async () => {
    const { train, heldOut, dropped } = await loadInstructions('assets/model', options);
    expect([train.length, heldOut.length, dropped]).toEqual([100, 20, 0]);
    expect((await loadInstructions('assets/model', options)).train).toEqual(train);
    expect((await loadInstructions('assets/model', { ...options, seed: 2 })).train).not.toEqual(train);
    const parted = await loadInstructions('assets/model', { ...options, validation: 3 });
    expect([...parted.validation, ...parted.train]).toEqual(train);
    expect(parted.validation).toHaveLength(Math.min(3, Math.floor(train.length / 5)));
  });

  it('examines with the whole held-out file, or with 50 records of a file that brings none', async () => {
    const { heldOut } = await loadInstructions('assets/model', { ...options, heldOut: undefined });
    expect(heldOut.length).toBeGreaterThan(300);
    const foreign = await loadInstructions('assets/model', { ...options, heldOutFiles: undefined, heldOut: undefined });
    expect([foreign.train.length, foreign.heldOut.length]).toEqual([100, 50]);
  });

  it('takes several files for one set, and leaves out and counts what has no answer', async () => {
    const record = (n: number, output: string) => ({ instruction: `Di ${n}.`, output });
    writeFileSync(at('a.json'), JSON.stringify([record(1, 'Uno.'), record(2, ' '), record(3, 'Tres.')]));
    writeFileSync(at('b.json'), JSON.stringify([record(4, ''), record(5, 'Cinco.')]));
    const { train, heldOut, unanswered } = await loadInstructions('assets/model', {
      ...options, files: [at('a.json'), at('b.json')], heldOutFiles: undefined, heldOut: 1,
    });
    expect([train.length, heldOut.length, unanswered]).toEqual([2, 1, 2]);
  });

  it('leaves out and counts what asks the same as the questions, drawn or given', async () => {
    const record = (n: number) => ({ instruction: `Di ${n}.`, output: 'Ya.' });
    writeFileSync(at('twice.json'), JSON.stringify([record(1), record(2), record(3), record(1), record(2), record(3)]));
    writeFileSync(at('one.json'), JSON.stringify([record(9), record(2)]));
    const files = [at('twice.json')];
    const drawn = await loadInstructions('assets/model', { ...options, files, heldOutFiles: undefined, heldOut: 1 });
    expect([drawn.train.length, drawn.heldOut.length, drawn.repeated]).toEqual([4, 1, 1]);
    // Whether all are asked or not, the training is the same.
    for (const heldOut of [undefined, 1]) {
      const given = await loadInstructions('assets/model', { ...options, files, heldOutFiles: [at('one.json')], heldOut });
      expect([given.train.length, given.repeated]).toEqual([4, 2]);
    }
    await expect(loadInstructions('assets/model', { ...options, files, heldOutFiles: files }))
      .rejects.toThrow(/«.*twice\.json» .* no queda ninguno con que entrenar/);
  });

  it('asks all that there is where nothing is to be trained on', async () => {
    writeFileSync(at('one.json'), JSON.stringify([{ instruction: 'Di uno.', output: 'Uno.' }]));
    const asking = { ...options, files: [at('one.json')], heldOutFiles: undefined, heldOut: undefined, examples: 0 };
    expect(await loadInstructions('assets/model', asking)).toMatchObject({ train: [], heldOut: [{}] });
    await expect(loadInstructions('assets/model', { ...asking, maxLength: 20 }))
      .rejects.toThrow(/Ningún registro de .*one\.json.* cabe en 20 tokens/);
  });

  it('leaves out nothing of the embedded set', async () => {
    expect((await loadInstructions('assets/model', { ...options, examples: 5000, heldOut: undefined }))).toMatchObject({
      repeated: 0, train: { length: 3000 },
    });
  });

  it('refuses a set in which nothing is answered', async () => {
    writeFileSync(at('blank.json'), JSON.stringify([{ instruction: 'Di algo.', output: ' ' }]));
    expect(await userErrorFrom(loadInstructions('assets/model', { ...options, files: [at('blank.json')] }), at('blank.json')))
      .toContain('tiene respuesta en «output»');
  });

  it('refuses a length in which nothing fits', async () => {
    await expect(loadInstructions('assets/model', { ...options, maxLength: 20 }))
      .rejects.toThrow(/Ningún registro de .* cabe en 20 tokens/);
  });

  const asked = (words: number) => [{ instruction: 'Repite. '.repeat(words), output: 'Ya.' }];

  it('names the file of which nothing fits: what is trained on, or else what is asked', async () => {
    writeFileSync(at('long.json'), JSON.stringify(asked(90)));
    writeFileSync(at('short.json'), JSON.stringify(asked(1)));
    const given = { ...options, heldOut: undefined, maxLength: 100 };
    await expect(loadInstructions('assets/model', {
      ...given, files: [at('long.json')], heldOutFiles: [at('short.json')], examples: 1,
    })).rejects.toThrow('long.json» cabe en 100 tokens');
    await expect(loadInstructions('assets/model', {
      ...given, files: [at('short.json')], heldOutFiles: [at('long.json')], examples: 0,
    })).rejects.toThrow('long.json» cabe en 100 tokens');
  });

  it('counts what does not fit, to train on and to ask', async () => {
    writeFileSync(at('some.json'), JSON.stringify([asked(90), asked(91), asked(1)].flat()));
    writeFileSync(at('questions.json'), JSON.stringify([asked(92), asked(2)].flat()));
    const files = { files: [at('some.json')], heldOutFiles: [at('questions.json')] };
    expect(await loadInstructions('assets/model', { ...options, ...files, heldOut: undefined, maxLength: 100 }))
      .toMatchObject({ train: [{}], heldOut: [{}], dropped: 3 });
  });

  it('sets apart for validation a fifth at most', async () => {
    const { validation, train } = await loadInstructions('assets/model', { ...options, examples: 14, validation: 9 });
    expect([validation.length, train.length]).toEqual([2, 12]);
  });
});
