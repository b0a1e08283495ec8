import type { PromptTemplate } from '../../data/prompt.ts';
import type { OptimizerName } from '../../train/adamw.ts';

/** The engines that a recipe can be written for. */
export const engines = ['trl', 'fsdp', 'fsdp2', 'deepspeed', 'megatron-bridge', 'nemo'] as const;
export type Engine = (typeof engines)[number];

/** One fine-tuning run, as `npm run demo` would do it here, for an engine elsewhere. */
export interface RecipeOptions {
  readonly engine: Engine;
  /** What the engine loads: a hub name, or a folder on its machine. */
  readonly base: string;
  /** Whether the frozen base is asked for in 4 bits. */
  readonly quantized: boolean;
  readonly quantType: 'nf4' | 'fp4';
  readonly doubleQuant: boolean;
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly peft: 'lora' | 'rslora' | 'dora';
  /** The last parts of the linear layers' names, the same in every block. */
  readonly targetModules: readonly string[];
  readonly epochs: number;
  /** Examples of a micro-batch on one GPU. */
  readonly batchSize: number;
  readonly accumulation: number;
  readonly learningRate: number;
  /** Share of all steps in which the learning rate climbs. */
  readonly warmup: number;
  readonly schedule: 'constant' | 'cosine';
  readonly optimizer: OptimizerName;
  readonly weightDecay: number;
  readonly clip: number;
  readonly seed: number;
  /** Of the prompts, where the model has no chat of its own. */
  readonly template: PromptTemplate;
  readonly maxLength: number;
  readonly checkpointing: boolean;
  readonly nodes: number;
  /** Processes of a node, each with its GPU. */
  readonly gpusPerNode: number;
  /** Stage of DeepSpeed. */
  readonly zero: 1 | 2 | 3;
  readonly offload: 'none' | 'cpu' | 'nvme';
  readonly tensorParallel: number;
  readonly pipelineParallel: number;
  /** Without cards: processes over gloo, to see it run. */
  readonly cpu: boolean;
}

/** What a recipe is made from, and what it comes to. */
export interface RecipeData {
  /** Token ids of each example, and how many of them come before the answer. */
  readonly train: readonly RecipeExample[];
  readonly heldOut: readonly RecipeExample[];
  /** Alpaca records of the examination, asked here once the adapter is back. */
  readonly questions: readonly object[];
  readonly padId: number;
  /** Whether an example's tokens begin, and end, by one of the tokenizer's that is not in its texts. */
  readonly adds: { readonly bos: boolean; readonly eos: boolean };
}

export interface RecipeExample {
  readonly tokens: readonly number[];
  readonly promptLength: number;
  readonly prompt: string;
  readonly answer: string;
}

export interface Recipe {
  /** The files of the project, by their paths in it. */
  readonly files: ReadonlyMap<string, string>;
  /** Spanish sentences: what the engine does not do, or does otherwise. */
  readonly notes: readonly string[];
}

/** What each engine adds to the files that all of them have. */
export interface EngineFiles {
  readonly files: Readonly<Record<string, string>>;
  readonly requirements: readonly string[];
  /** The command of one node, and of each of several under SLURM. */
  readonly launch: string;
  readonly launchSlurm: string;
  /** Spanish: the PEFT folder that training leaves, and how to get it where it is not left at once. */
  readonly adapter: { readonly folder: string; readonly how: readonly string[] };
  readonly notes: readonly string[];
}

export const processes = ({ nodes, gpusPerNode }: RecipeOptions): number => nodes * gpusPerNode;
