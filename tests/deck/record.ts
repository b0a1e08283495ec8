import { Marp } from '@marp-team/marp-core';
import { marpOptions, withPlugins } from '../../src/deck/engine.ts';
import type { ReadRun } from '../../src/deck/provenance.ts';
import { codeOf } from '../../src/runs/code.ts';
import type { Code } from '../../src/runs/code.ts';
import type { RunRecord } from '../../src/runs/schema.ts';

const codes = new Map<string, Code>();
function codeOfRun(id: string): Code {
  if (!codes.has(id)) codes.set(id, codeOf(`demo/${id}.ts`));
  return codes.get(id)!;
}

/** A record as `npm run demo` leaves it on the code as it is, with figures that are easy to recognise. */
export function record(changes: Partial<RunRecord> = {}, inputs: RunRecord['provenance']['inputs'] = []): RunRecord {
  const code = codeOfRun(changes.id ?? 'qlora');
  return {
    format: 1, id: 'qlora', title: 'QLoRA', startedAt: '2026-03-02T10:00:00.000Z', seconds: 61, command: 'npm run demo',
    provenance: {
      commit: 'abcdef0123', dirty: false, backend: 'wasm', inputs, code,
      machine: { cpu: 'Una & otra', cores: 2, memoryBytes: 8e9, platform: 'linux x64', node: 'v20.19.0' },
    },
    parameters: {},
    results: {
      quantization: { linearBytesBefore: 5_242_880, linearBytesAfter: 1_352_432, bitsPerParameter: 4.127294921875 },
      parameters: { trainable: 278_528, all: 3_950_848, percent: 7.0498, line: 'trainable params: 278,528 || all params: 1' },
      training: { steps: 125, examples: 2000, seconds: 83.2 },
      evaluation: {
        before: { loss: 2.4031, perplexity: 11.057, exactMatch: 0.0137, count: 364 },
        after: { loss: 0.2442, perplexity: 1.2766, exactMatch: 0.8214, count: 364 },
      },
      samples: [{ instruction: 'Suma', input: '2 y 3', expected: 'Son 5.', before: 'es <b>\nx', after: 'Son 5.' }],
    },
    events: [
      { type: 'evaluation', step: 0, when: 'before', loss: 2.4031, perplexity: 11.057, exactMatch: 0.0137, count: 364 },
      ...Array.from({ length: 20 }, (_, i) => ({
        type: 'step' as const, step: i + 1, epoch: 1, loss: 2 / (i + 1), learningRate: 1e-3, gradientNorm: 1, tokens: 10,
        tokensPerSecond: 10, seconds: i, secondsLeft: 1,
      })),
      {
        type: 'memory', step: 20, base: 5_555_952, adapter: 1_114_112, optimizer: 2_228_224, optimizerResident: 1_048_576,
        optimizerPageIns: 40, checkpoints: 1_933_312, peakTensors: 89_090_136, process: 4e8,
      },
      { type: 'evaluation', step: 20, when: 'after', loss: 0.2442, perplexity: 1.2766, exactMatch: 0.8214, count: 364 },
    ],
    ...changes,
  };
}

export const quantizationRecord = (changes: Partial<RunRecord> = {}): RunRecord => record({
  id: 'quantization', command: 'npm run record', events: [],
  results: {
    bf16: { perplexity: 1.834, bytes: 7_344_640 },
    types: {
      nf4: { mae: 0.0727, rmse: 0.0921, bitsPerParameter: 4.127, perplexity: 1.861 },
      fp4: { mae: 0.0966, rmse: 0.122, bitsPerParameter: 4.127, perplexity: 1.902 },
      int4: { mae: 0.0932, rmse: 0.1107, bitsPerParameter: 4.127, perplexity: 1.852 },
    },
  },
  ...changes,
});

export const checkpointingRecord = (changes: Partial<RunRecord> = {}): RunRecord => record({
  id: 'checkpointing', command: 'npm run record', events: [],
  results: {
    with: { peakBytes: 31_457_280, secondsPerStep: 1.21, keptBytes: 1 },
    without: { peakBytes: 125_829_120, secondsPerStep: 0.93 },
    layers: [4, 16].map((layers) => ({
      layers, plain: { peakBytes: layers * 2 ** 24, secondsPerStep: 0.5 },
      blocks: { peakBytes: 2 ** 24, secondsPerStep: 0.7 }, sqrt: { peakBytes: 2 ** 26, secondsPerStep: 0.75 },
    })),
    precision: [
      { format: 'bf16', lossScale: 1, lost: 0, error: 0.00165 }, { format: 'fp16', lossScale: 65536, lost: 8e-7, error: 2e-4 },
    ],
    accumulation: [{ batchSize: 4, micros: 2, peakBytes: 2 ** 25, secondsPerStep: 0.4, loss: 0.8934 }],
  },
  ...changes,
});

const cost = (title: string, parameters: number, peakBytes: number) =>
  ({ title, parameters, optimizerBytes: 8 * parameters, checkpointBytes: 4 * parameters, peakBytes });

export const peftRecord = (): RunRecord => record({
  id: 'peft', command: 'npm run record', events: [],
  results: {
    measured: [
      { ...cost('full fine-tuning', 3_672_320, 1.6e8), loss: 0.1, exactMatch: 0.8 },
      { ...cost('LoRA', 278_528, 9e7), loss: 0.2, exactMatch: 0.7 },
    ],
    at7B: [
      cost('full fine-tuning', 6_738_415_616, 1.2e11), cost('LoRA', 39_976_960, 1.6e10), cost('IA3', 614_400, 1.5e10),
      cost('QLoRA', 39_976_960, 6e9),
    ],
  },
});

export const loraRecord = (): RunRecord => record({
  id: 'lora', command: 'npm run record', events: [],
  results: {
    base: { loss: 1.05, exactMatch: 0.01 },
    ranks: [1, 2, 4, 8, 16, 32, 64].map((r) => (
      { method: 'lora', r, parameters: 17_408 * r, loss: 0.24 - r / 1000, exactMatch: 0.4 })),
    variants: ['rslora', 'dora'].map((method) => (
      { method, r: 16, parameters: 278_528, loss: 0.2, exactMatch: 0.45 })),
    full: { loss: 0.15, exactMatch: 0.7, parameters: 3_672_320 },
    truncated: [1, 4, 16, 64, 256].map((r) => ({ r, loss: 0.8 - r / 500, exactMatch: 0.1 })),
    energy: [1, 4, 8, 16, 32, 64, 256].map((r) => ({ r, update: Math.min(1, 0.3 + r / 40), random: r / 256 })),
    difference: 2e-7,
    latency: {
      rounds: 60, tokens: 20, milliseconds: { base: 10, merged: 10.1, unmerged: 16 },
      mergedOverBase: 1.01, unmergedOverBase: 1.6,
    },
  },
});

export const practicesRecord = (): RunRecord => {
  const looks = [0.6, 0.4, 0.5, 0.7].map((loss, i) => ({ step: 5 * (i + 1), loss, exactMatch: i / 10 }));
  return record({
    id: 'practices', command: 'npm run record', events: [],
    results: {
      finder: {
        points: [1e-4, 1e-3, 1e-2, 1e-1].map((learningRate, i) => (
          { learningRate, loss: 1 / (i + 1), smoothLoss: 1 / (i + 1) })),
        suggestion: 1e-3,
      },
      sweep: [2, 8].flatMap((r) => [4, 16].map((alpha) => (
        { r, alpha, step: 16, loss: 0.5 - r / 100, exactMatch: 0.3 }))),
      modules: [
        { modules: 'q, v', parameters: 55_000, step: 16, loss: 0.5, exactMatch: 0.2 },
        { modules: 'todas las lineales', parameters: 278_528, step: 16, loss: 0.3, exactMatch: 0.3 },
      ],
      overfitting: {
        examples: 24, dropout: 0.3, patience: 3,
        plain: looks, dropped: looks.map((one) => ({ ...one, loss: one.loss - 0.1 })),
        training: [1, 0.5, 0.2, 0.1], stopped: looks[3]!, bestLoss: looks[1]!, bestMatch: looks[3]!,
      },
      accumulation: { losses: [1.1, 0.9, 0.7], largestDifference: 1.2e-7 },
    },
  });
};

export const adaloraRecord = (changes: Partial<RunRecord> = {}): RunRecord => record({
  id: 'adalora', command: 'npm run record', events: [],
  results: {
    r: 2, steps: 32,
    ways: [
      { title: 'AdaLoRA', parameters: 52_308, losses: [0.2, 0.31, 0.25].map((loss, i) => ({ seed: i + 1, loss })) },
      { title: 'LoRA', parameters: 34_816, losses: [0.21, 0.3, 0.27].map((loss, i) => ({ seed: i + 1, loss })) },
      { title: 'IA3', parameters: 3072, losses: [0.33, 0.41, 0.37].map((loss, i) => ({ seed: i + 1, loss })) },
    ],
    ranks: [
      { layer: 0, module: 'q_proj', rank: 1.4 }, { layer: 0, module: 'down_proj', rank: 3 },
      { layer: 1, module: 'q_proj', rank: 0.2 }, { layer: 1, module: 'down_proj', rank: 2 },
    ],
  },
  ...changes,
});

export const mixtureRecord = (changes: Partial<RunRecord> = {}): RunRecord => record({
  id: 'mixture', command: 'npm run record', events: [],
  results: {
    families: ['plurales', 'antónimos'], questions: [24, 20],
    matrix: [
      { name: 'base', matches: [0, 0], all: 0 }, { name: 'plurales', matches: [0.96, 0], all: 0.52 },
      { name: 'antónimos', matches: [0.25, 0.8], all: 0.5 }, { name: 'router', matches: [0.92, 0.85], all: 0.89 },
    ],
    forgetting: { sequential: 71.25, router: -0.5 },
    cost: [
      { name: 'base', milliseconds: 0.5 }, { name: 'un adapter', milliseconds: 0.552 },
    ],
    routed: [{ tokens: ['El', ' plural'], weights: [[0.9, 0.1], [0.3, 0.7]] }],
  },
  ...changes,
});

export const shardingRecord = (changes: Partial<RunRecord> = {}): RunRecord => {
  const scheme = (name: string, ranks: number, bytes: number, psi: number) => ({
    name, ranks, held: { weights: bytes / 4, gradients: bytes / 4, optimizer: bytes / 2 }, expectedHeld: bytes,
    sent: 22_033_920, expectedSent: 22_033_920, psi, lossDifference: ranks === 1 ? 0 : 1.2e-7,
  });
  const spans = [
    { type: 'forward', micro: 0, from: 0, to: 0.1 }, { type: 'backward', micro: 0, from: 0.1, to: 0.3 },
    { type: 'update', micro: 0, from: 0.3, to: 0.35 },
  ];
  return record({
    id: 'sharding', command: 'npm run record', events: [],
    results: {
      schemes: [
        scheme('un rango', 1, 58_720_256, 0), scheme('DDP', 4, 58_720_256, 2), scheme('ZeRO-1', 4, 36_700_160, 2),
        scheme('ZeRO-2', 4, 25_690_112, 2), scheme('ZeRO-3', 4, 14_680_064, 3), scheme('tensor × datos', 4, 37_748_736, 1),
        scheme('tubería × datos', 4, 37_748_736, 1),
      ],
      timelines: {
        'DDP': {
          ranks: [[...spans, { type: 'communicate', micro: 0, from: 0.3, to: 0.34 }], spans], bubble: 0, kept: 0, communicates: 0.114,
        },
        'GPipe': { ranks: [spans, spans], bubble: 0.254, kept: 4 }, '1F1B': { ranks: [spans, spans], bubble: 0.31, kept: 2 },
      },
      steps: 2, peft: { here: { zero2: 0.24, zero3: 0.75 }, llama7b: { zero2: 0.06, zero3: 0.73 } },
    },
    ...changes,
  });
};

export const benchRecord = (): RunRecord => {
  const series = (...points: [number, number, number][]) =>
    points.map(([value, seconds, MiB]) => ({ value, seconds, peakResident: MiB * 2 ** 20 }));
  return record({
    id: 'bench', command: 'npm run bench', events: [],
    results: {
      speed: [
        { name: 'SmolLM2-135M', tokensPerSecond: 300, peakResident: 9e8, peer: { tokensPerSecond: 150, peakResident: 1.2e9 } },
        { name: 'TinyLlama-1.1B', tokensPerSecond: 80, peakResident: 3e9, peer: null },
      ],
      cost: {
        sequence: series([64, 1, 256], [512, 8, 1024]), layers: series([5, 2, 256], [20, 4, 512]),
        batch: series([1, 2, 256], [4, 8, 512]), r: series([4, 2, 512], [64, 2, 512]),
      },
    },
  });
};

/** All the runs that the deck embeds. */
export const readAll: ReadRun = (id) => [
  record(), quantizationRecord(), checkpointingRecord(), peftRecord(), loraRecord(), practicesRecord(),
  shardingRecord(), benchRecord(), adaloraRecord(), mixtureRecord(),
].find((run) => run.id === id);

/** The HTML of each slide, without Marp's own script, and its notes. */
export function render(markdown: string, read: ReadRun = readAll): { html: string[]; comments: string[][] } {
  return withPlugins(new Marp({ ...marpOptions, script: false }), { read }).render(markdown, { htmlAsArray: true });
}

/** Runs as of a machine with a long name, and of inputs that are no more: the longest to say where they come from. */
export const fromElsewhere = (read: ReadRun): ReadRun => (id) => {
  const run = read(id)!;
  const machine = { ...run.provenance.machine, cpu: 'Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz', cores: 128 };
  const provenance = { ...run.provenance, machine, dirty: true, inputs: [{ path: 'nowhere', sha256: '' }] };
  return { ...run, startedAt: '2026-09-30T00:00:00Z', provenance };
};
