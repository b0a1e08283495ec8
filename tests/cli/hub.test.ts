import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRun } from '../../src/runs/store.ts';
import { testBackend } from '../backend.ts';
import { HubServer } from '../checkpoint/hub-server.ts';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';

const root = join(import.meta.dirname, '../..');
const at = temporaryFolder();
const hub = new HubServer();
const limit = { timeout: 120_000 };
let commits: string[] = [];

beforeAll(async () => {
  await hub.open();
  writeSmallModel(at('model'));
  const files = readdirSync(at('model')).map((name) => [name, readFileSync(at('model', name))] as const);
  const words = 'alto bajo gordo flaco largo corto ancho fino viejo nuevo limpio sucio'.split(' ');
  const lines = words.map((word) => JSON.stringify({ instruction: `Repite ${word}.`, output: `Es ${word}.` }));
  commits = [
    hub.add('models/org/tiny', { ...Object.fromEntries(files), 'pytorch_model.bin': 'x' }).commit,
    hub.add('datasets/org/words', { 'train.jsonl': lines.join('\n') }).commit,
  ];
});
afterAll(() => hub.close());

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The demo itself, with a Hugging Face home of its own; after shell commands that set the scene. */
function demo(args: string[], env: Record<string, string> = {}, shell = ''): Promise<Outcome> {
  const command = ['--import', './src/start.js', 'src/cli/demo.ts', '--r', '2', '--backend', testBackend('wasm'), ...args];
  const options = {
    cwd: root,
    env: {
      ...process.env, HF_HOME: at('home'), HF_HUB_CACHE: '', HF_ENDPOINT: hub.url, HF_TOKEN: '', HF_HUB_OFFLINE: '', ...env,
    },
  };
  const child = shell === ''
    ? spawn(process.execPath, command, options)
    : spawn('bash', ['-c', `${shell}; exec "$0" "$@"`, process.execPath, ...command], options);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (bytes) => (stdout += String(bytes)));
  child.stderr.on('data', (bytes) => (stderr += String(bytes)));
  return new Promise((done) => child.on('close', (code) => done({ code, stdout, stderr })));
}

const fromHub = ['--model', 'org/tiny', '--data', 'org/words', '--examples', '4', '--eval', '2', '--batch-size', '2'];

describe('npm run demo with names of the hub', () => {
  it('downloads, trains, and pins in the record what it used', limit, async () => {
    const { code, stdout, stderr } = await demo([...fromHub, '--output', at('out')]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Descarga «org\/tiny» \(commit [0-9a-f]{10}\): 4 archivos, \d/);
    expect(stdout).toMatch(/\n {2}4\/4 model\.safetensors · [\d.,]+ KiB de [\d.,]+ KiB · .*\/s\n/);
    expect(stdout).toContain('Descarga «org/words»');
    expect(stdout).not.toMatch(/[^\P{Cc}\n]/u); // no terminal, no control characters
    const { provenance } = readRun('run', at('out'))!;
    expect(provenance.sources).toEqual([
      { kind: 'model', name: 'org/tiny', revision: commits[0] }, { kind: 'dataset', name: 'org/words', revision: commits[1] },
    ]);
    expect(provenance.inputs).toEqual([]);
    const adapter = JSON.parse(readFileSync(at('out', 'adapter', 'adapter_config.json'), 'utf8')) as object;
    expect(adapter).toMatchObject({ base_model_name_or_path: 'org/tiny' });
    expect(hub.takeServed().map(({ path }) => path)).not.toContain('pytorch_model.bin');
  });

  it('runs again from the cache alone', limit, async () => {
    const { code, stdout, stderr } = await demo([...fromHub, '--output', at('again')], { HF_HUB_OFFLINE: '1' });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain('Descarga');
    expect(hub.asked).toEqual([]);
  });

  it('that are not there is refused in one sentence, and nothing is written', limit, async () => {
    const { code, stderr } = await demo(['--model', 'org/absent', '--output', at('absent')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^No existe el modelo «org\/absent» [^\n]+\.\n$/);
    expect(existsSync(at('absent'))).toBe(false);
  });

  it.skipIf(process.platform === 'win32')('on a disk that fills up says so [Windows has no ulimit]', limit, async () => {
    hub.trouble('model.safetensors', { stallAfter: 300_000 }); // it does not wait for the rest to end
    const { stderr } = await demo([...fromHub, '--output', at('unwritten')], { HF_HOME: at('full') }, 'trap "" XFSZ; ulimit -f 8');
    expect(stderr).toMatch(/^No queda espacio en el disco para descargar «[^\n]+\.\n$/);
    expect(stderr).toContain(at('full'));
  });
});

describe('npm run demo without them', () => {
  it('asks nobody anything', limit, async () => {
    hub.takeServed();
    const few = ['--examples', '2', '--eval', '1', '--batch-size', '2', '--output', at('embedded')];
    const { code, stdout } = await demo(few, { HF_HOME: at('unused') });
    expect(code).toBe(0);
    expect(stdout).not.toContain('Descarga');
    expect(hub.asked).toEqual([]);
    expect(existsSync(at('unused'))).toBe(false);
  });
});
