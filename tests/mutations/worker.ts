import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { UserError } from '../../src/errors.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import { quantizeModel } from '../../src/model/quantize.ts';
import { QuantizedWeight } from '../../src/model/weights.ts';
import { loadAdapter } from '../../src/peft/folder.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { mutateBytes, mutateJson, mutateSafetensors } from './mutate.ts';
import type { Mutated } from './mutate.ts';

/** Damages files of one kind, one after another, opens them, and tells the process that watches what came of it. */

export type Kind = 'weights' | 'configuration' | 'tokenizer' | 'adapter';

export interface Outcome {
  readonly index: number;
  readonly what: string;
  readonly result: 'loaded' | 'refused' | 'failed';
  /** Of a failure: why it is one. */
  readonly why?: string;
  /** Seconds, and bytes that the process has taken so far. */
  readonly seconds: number;
  readonly peak: number;
}

const golden = join(import.meta.dirname, '../golden');
const work = mkdtempSync(join(tmpdir(), 'mutations-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));

/** A folder that can be opened, and what is read from it, as a fingerprint. */
interface Subject {
  readonly folder: string;
  readonly read: (folder: string) => string;
}

function fingerprint(parts: Iterable<string | Uint8Array>): string {
  const hash = createHash('sha1');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function* contentsOf(model: LlamaModel): Generator<string | Uint8Array> {
  for (const [name, weight] of model.weights) {
    yield `${name} ${weight.shape.join('×')}`;
    const values = weight instanceof QuantizedWeight ? weight.quantized.packed : weight.tensor().dataSync<'float32'>();
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
}

function readModel(folder: string): string {
  const model = loadModel(folder, { loadIn4bit: true });
  const print = fingerprint(contentsOf(model));
  model.dispose();
  return print;
}

function readTokenizer(folder: string): string {
  const tokenizer = loadTokenizer(folder);
  const text = `¿Cuánto son 12345 y ${'a'.repeat(40)}! ñandú 😀\n\n  </s> <|eot_id|> ${'x '.repeat(20)}`;
  const ids = tokenizer.encode(text);
  return fingerprint([ids.join(' '), tokenizer.decode(ids), JSON.stringify(tokenizer.chat?.exchange('a', 'b') ?? null)]);
}

let base: LlamaModel | undefined;

function readAdapter(folder: string): string {
  base ??= loadModel(join(golden, 'adapters/base'));
  try {
    const { parameters } = loadAdapter(base, folder);
    const print = fingerprint(parameters.flatMap(({ name, values }) =>
      [name, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]));
    for (const parameter of parameters) parameter.dispose();
    return print;
  } finally {
    base.adapter = undefined;
  }
}

function subjectsOf(kind: Kind): Subject[] {
  const under = (path: string, names: string[]) => names.map((name) => join(golden, path, name));
  const of = (folders: string[], read: Subject['read']) => folders.map((folder) => ({ folder, read }));
  switch (kind) {
    case 'tokenizer': return of(under('tokenizers', ['llama2', 'llama3', 'qwen', 'smollm2', 'zephyr']), readTokenizer);
    case 'adapter': return of(under('adapters', ['lora', 'dora', 'layers', 'patterns', 'regex', 'saved']), readAdapter);
    default: {
      const source = join(golden, 'adapters/base');
      const [single, sharded, plain] = ['single', 'sharded', 'plain'].map((name) => join(work, name));
      const options = { quantType: 'nf4', doubleQuant: true, shardBytes: 5e9 } as const;
      for (const _ of quantizeModel(source, single!, options));
      for (const _ of quantizeModel(source, sharded!, { ...options, shardBytes: 10_000 }));
      for (const _ of quantizeModel(source, plain!, { ...options, quantType: 'fp4', doubleQuant: false, blockSize: 128 }));
      const families = under('families', ['llama2', 'llama3', 'mistral', 'qwen2', 'qwen3', 'biased', 'linear', 'dynamic']);
      return of([single!, sharded!, sharded!, plain!, source, ...families], readModel);
    }
  }
}

/** The files of a folder that this kind is about. */
function targetsOf(kind: Kind, folder: string): string[] {
  const files = readdirSync(folder).filter((file) => !file.startsWith('reference'));
  switch (kind) {
    case 'weights': return files.filter((file) => file.endsWith('.safetensors'));
    case 'configuration': return files.filter((file) => file.endsWith('.json'));
    default: return files.filter((file) => /\.(json|jinja|safetensors)$/.test(file));
  }
}

function mutate(file: string, bytes: Buffer, random: Random): Mutated {
  if (file.endsWith('.safetensors')) return mutateSafetensors(bytes, random);
  if (file.endsWith('.json') && random.below(5) > 0) return mutateJson(bytes.toString(), random);
  return mutateBytes(bytes, random);
}

const MiB = 2 ** 20;

async function run(kind: Kind, seed: number, from: number, to: number): Promise<void> {
  await useBackend('cpu');
  const subjects = subjectsOf(kind).map(({ folder, read }, i) => {
    const copy = join(work, `copy-${i}`);
    cpSync(folder, copy, { recursive: true });
    return { folder: copy, read, print: read(copy), files: targetsOf(kind, copy) };
  });
  for (let index = from; index < to; index++) {
    const random = Random.for(seed, kind, index);
    const { folder, read, print, files } = random.pick(subjects);
    const file = random.pick(files);
    const whole = readFileSync(join(folder, file));
    const { bytes, what, harmless = false } = mutate(file, whole, random);
    process.send!({ index, what: `${file} of ${folder.slice(-6)}: ${what}` });
    writeFileSync(join(folder, file), bytes);
    const tensors = tf.memory().numTensors;
    const [started, before] = [performance.now(), process.memoryUsage().rss];
    let why: string | undefined;
    let result: Outcome['result'] = 'loaded';
    try {
      const now = read(folder);
      if ((harmless || bytes.equals(whole)) && now !== print) why = 'read as something else';
    } catch (error) {
      result = 'refused';
      why = harmless ? `refused, and it is sound: ${String(error)}` : flawOf(error, folder);
    }
    const seconds = (performance.now() - started) / 1000;
    const growth = process.memoryUsage().rss - before;
    if (growth > 256 * MiB) why ??= `took ${Math.round(growth / MiB)} MiB`;
    if (result === 'loaded' && tf.memory().numTensors > tensors) why ??= 'left tensors behind';
    writeFileSync(join(folder, file), whole);
    const outcome: Outcome = {
      index, what: `${file} of ${folder}: ${what}`, seconds, peak: process.resourceUsage().maxRSS * 1024,
      ...(why === undefined ? { result } : { result: 'failed', why }),
    };
    process.send!(outcome);
  }
}

/** What is wrong with a refusal: it is to be one sentence, short, which names a file of the folder. */
function flawOf(error: unknown, folder: string): string | undefined {
  if (!(error instanceof UserError)) return error instanceof Error ? error.stack : String(error);
  const { message } = error;
  if (!/^[^\p{Cc}]+\.$/u.test(message)) return `no single sentence: ${JSON.stringify(message)}`;
  if (!message.includes(folder)) return `names no file: ${message}`;
  if (message.length > 1200) return `${message.length} characters long: ${message.slice(0, 300)}…`;
  return undefined;
}

const [kind, seed, from, to] = process.argv.slice(2);
await run(kind as Kind, Number(seed), Number(from), Number(to));
process.disconnect();
