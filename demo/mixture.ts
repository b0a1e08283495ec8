import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeRecords, makeBatch } from '../src/data/batches.ts';
import type { Example } from '../src/data/batches.ts';
import { embeddedInstructions } from '../src/data/embedded.ts';
import { loadTokenizer } from '../src/data/tokenizer.ts';
import type { Tokenizer } from '../src/data/tokenizer.ts';
import { formatNumber, formatPercent } from '../src/format.ts';
import { inference } from '../src/model/llama.ts';
import type { LlamaModel } from '../src/model/llama.ts';
import { loadModel } from '../src/model/load.ts';
import { addAdaMix } from '../src/peft/adamix.ts';
import type { PeftModel } from '../src/peft/adapter.ts';
import { combineAdapters, combineDefaults } from '../src/peft/combine.ts';
import { loadAdapter, loadLora, saveAdapter } from '../src/peft/folder.ts';
import { addLora } from '../src/peft/lora.ts';
import { addRouter } from '../src/peft/router.ts';
import { mean } from '../src/statistics.ts';
import { valuesOf } from '../src/tensor/read.ts';
import { score } from '../src/train/evaluate.ts';
import { answerLogits } from '../src/train/gradients.ts';
import { runJobs } from '../src/train/pool.ts';
import type { Job } from '../src/train/pool.ts';
import { train } from '../src/train/train.ts';

export interface MixtureOptions {
  /** Families of the embedded instructions: an adapter is trained for each. */
  readonly families: readonly string[];
  /**
   * Steps, of eight examples each: of a family's adapter, of AdaMix on all of them, and of the router's gates. By
   * default AdaMix takes as many as all the adapters and the gates do.
   */
  readonly steps: { readonly family: number; readonly adamix: number; readonly router: number };
  /** Held-out questions of each family, at most. */
  readonly questions: number;
}

export const mixtureDefaults: MixtureOptions = {
  families: ['capitales', 'sumas', 'traducciones'],
  steps: { family: 16, adamix: 80, router: 32 },
  questions: 24,
};

/** Share of the questions of each family that are answered word for word. */
type Matches = number[];

export interface Routed {
  /** What the tokens say, one after another: an answer. */
  readonly tokens: readonly string[];
  /** Of each token, the weight of each adapter, averaged over the layers. */
  readonly weights: readonly (readonly number[])[];
}

export interface MixtureResult {
  readonly families: readonly string[];
  readonly questions: readonly number[];
  /** By adapter: exact match on each family, and on all the questions. */
  readonly matrix: readonly { readonly name: string; readonly matches: Matches; readonly all: number }[];
  /** Points lost, on average, on a family once its own adapter had been trained on it. */
  readonly forgetting: { readonly sequential: number; readonly router: number };
  /** Milliseconds a token of a forward pass on one question. */
  readonly cost: readonly { readonly name: string; readonly milliseconds: number }[];
  readonly routed: readonly Routed[];
}

type Place = MixtureOptions & { readonly modelDir: string; readonly folder: string };

/**
 * Slide 6: an adapter a family, and how to have them all: one after another in the same adapter, merged, mixed by
 * AdaMix, or behind a router. Trainings go side by side.
 */
export async function mixture(
  modelDir: string, options: MixtureOptions, show: (line: string) => void,
): Promise<MixtureResult> {
  const { families } = options;
  const folder = mkdtempSync(join(tmpdir(), 'mezcla-'));
  const place: Place = { ...options, modelDir, folder };
  const matches = new Map<string, Matches>();
  const job = (name: string, run: string, options: object = {}, after: readonly Job[] = []): Job =>
    ({ name, module: import.meta.url, run, options: { ...place, ...options } as never, after });
  const specialists = families.map((family, i) => job(family, 'specialist', { family: i }));
  const jobs = [
    job('AdaMix', 'adamix'), // takes longest
    ...specialists,
    job('uno tras otro', 'sequential', {}, specialists), job('router', 'router', {}, specialists),
    job('fusiones', 'merges', {}, specialists),
  ];
  try {
    for await (const { result, seconds } of runJobs<Record<string, Matches>>(jobs)) {
      for (const [name, found] of Object.entries(result)) {
        matches.set(name, found);
        show(`${name}: ${families.map((family, i) => `${family} ${formatPercent(found[i]!)}`).join(', ')}`);
      }
      show(`  (${formatNumber(seconds, 1)} s)`);
    }
    const { tokenizer, questions } = load(place);
    const counts = questions.map(({ length }) => length);
    const overall = (found: Matches) => mean(found.flatMap((share, i) => Array<number>(counts[i]!).fill(share)));
    // The last family that the adapter saw it has had no time to forget.
    const lost = (name: string, upTo: number) => mean(families.slice(0, upTo).map((family, i) =>
      100 * (matches.get(family)![i]! - matches.get(name)![i]!)));
    return {
      families, questions: counts,
      matrix: ['base', ...families, 'uno tras otro', 'fusión cat', 'fusión ties', 'AdaMix', 'router'].map((name) =>
        ({ name, matches: matches.get(name)!, all: overall(matches.get(name)!) })),
      forgetting: {
        sequential: lost('uno tras otro', families.length - 1), router: lost('router', families.length),
      },
      cost: costs(place, makeBatch(questions.flat().slice(0, 1), tokenizer.padId)),
      routed: route(place, questions.map(([first]) => first!), tokenizer),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An adapter for one family. */
export async function specialist({ family, ...place }: Place & { family: number }): Promise<Record<string, Matches>> {
  const { base, learn, examine } = load(place);
  const found: Record<string, Matches> = family === 0 ? { base: await examine(base) } : {};
  const model = addLora(base, lora);
  await learn(model, [family], place.steps.family);
  saveAdapter(model, folderOf(place, family), { baseModel: place.modelDir });
  return { ...found, [place.families[family]!]: await examine(base) };
}

/** The first family's adapter, trained on the second, then on the third. */
export async function sequential(place: Place): Promise<Record<string, Matches>> {
  const { base, learn, examine } = load(place);
  const model = loadAdapter(base, folderOf(place, 0));
  for (let family = 1; family < place.families.length; family++) await learn(model, [family], place.steps.family);
  return { 'uno tras otro': await examine(base) };
}

/** The adapters as one, without more training. */
export async function merges(place: Place): Promise<Record<string, Matches>> {
  const { base, examine } = load(place);
  const experts = place.families.map((_, i) => loadLora(base, folderOf(place, i)));
  const weights = experts.map(() => 1);
  const found: Record<string, Matches> = {};
  for (const combination of ['cat', 'ties'] as const) {
    combineAdapters(base, experts, combination, { ...combineDefaults, weights });
    found[`fusión ${combination}`] = await examine(base);
  }
  return found;
}

/** Several adapters a layer, trained on all the families at once and averaged. */
export async function adamix(place: Place): Promise<Record<string, Matches>> {
  const { base, learn, examine } = load(place);
  const model = addAdaMix(base, { ...lora, experts: 4 });
  await learn(model, place.families.map((_, i) => i), place.steps.adamix);
  return { AdaMix: await examine(base) };
}

export async function router(place: Place): Promise<Record<string, Matches>> {
  const { base, learn, examine } = load(place);
  // #region mixture
  const experts = place.families.map((_, i) => loadLora(base, folderOf(place, i)));
  const model = addRouter(base, experts); // adapters y base, congelados: solo aprenden las puertas
  await learn(model, place.families.map((_, i) => i), place.steps.router, 0.01);
  saveAdapter(model, folderOf(place, 'router'), { baseModel: place.modelDir });
  // #endregion
  return { router: await examine(base) };
}

const lora = { r: 8, alpha: 8, dropout: 0, seed: 42 };

function folderOf({ folder }: Place, adapter: number | string): string {
  return join(folder, String(adapter));
}

/** The base in 4 bits, the questions of each family, and what a job does with them. */
function load({ modelDir, families, questions: limit }: Place) {
  const tokenizer = loadTokenizer(modelDir);
  const { train: records, heldOut } = embeddedInstructions();
  const encode = (from: typeof records) => families.map((family) =>
    encodeRecords(from.filter((record) => record.family === family), tokenizer, { template: 'es', maxLength: 256 }).examples);
  const [examples, questions] = [encode(records), encode(heldOut).map((asked) => asked.slice(0, limit))];
  return {
    base: loadModel(modelDir, { loadIn4bit: true }), tokenizer, questions,
    /** Trains on as many examples of each family as the steps take. */
    learn: async (model: PeftModel, chosen: readonly number[], steps: number, learningRate = 3e-3): Promise<void> => {
      const of = Math.ceil(8 * steps / chosen.length);
      const drawn = chosen.flatMap((family) => examples[family]!.slice(0, of)).slice(0, 8 * steps);
      const training = { batchSize: 8, learningRate, checkpointing: false };
      for await (const _ of train(model, { tokenizer, train: drawn, heldOut: [] }, training));
    },
    examine: async (model: LlamaModel): Promise<Matches> => {
      const matches: Matches = [];
      for (const asked of questions) matches.push((await score(model, asked, tokenizer)).exactMatch);
      return matches;
    },
  };
}

/**
 * A forward pass of each, in turn, so that all have their share of the machine's quiet moments: whatever else runs only
 * adds time, so the least of many is what the pass itself takes.
 */
function costs(place: Place, batch: ReturnType<typeof makeBatch>): MixtureResult['cost'] {
  const { base } = load(place);
  const tokens = batch.tokens.length;
  const ways = {
    'base': undefined,
    'un adapter': loadAdapter(base, folderOf(place, 0)).adapter, // AdaMix, averaged, is no more than this
    'router': loadAdapter(base, folderOf(place, 'router')).adapter,
  };
  const least = new Map<string, number>();
  for (let i = 0; i < 61; i++) {
    for (const [name, adapter] of Object.entries(ways)) {
      base.adapter = adapter;
      const began = performance.now();
      valuesOf(() => answerLogits(base, batch, inference, false));
      const taken = (performance.now() - began) / tokens;
      if (i > 0) least.set(name, Math.min(taken, least.get(name) ?? Infinity)); // the first of each warms up
    }
  }
  return [...least].map(([name, milliseconds]) => ({ name, milliseconds }));
}

/** What the router weighs on each token of some answers. */
function route(place: Place, examples: readonly Example[], tokenizer: Tokenizer): Routed[] {
  const { base } = load(place);
  const { adapter } = loadAdapter(base, folderOf(place, 'router')) as PeftModel<ReturnType<typeof addRouter>['adapter']>;
  const { length: experts } = place.families;
  return examples.map((example) => {
    const batch = makeBatch([example], tokenizer.padId);
    const sums = Array.from({ length: batch.seqLength }, () => new Float64Array(experts));
    adapter.observer = (_, weights) => weights.forEach((weight, i) => {
      sums[Math.floor(i / experts)]![i % experts]! += weight / adapter.targets.size;
    });
    valuesOf(() => answerLogits(base, batch, inference, false));
    const answer = [...example.tokens.keys()].slice(example.promptLength, -1); // without the end token
    return {
      tokens: answer.map((i) => tokenizer.decode([example.tokens[i]!])),
      weights: answer.map((i) => Array.from(sums[i]!, (weight) => Math.round(weight * 1000) / 1000)),
    };
  });
}
