import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/model/load.ts';
import { loadLora, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { testBackend } from '../backend.ts';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';
import { run } from './command.ts';

const at = temporaryFolder();

const backend = ['--backend', testBackend('wasm')];
const merge = (...args: string[]) => run('merge', ...backend, ...args);

describe('npm run merge', () => {
  beforeAll(async () => {
    await useBackend(testBackend('cpu'));
    writeSmallModel(at('model'));
    const model = addLora(loadModel(at('model')), { r: 2, useDora: true });
    for (const { values } of model.parameters) values.forEach((value, i) => (values[i] = value + 0.01 * Math.sin(i)));
    saveAdapter(model, at('adapter'), { baseModel: at('model') });
  });

  it('writes the folder, and says onto what, how far it went, and how far the 4 bits are', () => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [
      '--import', './src/start.js', 'src/cli/merge.ts', ...backend,
      '--model', at('model'), '--adapter', at('adapter'), '--output', at('merged'),
    ], { cwd: join(import.meta.dirname, '../..'), encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(existsSync(at('merged', 'model.safetensors'))).toBe(true);
    expect(stdout).toMatch(/^Cambia 14 matrices de la base en BF16: 0,0\d+ de media y 0,\d+ como mucho\.$/m);
    expect(stdout).toMatch(/sus 4 bits \(NF4 con doble cuantización\), esas matrices diferirían 0,00\d+ de media/);
    expect(stdout).toMatch(/^Sus logits .* de media y .* como mucho\.$/m);
    expect(stdout).toMatch(/^Modelo guardado en «.*»: .* en bf16, 1 archivo\.$/m);
  });

  it('merges without a tokenizer, and says that no question could be asked', async () => {
    writeSmallModel(at('mute'));
    rmSync(at('mute', 'tokenizer.json'));
    const { stdout, stderr, status } = await merge('--model', at('mute'), '--adapter', at('adapter'), '--output', at('mute-merged'));
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toMatch(/^No se comparan sus logits en una pregunta\. No existe el archivo «.*tokenizer\.json».*\.$/m);
    expect(stdout).toMatch(/^Modelo guardado en «.*mute-merged»/m);
  });

  it('with --combine makes several adapters one, and leaves the base alone', async () => {
    for (const seed of [1, 2]) {
      const lora = addLora(loadModel(at('model')), { r: 2, seed, targetModules: ['q_proj'] });
      for (const { values } of lora.parameters) values.forEach((_, i) => (values[i] = Math.sin(seed + i)));
      saveAdapter(lora, at(`lora-${seed}`), { baseModel: at('model') });
    }
    const both = ['--model', at('model'), '--adapter', at('lora-1'), '--adapter', at('lora-2')];
    const { stdout, stderr, status } = await merge(...both, '--combine', 'cat', '--weights', '1,-0.5', '--output', at('both'));
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toBe('2 adaptadores en uno, con cat y pesos 1 y -0,5: rango 4 en 2 matrices.\n'
      + `Adaptador guardado en «${at('both')}» (formato PEFT).\n`);
    expect(loadLora(loadModel(at('model')), at('both')).options).toMatchObject({ r: 4, targetModules: ['q_proj'] });
  });

  it.each([
    [['--combine', 'svd', '--adapter', 'absent'], '--adapter'],
    [['--adapter', 'one', '--adapter', 'other'], '--combine'],
    [['--combine', 'svd', '--density', '0.5'], '--density'],
    [['--weights', '1,2'], '--weights no cambia nada sin --combine'],
    [['--combine', 'cat', '--seed', '1'], '--seed no cambia nada con --combine cat'],
    [['--adapter', 'absent', '--output', 'x'], 'adapter_config.json'],
    [['--model', 'absent', '--output', 'x'], '«absent»'],
    [['--shard-size', '5'], '--shard-size espera un tamaño en MB o GB'],
  ])('refuses %j in one sentence', async (args, says) => {
    const { stderr, status } = await merge(...args);
    expect(status).toBe(1);
    expect(stderr).toContain(says);
    expect(stderr).toMatch(/^[^\n]+\.\n$/);
    expect(existsSync('x')).toBe(false);
  });
});
