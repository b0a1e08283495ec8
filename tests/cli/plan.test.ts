import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planDefaults } from '../../src/distributed/planner.ts';
import type { PlanOptions } from '../../src/distributed/planner.ts';
import { commandOf } from '../../src/distributed/words.ts';
import { run } from './command.ts';

const plan = (...args: string[]) => run('plan', ...args);
const limit = { timeout: 60_000 };

describe('npm run plan', () => {
  it('asks by the command of a choice what was chosen', limit, () => {
    const options: PlanOptions = {
      ...planDefaults, method: 'lora', r: 8, targetModules: ['q_proj', 'v_proj'], gpus: 8, tensorParallel: 2, accumulation: 4,
      optimizer: 'paged-adamw-8bit', checkpointing: 'sqrt',
    };
    const command = commandOf({ model: 'mistralai/Mistral-7B-v0.1', gpuMemory: 80, options });
    const { stdout } = spawnSync(process.execPath, [
      '--import', './src/start.js', 'src/cli/plan.ts', ...command.replace('npm run plan -- ', '').split(' '), '--json',
    ], { cwd: join(import.meta.dirname, '../..'), encoding: 'utf8' });
    expect(JSON.parse(stdout)).toMatchObject({ model: 'mistralai/Mistral-7B-v0.1', capacity: 80 * 2 ** 30, options });
  });

  it('says what does not fit, what to change and what comes of it', limit, async () => {
    const { stdout, stderr, status } = await plan(
      '--model', 'meta-llama/Llama-2-7b-hf', '--gpus', '2', '--gpu-memory', '24', '--method', 'lora', '--checkpointing', 'none');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain('39 976 960'.replaceAll(' ', '\u202f'));
    expect(stdout).toMatch(/No cabe: faltan [\d,]+ GiB en cada GPU\. Qué cambiar, por orden:\n/);
    expect(stdout).toMatch(/1\. --checkpointing full.* → [\d,]+ GiB\nAsí cabe/);
    expect(stdout).toContain('ZeRO-1 ahorra');
    expect(stdout).toMatch(/reparten la base, 6,57 GiB \(50\s%\)/); // of two, each keeps half of all states
  });

  it('says what stays free where it fits, and to change nothing', limit, async () => {
    const { stdout } = await plan('--model', 'meta-llama/Llama-2-7b-hf', '--gpu-memory', '24');
    expect(stdout).toMatch(/\nCabe: quedan [\d,]+ GiB libres en cada GPU\.\n$/);
  });

  it('takes modules as PEFT does: a regular expression, which has to choose the same of every block', limit, async () => {
    const { stdout } = await plan('--target-modules', String.raw`.*self_attn\.(q|v)_proj`, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ options: { targetModules: ['q_proj', 'v_proj'] }, trained: 8_388_608 });
    const { status, stderr } = await plan('--target-modules', String.raw`.*\.0\..*q_proj`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^--target-modules elige unas capas sí y otras no, y un plan [^\n]+\.\n$/);
  });

  it('refuses in one sentence what cannot be', limit, async () => {
    const { stdout, stderr, status } = await plan('--offload', 'cpu');
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^--offload [^\n]+\.\n$/);
  });
});
