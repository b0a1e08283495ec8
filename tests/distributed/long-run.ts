import { jobDefaults } from '../../src/distributed/job.ts';
import { Ranks } from '../../src/distributed/ranks.ts';
import { tinyConfig, tinyExamples } from '../tiny.ts';

// A sharded run with its optimizer's states on disk, that goes on until it is killed. It tells its steps.

const examples = tinyExamples(8);
const ranks = await Ranks.start(2, 'cpu');
await ranks.train({
  ...jobDefaults, model: { config: tinyConfig, seed: 1 }, padId: 2, ranks: 2, scheme: 'zero3', offload: 'disk', pageBytes: 32,
  steps: Array.from({ length: 100_000 }, () => examples),
}, (step) => void process.stdout.write(`paso ${step}\n`));
