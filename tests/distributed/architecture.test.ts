import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readArchitecture } from '../../src/distributed/architecture.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();
const embedded = join(import.meta.dirname, '../../assets/model');

describe('the architecture of a plan', () => {
  it('comes from a folder, which needs no weights, or from a config.json', () => {
    copyFileSync(join(embedded, 'config.json'), at('config.json'));
    expect(readArchitecture(at())).toEqual(readArchitecture(join(embedded, 'config.json')));
    expect(readArchitecture(at())).toMatchObject({ layers: 4, hiddenSize: 256 });
  });

  it('or from a well-known name', () => {
    expect(readArchitecture('meta-llama/Llama-2-7b-hf')).toMatchObject({ layers: 32, hiddenSize: 4096 });
  });

  it('and from nothing else', () => {
    expect(userErrorOf(() => readArchitecture('nadie/nada'), 'nadie/nada')).toContain('meta-llama/Llama-2-7b-hf');
    writeFileSync(at('other.json'), '{"model_type":"t5"}');
    userErrorOf(() => readArchitecture(at('other.json')), at('other.json'));
  });
});
