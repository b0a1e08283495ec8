import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { smallConfig, writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';
import { run as runHere } from './command.ts';

const at = temporaryFolder();
const limit = { timeout: 60_000 };

const run = (program: string, ...args: string[]) => runHere(program, '--model', at('model'), ...args);
/** In a process of its own. */
const start = (program: string, ...args: string[]) =>
  spawnSync(process.execPath, ['--import', './src/start.js', `src/cli/${program}.ts`, '--model', at('model'), ...args], {
    cwd: join(import.meta.dirname, '../..'), encoding: 'utf8',
  });

beforeAll(() => writeSmallModel(at('model')));

describe('npm run recipe', () => {
  it('writes the demo’s run as a project, says what is done otherwise, and never writes over another', limit, async () => {
    const args = ['--engine', 'megatron-bridge', '--out', at('project'), '--examples', '8', '--eval', '4', '--base', 'hub/name'];
    const { stdout, stderr, status } = start('recipe', ...args);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain('Megatron-Bridge no tiene NF4');
    expect(readdirSync(at('project')).sort()).toEqual([
      'README.md', 'convert.py', 'data', 'export.py', 'heldout.json', 'launch.sh', 'megatron.json', 'requirements.txt', 'train.py',
    ]);
    expect(readFileSync(at('project', 'data', 'training.jsonl'), 'utf8').trim().split('\n')).toHaveLength(8);
    expect(JSON.parse(readFileSync(at('project', 'heldout.json'), 'utf8'))).toHaveLength(4);
    expect(JSON.parse(readFileSync(at('project', 'megatron.json'), 'utf8')))
      .toMatchObject({ hf_model: 'hub/name', preprocessing: { add_bos: true, add_eos: true } });

    const again = await run('recipe', ...args);
    expect(again.status).toBe(1);
    expect(again.stderr).toMatch(/^--out: la carpeta «[^\n]+» no está vacía[^\n]+\.\n$/);
  });

  it('asks back, in the engine’s README, as it has trained', limit, async () => {
    await run('recipe', '--out', at('english'), '--examples', '4', '--eval', '2', '--template', 'en', '--max-length', '96');
    expect(readFileSync(at('english', 'README.md'), 'utf8'))
      .toContain('--adapter adapter --held-out heldout.json --template en --max-length 96\n');
  });

  it('gives an engine that takes texts those of the model’s chat, where it has one', limit, async () => {
    writeSmallModel(at('chatting'));
    writeFileSync(at('chatting', 'chat_template.jinja'),
      '{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}');
    await run('recipe', '--model', at('chatting'), '--engine', 'megatron-bridge', '--out', at('chat'), '--examples', '4', '--eval', '2');
    const [first] = readFileSync(at('chat', 'data', 'training.jsonl'), 'utf8').split('\n');
    expect((JSON.parse(first!) as { input: string }).input).toMatch(/^\[user\] .+ \[assistant\] $/s);
    expect(JSON.parse(readFileSync(at('chat', 'megatron.json'), 'utf8'))) // the chat begins as it says, and ends nowhere
      .toMatchObject({ preprocessing: { add_bos: false, add_eos: true } });
  });

  it('says how many records it leaves out', limit, async () => {
    const { stdout } = await run('recipe', '--out', at('short'), '--examples', '8', '--eval', '40', '--max-length', '40');
    expect(stdout).toMatch(/^- Quedan fuera, sin sitio para la respuesta en --max-length 40: 1\d ejemplos\.$/m);
  });

  it('refuses to write into a file', limit, async () => {
    const { stderr, status } = await run('recipe', '--out', 'README.md');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^--out: «[^\n]+README\.md» es un archivo y se esperaba una carpeta[^\n]+\.\n$/);
  });

  it('refuses an option that the engine does not heed', limit, async () => {
    const { stderr, status } = await run('recipe', '--engine', 'fsdp', '--zero', '2');
    expect(status).toBe(1);
    expect(stderr).toBe('--zero no cambia nada sin --engine deepspeed: quítala.\n');
  });

  it('refuses modules of some layers and not of others: recipes name them without number', limit, async () => {
    const { stderr, status } = await run('recipe', '--out', at('none'), '--target-modules', String.raw`.*\.0\..*q_proj`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^--target-modules elige unas capas sí y otras no[^\n]+\.\n$/);
  });
});

it('refuses a tokenizer of more entries than the model has, as npm run evaluate does', limit, async () => {
  writeSmallModel(at('narrow'), { ...smallConfig, vocabSize: 4000 });
  for (const [program, ...args] of [['recipe', '--out', at('none')], ['evaluate', '--backend', 'wasm']] as const) {
    const { stdout, stderr, status } = await run(program, ...args, '--model', at('narrow'));
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toMatch(/^El tokenizador tiene 4096 entradas y el modelo solo 4000[^\n]+\.\n$/);
  }
});

describe('npm run evaluate', () => {
  it('asks a base the held-out questions', limit, () => {
    const { stdout, stderr } = start('evaluate', '--eval', '2', '--json', '--backend', 'wasm');
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ count: 2, exactMatch: 0 });
  });

  it('says how many it leaves out, and in JSON the figures alone', limit, async () => {
    const args = ['--eval', '40', '--max-length', '40', '--backend', 'wasm'];
    const { stdout } = await run('evaluate', ...args);
    expect(stdout).toMatch(/^Quedan fuera, sin sitio para la respuesta en --max-length 40: 13 ejemplos\.\n.* de 27 preguntas\n$/);
    expect(JSON.parse((await run('evaluate', ...args, '--json')).stdout)).toMatchObject({ count: 27 });
  });

  it('has only options that change what is asked, and tells of no training', limit, async () => {
    const { stdout } = await run('evaluate', '--help');
    expect(stdout).not.toMatch(/--examples|da las mismas/);
    expect(stdout).toContain('--seed N ');
  });
});
