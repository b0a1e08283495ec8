import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../checkpoint/files.ts';
import { loadInstructions } from '../data/load.ts';
import { textsOf } from '../data/batches.ts';
import type { Example } from '../data/batches.ts';
import { checkTokenizer } from '../data/tokenizer.ts';
import type { Tokenizer } from '../data/tokenizer.ts';
import { readArchitecture } from '../distributed/architecture.ts';
import { recipe } from '../distributed/recipes/project.ts';
import { engines } from '../distributed/recipes/recipe.ts';
import type { RecipeData, RecipeExample } from '../distributed/recipes/recipe.ts';
import { UserError } from '../errors.ts';
import { targetNames } from '../peft/targets.ts';
import { dataOptions, runOptions, targetsOption, withHeldOut } from './flags.ts';
import { leftOut } from './left-out.ts';
import { commandLine, runCommand } from './main.ts';
import { choice, integer, option, optional, text, toggle } from './options.ts';
import type { Idle } from './options.ts';
import { checkOutput } from './output.ts';
import { onScreen } from './screen.ts';
import { findSources } from './sources.ts';

const command = 'npm run recipe';

const project = {
  engine: option('engine', 'MOTOR', engines.join(', '), choice(...engines), 'fsdp'),
  out: option('out', 'DIR', 'carpeta del proyecto, que no exista o esté vacía', text('una carpeta'), 'out/recipe'),
  base: optional('base', 'NOMBRE', 'lo que cargará el motor: nombre del hub, o carpeta en su máquina', text('un modelo'),
    'el de --model: su nombre del hub, o su ruta'),
  method: option('method', 'MÉTODO', 'qlora (base en 4 bits) o lora', choice('qlora', 'lora'), 'qlora'),
};
const machine = {
  nodes: option('nodes', 'N', 'máquinas', integer(1), '1'),
  gpusPerNode: option('gpus', 'N', 'GPU de cada máquina', integer(1), '2'),
  zero: option('zero', 'ETAPA', 'etapa de DeepSpeed: 1, 2 o 3', choice('1', '2', '3'), '3'),
  offload: option('offload', 'DÓNDE', 'none, cpu o nvme', choice('none', 'cpu', 'nvme'), 'none'),
  tensorParallel: option('tensor-parallel', 'N', 'GPU entre las que se parte cada capa (Megatron, NeMo)', integer(1), '1'),
  pipelineParallel: option('pipeline-parallel', 'N', 'etapas en que se parte el modelo (Megatron)', integer(1), '1'),
  cpu: toggle('cpu', 'procesos sin GPU, sobre gloo: para verlo correr en cualquier máquina'),
};
const { backend: _backend, ...demo } = runOptions;
const run = {
  ...demo,
  peft: option('peft', 'TIPO', 'adaptador: lora, rslora o dora', choice('lora', 'rslora', 'dora'), 'lora'),
  targetModules: targetsOption,
};
const table = { ...project, ...machine, ...run };
const idle: readonly Idle<typeof table>[] = [
  [['zero'], ({ engine }) => engine !== 'deepspeed' && 'sin --engine deepspeed'],
  [['quant', 'doubleQuant'], ({ method }) => method === 'lora' && 'con --method lora'],
];

/** `npm run recipe`: the demo's run as a project for an engine that reaches past one machine. */
await runCommand({
  name: command,
  about: 'Escribe el mismo ajuste que haría npm run demo como proyecto completo para otro motor. No entrena.',
  options: table,
  groups: { Proyecto: project, Máquinas: machine, Ajuste: run },
  idle,
}, async (given) => {
  const flags = withHeldOut(given);
  const write = (line: string) => void process.stdout.write(`${line}\n`);
  checkOutput('--out', flags.out);
  if (existsSync(flags.out) && readdirSync(flags.out).length > 0) {
    throw new UserError(`--out: la carpeta «${flags.out}» no está vacía; elige otra o vacíala.`);
  }
  if (flags.quant === 'int4') throw new UserError('--quant int4 no lo conoce bitsandbytes: elige nf4 o fp4.');
  const sources = await onScreen((screen) => findSources(flags, screen));
  const { folder, name, pin } = sources.model;
  const config = readArchitecture(folder);
  const data = await loadInstructions(folder, dataOptions(flags, sources));
  checkTokenizer(data.tokenizer, config.vocabSize);
  const example = ({ tokens, promptLength, record }: Example): RecipeExample => ({
    tokens: [...tokens], promptLength, ...textsOf(record, data.tokenizer, flags.template),
  });
  const train = data.train.map(example);
  const { files, notes } = recipe({
    ...flags,
    base: flags.base ?? (pin ? name : resolve(folder)),
    targetModules: targetNames(config, flags.targetModules, 'una receta las nombra sin número'),
    quantized: flags.method === 'qlora',
    quantType: flags.quant ?? 'nf4',
    zero: Number(flags.zero) as 1 | 2 | 3,
  }, {
    train,
    heldOut: data.heldOut.map(example),
    questions: data.heldOut.map(({ record }) => record),
    padId: data.tokenizer.padId,
    adds: addedTo(train[0]!, data.tokenizer),
  }, { command: commandLine(command, process.argv.slice(2)) });
  for (const [path, contents] of files) writeFileAtomic(join(flags.out, path), contents);
  write(`Proyecto en «${flags.out}»: ${[...files.keys()].join(', ')}.`);
  for (const note of [...notes, ...leftOut(data, flags.maxLength)]) write(`- ${note}`);
  write(`Para entrenar: lee «${join(flags.out, 'README.md')}».`);
});

/** Of the tokens of an example, whether its first and its last are in none of its texts. */
function addedTo({ tokens, promptLength, prompt, answer }: RecipeExample, tokenizer: Tokenizer): RecipeData['adds'] {
  return {
    bos: promptLength > tokenizer.encode(prompt).length,
    eos: tokens.at(-1) === tokenizer.eosId && tokenizer.encode(answer).at(-1) !== tokenizer.eosId,
  };
}
