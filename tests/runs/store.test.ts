import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { provenance, staleness } from '../../src/runs/provenance.ts';
import { runRecord } from '../../src/runs/schema.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { listRuns, readRun, saveRun, writeRun } from '../../src/runs/store.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();

const record: RunRecord = {
  format: 1,
  id: 'qlora',
  title: 'QLoRA, 2000 ejemplos, 125 pasos',
  startedAt: '2026-05-04T10:00:00.000Z',
  seconds: 93.25,
  command: 'npm run demo -- --record',
  provenance: {
    commit: '0123456789', dirty: false, backend: 'wasm',
    machine: { cpu: 'a processor', cores: 2, memoryBytes: 4e9, platform: 'linux x64', node: 'v20.19.0' },
    inputs: [{ path: 'assets/data/alpaca_es.json', sha256: 'ab'.repeat(32) }],
  },
  parameters: { r: 16, targetModules: ['q_proj', 'v_proj'], learningRate: null },
  results: { evaluation: { before: { exactMatch: 0 }, after: { exactMatch: 0.8 + 0.1 } } },
  events: [
    {
      type: 'start', steps: 1, epochs: 1, examples: 16, batchSize: 16, accumulation: 1, effectiveBatch: 16, resumedAt: 0,
    },
    {
      type: 'step', step: 1, epoch: 1, loss: 0.1 + 0.2, learningRate: 3e-3, gradientNorm: 1e-7, tokens: 640,
      tokensPerSecond: 5000, seconds: 0.128, secondsLeft: 0,
    },
    { type: 'done', steps: 1, seconds: 0.128, stopped: 'finished' },
  ],
};

describe('the store of runs', () => {
  it('gives back what was put in', () => {
    writeRun(record, at('runs'));
    expect(readRun('qlora', at('runs'))).toEqual(record);
  });

  it('keeps an event a line, so that runs compare as text', () => {
    writeRun(record, at('lines'));
    const text = readFileSync(at('lines', 'qlora.json'), 'utf8');
    expect(JSON.parse(text)).toEqual(record);
    const lines = text.split('\n').filter((line) => line.includes('"type":'));
    expect(lines.map((line) => line.trim().replace(/,$/, ''))).toEqual(record.events.map((event) => JSON.stringify(event)));
  });

  it('keeps a run without events, too', () => {
    writeRun({ ...record, events: [] }, at('bare'));
    expect(readRun('qlora', at('bare'))?.events).toEqual([]);
  });

  it('lists the runs there are by id, in order', () => {
    for (const id of ['zero', 'memory', 'qlora']) writeRun({ ...record, id }, at('several'));
    writeFileSync(at('several', 'README.md'), '');
    expect(listRuns(at('several'))).toEqual(['memory', 'qlora', 'zero']);
    expect(listRuns(at('none'))).toEqual([]);
  });

  it('has nothing for an id that was never written', () => {
    expect(readRun('unheard-of', at('several'))).toBeUndefined();
  });

  it('writes anywhere else, too', () => {
    saveRun(at('out', 'run.json'), record);
    expect(runRecord.parse(JSON.parse(readFileSync(at('out', 'run.json'), 'utf8')))).toEqual(record);
  });

  it('writes nothing of a record that is not valid', () => {
    const broken = { ...record, seconds: NaN };
    expect(() => writeRun(broken, at('invalid'))).toThrow();
    expect(existsSync(at('invalid'))).toBe(false);
  });
});

describe('a record on disk is refused by the field at fault', () => {
  it.each([
    ['format', { format: 2 }],
    ['id', { id: '../qlora' }],
    ['id', { id: 'QLoRA' }],
    ['startedAt', { startedAt: 'yesterday' }],
    ['seconds', { seconds: -1 }],
    ['provenance.backend', { provenance: { ...record.provenance, backend: 1 } }],
    ['events.0.type', { events: [{ type: 'unheard-of' }] }],
    ['events.0.loss', { events: [{ ...record.events[1], loss: null }] }],
  ])('%s', (field, change) => {
    writeFileSync(at('qlora.json'), JSON.stringify({ ...record, ...change }));
    expect(userErrorOf(() => readRun('qlora', at('.')), at('qlora.json'))).toContain(`«${field}»`);
  });

  it('or for not being JSON', () => {
    writeFileSync(at('qlora.json'), '{"format": 1,');
    expect(userErrorOf(() => readRun('qlora', at('.')), at('qlora.json'))).toContain('JSON');
  });
});

describe('provenance', () => {
  it('says on what a run was made, from which commit and files', () => {
    writeFileSync(at('input'), 'abc');
    const origin = provenance('qlora', 'wasm', [at('input')]);
    expect(runRecord.shape.provenance.parse(origin)).toEqual(origin);
    expect(origin.backend).toBe('wasm');
    expect(origin.machine.node).toBe(process.version);
    expect(origin.machine.cores).toBeGreaterThan(0);
    // SHA-256 of «abc», FIPS 180-2, appendix B.1.
    expect(origin.inputs).toEqual([
      { path: at('input'), sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' },
    ]);
  });

  it('holds what was downloaded by its commit or its sum; a record that says nothing of it stays valid', () => {
    const pins = [{ kind: 'model' as const, name: 'org/tiny', revision: 'ab'.repeat(20) }];
    const origin = provenance('qlora', 'wasm', [], pins);
    expect(origin.sources).toEqual(pins);
    const schema = runRecord.shape.provenance;
    expect(schema.parse(origin)).toEqual(origin);
    expect(schema.parse(record.provenance)).toEqual(record.provenance);
    expect(schema.safeParse({ ...origin, sources: [{ ...pins[0], revision: 'main' }] }).success).toBe(false);
  });

  it('reads a file of more than one piece whole', () => {
    const bytes = Buffer.alloc(3 << 20, 1);
    writeFileSync(at('large'), bytes);
    const hashOf = () => provenance('qlora', 'wasm', [at('large')]).inputs[0]!.sha256;
    const before = hashOf();
    bytes[bytes.length - 1] = 2;
    writeFileSync(at('large'), bytes);
    expect(hashOf()).not.toBe(before);
  });

  it('is stale when a file has changed or is gone, and only then', () => {
    writeFileSync(at('a'), 'one');
    writeFileSync(at('b'), 'two');
    const made = { ...record, provenance: provenance('qlora', 'wasm', [at('a'), at('b')]) };
    expect(staleness(made)).toEqual([]);
    writeFileSync(at('b'), 'two'); // written again, the same
    expect(staleness(made)).toEqual([]);
    writeFileSync(at('b'), 'three');
    expect(staleness(made)).toEqual([`cambió ${at('b')}`]);
    expect(staleness({ ...made, provenance: { ...made.provenance, inputs: [] } })).toEqual([]);
    const gone = { path: at('gone'), sha256: 'ab'.repeat(32) };
    expect(staleness({ ...made, provenance: { ...made.provenance, inputs: [gone] } })).toEqual([`falta ${at('gone')}`]);
  });

  it('is stale when its code is no longer that of the program, or it does not say what it was', () => {
    const { code, ...origin } = provenance('qlora', 'wasm', []);
    expect(staleness({ ...record, provenance: { ...origin, code } })).toEqual([]);
    const files = { ...code!.files, 'demo/qlora.ts': 'another' };
    expect(staleness({ ...record, provenance: { ...origin, code: { ...code!, files } } })).toEqual(['cambió demo/qlora.ts']);
    expect(staleness({ ...record, provenance: origin })).toEqual(['no dice con qué código se hizo']);
  });
});

describe('the runs that slides show', () => {
  const folder = 'assets/runs';

  it.each(listRuns(folder))('%s is a valid record under its own id', (id) => {
    expect(readRun(id, folder)?.id).toBe(id);
  });
});
