import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { QloraOptions } from '../../demo/qlora.ts';
import { trainSpecialists } from '../../src/cli/specialists.ts';
import { Recorder } from '../../src/runs/recorder.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const at = temporaryFolder();

it('more specialists than there are families of instructions are refused, before any learns', async () => {
  const recorder = new Recorder({ id: 'qlora', title: '', command: '', backend: 'cpu' }, () => {});
  const options = { outDir: at('out') } as QloraOptions;
  const program = () => Promise.reject(new Error('it began'));
  expect(await userErrorFrom(trainSpecialists(19, options, program, recorder), '--experts')).toContain('18');
  expect(existsSync(at('out'))).toBe(false);
});
