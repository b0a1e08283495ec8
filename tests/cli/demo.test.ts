import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { quantizeModel } from '../../src/model/quantize.ts';
import { runEvent } from '../../src/runs/events.ts';
import { readRun } from '../../src/runs/store.ts';
import { testBackend } from '../backend.ts';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';
import { run as runHere } from './command.ts';

const root = join(import.meta.dirname, '../..');
const at = temporaryFolder();
const limit = { timeout: 120_000 };

beforeAll(() => {
  writeSmallModel(at('model'));
  const words = 'alto bajo gordo flaco largo corto ancho fino viejo nuevo limpio sucio'.split(' ');
  const records = words.map((word) => ({ instruction: `Repite la palabra ${word}.`, output: `La palabra es ${word}.` }));
  writeFileSync(at('data.json'), JSON.stringify(records));
});

interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

interface Around {
  /** Hears each line of the output, and may interrupt the run or read no more of it. */
  onLine?: (line: string, interrupt: (signal?: NodeJS.Signals) => void, hangUp: () => void) => void;
  /** Shell commands that set the scene. */
  shell?: string;
}

/** On the small model: 8 examples by 2 are 4 steps an epoch. */
const small = () => ['--model', at('model'), '--data', at('data.json'),
  '--examples', '8', '--eval', '4', '--batch-size', '2', '--r', '4', '--backend', testBackend('wasm')];

/** The command on the small model. */
const demo = (args: string[], around?: Around): Promise<Outcome> => run([...small(), ...args], around);

/** The command itself. */
function run(args: string[], { onLine, shell }: Around = {}): Promise<Outcome> {
  const command = ['--import', './src/start.js', 'src/cli/demo.ts', ...args];
  const child = shell === undefined
    ? spawn(process.execPath, command, { cwd: root })
    : spawn('bash', ['-c', `${shell}; exec "$0" "$@"`, process.execPath, ...command], { cwd: root });
  const outcome = { stdout: '', stderr: '' };
  let pending = '';
  child.stdout.on('data', (bytes: Buffer) => {
    outcome.stdout += String(bytes);
    const lines = (pending + String(bytes)).split('\n');
    pending = lines.pop()!;
    for (const line of lines) onLine?.(line, (signal = 'SIGINT') => child.kill(signal), () => child.stdout.destroy());
  });
  child.stderr.on('data', (bytes: Buffer) => (outcome.stderr += String(bytes)));
  return new Promise((done) => child.on('close', (code, signal) => done({ ...outcome, code, signal })));
}

function lossesOf(run: string): number[] {
  return readRun('run', run)!.events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
}

/** Names in a folder and below, to see that nothing half-written is left. */
const filesIn = (folder: string) =>
  (existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : [])
    .filter((entry) => entry.isFile()).map(({ name }) => name).sort();

const adapterFiles = ['README.md', 'adapter_config.json', 'adapter_model.safetensors'];

describe('npm run demo', () => {
  const whole = ['--epochs', '2'];

  it('goes through the four steps and leaves adapter, checkpoint and measures', limit, async () => {
    const forSlides = join(root, 'assets/runs/qlora.json');
    const written = () => (existsSync(forSlides) ? statSync(forSlides).mtimeMs : 0);
    const before = written();
    const { code, stdout, stderr } = await demo([...whole, '--output', at('whole')]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const title of ['1/4', '2/4', '3/4', '4/4']) expect(stdout).toContain(`\n${title} · `);
    expect(stdout).toMatch(/trainable params: [\d,]+ \|\| all params: [\d,]+ \|\| trainable%: \d+\.\d{4}\n/);
    expect(stdout).toMatch(/bits por parámetro/);
    expect(stdout).toMatch(/\n +antes +después\n/);
    expect(stdout).not.toMatch(/[^\P{Cc}\n]/u); // no terminal, no control characters
    expect(filesIn(at('whole'))).toEqual([...adapterFiles, 'checkpoint.safetensors', 'run.json']);
    const record = readRun('run', at('whole'))!;
    expect(record.command).toMatch(/^npm run demo -- .*--epochs 2/);
    expect(record.provenance.inputs.map(({ path }) => path)).toEqual([
      at('model', 'config.json'), at('model', 'model.safetensors'), at('model', 'tokenizer.json'),
      at('model', 'tokenizer_config.json'), at('data.json'),
    ]);
    expect(written()).toBe(before); // only with --record
  });

  it('with --json writes events, one a line; interrupted it saves, and --resume goes on as if it had not', limit, async () => {
    const interrupted = await demo([...whole, '--json', '--output', at('resumed')], {
      onLine: (line, interrupt) => {
        const event = runEvent.parse(JSON.parse(line));
        if (event.type === 'step' && event.step === 3) interrupt();
      },
    });
    expect(interrupted.code).toBe(1);
    expect(interrupted.stderr).toBe(
      `Guardado en «${at('resumed')}». Para seguir donde quedó: repite la orden con --resume.\n`);
    const events = interrupted.stdout.trimEnd().split('\n').map((line) => runEvent.parse(JSON.parse(line)));
    expect(events.findLast(({ type }) => type !== 'text')).toMatchObject({ type: 'done', stopped: 'interrupted' });
    expect(events.filter(({ type }) => type === 'step').length).toBeLessThan(8);
    expect(filesIn(at('resumed'))).toEqual([...adapterFiles, 'checkpoint.safetensors']);

    const resumed = await demo([...whole, '--resume', '--output', at('resumed')]);
    expect(resumed.stderr).toBe('');
    expect(resumed.code).toBe(0);
    expect(resumed.stdout).toMatch(/Sigue desde el paso \d/);
    expect(lossesOf(at('resumed'))).toEqual(lossesOf(at('whole')));
    const adapter = (run: string) => readFileSync(at(run, 'adapter', 'adapter_model.safetensors'));
    expect(adapter('resumed').equals(adapter('whole'))).toBe(true);
  });

  it('with --peft router trains first the adapters that it chooses among; interrupted, --resume goes on', limit, async () => {
    const router = ['--data', 'assets/data/alpaca_es.json', '--peft', 'router', '--experts', '2', '--examples', '16'];
    const whole = await demo([...router, '--output', at('router')]);
    expect(whole.stderr).toBe('');
    expect(whole.stdout).toMatch(/\nAntes · Entrena los 2 adaptadores .*\n1\/2 · .*\n2\/2 · /);
    for (const i of ['1', '2']) expect(filesIn(at('router', 'especialistas', i, 'adapter'))).toEqual(adapterFiles);
    expect(lossesOf(at('router'))).toHaveLength(8);

    const interrupted = await demo([...router, '--output', at('router-again')], {
      onLine: (line, interrupt) => void (line.startsWith('1/2 · ') && interrupt()),
    });
    expect(interrupted.stderr).toContain('repite la orden con --resume');
    const resumed = await demo([...router, '--resume', '--output', at('router-again')]);
    expect(resumed.stderr).toBe('');
    expect(lossesOf(at('router-again'))).toEqual(lossesOf(at('router')));
  });

  it('takes a base that is in 4 bits as it is, and says so', limit, async () => {
    for (const _ of quantizeModel(at('model'), at('fp4'), { quantType: 'fp4', doubleQuant: false, shardBytes: 1e9 }));
    const { stdout, stderr } = await demo(['--model', at('fp4'), '--output', at('from-fp4')]);
    expect(stderr).toBe('');
    expect(stdout).toContain('Matrices cuantizadas a FP4: ');
    expect(readRun('run', at('from-fp4'))!.parameters).toMatchObject({ quant: 'fp4', doubleQuant: false });
    const other = await demo(['--model', at('fp4'), '--quant', 'nf4', '--output', at('from-fp4')]);
    expect(other.stderr).toBe(`--quant nf4: «${at('fp4')}» ya está en FP4; quítala, o da la base en 16 bits.\n`);
  });

  it('saves as on Ctrl-C when the terminal closes, which may be told twice', limit, async () => {
    const { signal, stderr } = await demo([...whole, '--output', at('hung-up')], {
      onLine: (line, interrupt) => {
        if (!line.startsWith('  paso 1/')) return;
        interrupt('SIGHUP');
        interrupt('SIGHUP');
      },
    });
    expect(stderr).toContain('repite la orden con --resume');
    expect(signal).toBe('SIGHUP');
    expect(filesIn(at('hung-up'))).toEqual([...adapterFiles, 'checkpoint.safetensors']);
  });

  it('saves as on Ctrl-C when nobody reads on; with --replay it ends in silence', limit, async () => {
    const unread = await demo([...whole, '--json', '--output', at('unread')], {
      onLine: (line, _interrupt, hangUp) => void (line.includes('"type":"step"') && hangUp()),
    });
    expect(unread.stderr).toContain('repite la orden con --resume');
    expect(unread.code).toBe(1);
    expect(filesIn(at('unread'))).toEqual([...adapterFiles, 'checkpoint.safetensors']);
    const replayed = await run(['--replay', '--json', '--speed', '1000'], { onLine: (_line, _interrupt, hangUp) => hangUp() });
    expect(replayed).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  it('says what it takes the place of; interrupted before its first step, it leaves that', limit, async () => {
    const file = at('hung-up', 'checkpoint.safetensors');
    const before = readFileSync(file);
    const { code, stdout, stderr } = await demo(['--epochs', '1', '--output', at('hung-up')], {
      onLine: (line, interrupt) => void (line.startsWith('2/4') && interrupt()),
    });
    expect(stdout).toMatch(new RegExp(`^Hay un punto de control en el paso \\d de «${at('hung-up')}»: --resume sigue`, 'm'));
    expect(stderr).toBe(
      `Interrumpido antes del primer paso: no se ha guardado nada, y en «${at('hung-up')}» queda lo que había.\n`);
    expect(code).toBe(1);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it('with --replay tells the recorded run again, with no computing', limit, async () => {
    const { status, stdout, stderr } = await runHere('demo', '--replay', '--speed', '1000');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^QLoRA en Alpaca, grabado el \d+ \S+ \d{4}, en .+ \(\d+ núcleos\)\n/);
    const steps = readRun('qlora')!.events.filter(({ type }) => type === 'step').length;
    expect(stdout).toContain(`paso ${steps}/${steps}`);
    expect(stdout).toMatch(/\n +antes +después\n/);
    expect(stdout).not.toContain('guardado en «'); // that was then
  });

  it('with --help tells its options, and does nothing, whatever else is said', limit, async () => {
    const { status, stdout } = await runHere('demo', ...small(), '--ranks', '--help', '--output', at('helped'));
    expect(status).toBe(0);
    expect(stdout).toContain('Uso: npm run demo -- [opciones]');
    expect(existsSync(at('helped'))).toBe(false);
  });
});

describe('a run that cannot go on says so in one sentence, exits with 1 and leaves nothing half-written:', () => {
  function sentence(code: number | null, stderr: string, output: string): string {
    expect(code).toBe(1);
    expect(stderr).toMatch(/^[^\n]+\.\n$/);
    expect(filesIn(output).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    return stderr;
  }
  async function refusal(args: string[], output: string, options?: Parameters<typeof demo>[1]): Promise<string> {
    const { code, stderr } = await demo([...args, '--output', output], options);
    return sentence(code, stderr, output);
  }
  /** Of what is refused before the output is taken, which is this process's to its end then. */
  async function earlyRefusal(args: string[], output: string): Promise<string> {
    const { status, stderr } = await runHere('demo', ...small(), ...args, '--output', output);
    expect(filesIn(output).filter((name) => name.startsWith('.lock'))).toEqual([]);
    return sentence(status, stderr, output);
  }

  it('a mistaken option', limit, async () => {
    expect(await earlyRefusal(['--r', '0'], at('option'))).toContain('La opción --r espera un entero de 1 o más');
    expect(existsSync(at('option'))).toBe(false);
  });

  it('a truncated model', limit, async () => {
    writeSmallModel(at('cut'));
    const file = at('cut', 'model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -100));
    expect(await refusal(['--model', at('cut')], at('truncated'))).toContain(`«${file}»`);
    expect(existsSync(at('truncated'))).toBe(false);
  });

  it('a loss that is no number: the last good adapter is kept', limit, async () => {
    const message = await refusal(['--learning-rate', '1e30', '--warmup', '0'], at('nan'));
    expect(message).toContain('La pérdida dejó de ser un número');
    expect(message).toContain('--learning-rate');
    expect(filesIn(at('nan'))).toEqual(adapterFiles);
    const adapter = readSafetensors(at('nan', 'adapter', 'adapter_model.safetensors'));
    for (const name of adapter.names()) {
      expect(adapter.float32(name).every((value) => Math.abs(value) < 10), name).toBe(true);
    }
  });

  it.skipIf(process.platform === 'win32')('a disk that fills up [Windows has no ulimit]', limit, async () => {
    const message = await refusal([], at('full'), { shell: 'trap "" XFSZ; ulimit -f 8' });
    expect(message).toContain('No queda espacio en el disco');
    expect(message).toContain(at('full'));
    expect(filesIn(at('full'))).toEqual([]);
  });

  it('an output that is a file', limit, async () => {
    writeFileSync(at('file'), 'kept');
    expect(await earlyRefusal([], at('file', 'run'))).toContain(`«${at('file')}» es un archivo`);
    expect(readFileSync(at('file'), 'utf8')).toBe('kept');
  });

  it('an output that another run writes into', limit, async () => {
    mkdirSync(at('taken'));
    writeFileSync(at('taken', `.lock-${process.pid}`), '');
    expect(await refusal([], at('taken'))).toContain(`escribe otra ejecución, el proceso ${process.pid};`);
    expect(filesIn(at('taken'))).toEqual([`.lock-${process.pid}`]);
  });

  it('nothing to resume, before the model is looked for', limit, async () => {
    expect(await earlyRefusal(['--resume', '--model', at('absent')], at('none'))).toContain('no hay ningún punto de control');
  });

  it('nothing to resume: an adapter that was there stays as it was', limit, async () => {
    const adapter = at('whole', 'adapter', 'adapter_model.safetensors');
    const before = readFileSync(adapter);
    const message = await refusal(['--epochs', '3', '--resume'], at('whole'));
    expect(message).toContain('--epochs: 2 → 3');
    expect(readFileSync(adapter).equals(before)).toBe(true);
  });

  it('nothing to resume, of data that have changed under their name', limit, async () => {
    const data = readFileSync(at('data.json'), 'utf8');
    writeFileSync(at('changed.json'), data);
    await demo(['--data', at('changed.json'), '--output', at('changed')]);
    writeFileSync(at('changed.json'), data.replace('alto', 'bajo'));
    const message = await refusal(['--data', at('changed.json'), '--resume'], at('changed'));
    const name = `${at('changed.json')} \\([0-9a-f]{12}\\)`;
    expect(message).toMatch(new RegExp(`\\(--data: ${name} → ${name}\\); vuelve a ellos`));
  });
});
