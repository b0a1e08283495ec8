import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { inputFiles, pinned } from '../../src/cli/sources.ts';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

it('a run goes on only from the same weights, configuration, tokenizer, special tokens and chat template', () => {
  writeSmallModel(at('model'));
  writeFileSync(at('data.json'), '[]');
  const asked = { model: at('model'), data: at('data.json'), heldOut: undefined };
  const sources = {
    model: { folder: at('model'), name: at('model'), pin: undefined },
    data: { files: [at('data.json')], pin: undefined }, heldOut: undefined,
  };
  const sums = [
    'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'generation_config.json', 'chat_template.jinja',
  ].map((file) => {
    writeFileSync(at('model', file), file);
    expect(inputFiles(sources), file).toContain(at('model', file));
    return pinned(asked, sources).model;
  });
  expect(new Set(sums).size).toBe(5);
});
