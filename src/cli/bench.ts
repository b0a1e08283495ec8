import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { formatBytes, formatCount, formatDuration, formatNumber, formatPercent } from '../format.ts';
import { output } from '../native/tools.ts';
import { shapes, syntheticFolder, writeSyntheticModel } from '../model/synthetic.ts';
import type { Shape } from '../model/synthetic.ts';
import { Recorder } from '../runs/recorder.ts';
import { runsFolder, writeRun } from '../runs/store.ts';
import { useBackend } from '../tensor/backend.ts';
import type { BackendName } from '../tensor/backend.ts';
import { hasBfloat16 } from '../tensor/bfloat16.ts';
import { kernelBench } from '../tensor/bench.ts';
import { productSpeeds } from '../tensor/webgpu/bench.ts';
import type { Measured, MeasureOptions } from '../train/measure.ts';
import { findGpu, gpuRows, gpuShapes, gpuTable, productShapes, productTable, unmeasured } from './bench-gpu.ts';
import type { ProductRow } from './bench-gpu.ts';
import { backendOption } from './flags.ts';
import { commandLine, explain, runCommand } from './main.ts';
import { option, optional, text, toggle } from './options.ts';
import { checkOutput } from './output.ts';
import { createScreen } from './screen.ts';
import type { Screen } from './screen.ts';

const command = 'npm run bench';

const table = {
  backend: backendOption,
  python: optional('python', 'RUTA', 'Python con torch, transformers y peft, que hace los mismos pasos al lado', text('una ruta')),
  speed: toggle('speed', 'tokens por segundo y memoria, en las formas de SmolLM2-135M y TinyLlama-1.1B'),
  cost: toggle('cost', 'tiempo y memoria según la longitud, las capas, el lote y el rango'),
  kernels: toggle('kernels', 'nuestros productos en 4 bits junto a los del backend wasm: pide --backend wasm'),
  leak: toggle('leak', '300 pasos: tensores vivos y memoria del proceso'),
  demo: toggle('demo', 'lo que tarda npm run demo entero'),
  sevenB: toggle('7b', 'un 7B sintético (13,5 GB en el disco): cargarlo en 4 bits, tres pasos y guardar'),
  gpu: toggle('gpu', 'en la GPU, por webgpu: las formas de 135M, 1,1B y 7B con 512 tokens, sus núcleos y su memoria'),
  folder: option('folder', 'DIR', 'dónde se escriben los modelos sintéticos', text('una carpeta'), 'out/bench'),
  record: toggle('record', 'guarda las medidas para las diapositivas, en assets/runs/bench.json, o con --gpu en bench-gpu.json'),
};

/** The peer's type: where the processor does not multiply in bfloat16, PyTorch emulates it, ten times as slow. */
const peerType = () => (hasBfloat16() ? 'bfloat16' : 'float32');

const peerMeasure = z.object({
  tokensPerSecond: z.number(), peakResident: z.number(), peakDevice: z.number().nullable(), mode: z.string(),
  versions: z.string(),
});

class Bench {
  constructor(
    readonly backend: BackendName, private readonly folder: string, private readonly python: string | undefined,
    private readonly screen: Screen,
  ) {}

  /** Ours, and the peer's right after it where there is one. */
  speed() {
    const { screen } = this;
    screen.line(`\nUn paso en «${this.backend}»: 256 tokens, r = 16 en todas las capas lineales, recomputando`);
    const rows = (['SmolLM2-135M', 'TinyLlama-1.1B'] as const).map((name) => {
      const run = { sequence: 256, batch: 1, r: 16, steps: 5 };
      const ours = this.measure(shapes[name], run);
      const peer = this.python === undefined ? null : this.peer(shapes[name], run);
      return { name, tokensPerSecond: ours.tokensPerSecond, peakResident: ours.train.peakResident, peer };
    });
    screen.table([
      ['', 'tokens/s', 'pico de memoria', ...(this.python ? [`PEFT ${peerType()}`, 'su pico', 'veces'] : [])],
      ...rows.map(({ name, tokensPerSecond, peakResident, peer }) => [
        name, formatNumber(tokensPerSecond), formatBytes(peakResident),
        ...(peer ? [
          formatNumber(peer.tokensPerSecond), formatBytes(peer.peakResident),
          formatNumber(tokensPerSecond / peer.tokensPerSecond, 2),
        ] : []),
      ]),
    ]);
    return rows;
  }

  /** One thing at a time, from the same middle: ten layers of SmolLM2-135M's, a sequence of 128, one, rank 16. */
  cost() {
    const middle = { layers: 10, sequence: 128, batch: 1, r: 16 };
    const series = {
      sequence: [64, 128, 256, 512], layers: [5, 10, 20, 30], batch: [1, 2, 4], r: [4, 16, 64],
    } as const;
    const names = { sequence: 'longitud', layers: 'capas', batch: 'lote', r: 'rango' };
    return Object.fromEntries(Object.entries(series).map(([name, values]) => {
      const points = values.map((value) => {
        const { layers, ...run } = { ...middle, [name]: value };
        const measured = this.measure({ ...shapes['SmolLM2-135M'], layers }, { ...run, steps: 4 });
        const seconds = run.batch * run.sequence / measured.tokensPerSecond;
        return { value, seconds, peakResident: measured.train.peakResident };
      });
      this.screen.line('');
      this.screen.table([
        [names[name as keyof typeof names], 's/paso', 'pico de memoria'],
        ...points.map(({ value, seconds, peakResident }) =>
          [String(value), formatNumber(seconds, 3, true), formatBytes(peakResident)]),
      ]);
      return [name, points];
    }));
  }

  /** The bars are no tensor more, and resident memory within 5% of what it was at step 50. */
  leak() {
    const shape = { ...shapes['SmolLM2-135M'], layers: 2, vocabSize: 4096 };
    const { steps } = this.measure(shape, { sequence: 64, batch: 1, r: 8, steps: 300 }, ['--expose-gc']);
    const later = steps.slice(50);
    const grownTensors = Math.max(...later.map(({ tensors }) => tensors)) - steps[50]!.tensors;
    const grown = Math.max(...later.map(({ resident }) => resident)) / steps[50]!.resident - 1;
    this.screen.line(`\n300 pasos: ${formatNumber(grownTensors)} tensores de más desde el 50, memoria del proceso `
      + `${grown >= 0 ? '+' : ''}${formatPercent(grown)} (de ${formatBytes(steps[50]!.resident)})`);
    return { grownTensors, grown, resident: steps[50]!.resident };
  }

  /** The products that the demo and SmolLM2-135M are made of; the bar is twice the backend's own. */
  kernels() {
    if (this.backend !== 'wasm') throw new UserError('--kernels mide los núcleos de wasm: añade --backend wasm.');
    const measured = kernelBench();
    this.screen.line(`\nProductos por NF4, GFLOP/s, con ${formatCount(measured[0]!.threads, 'hilo')}`);
    this.screen.table([
      ['filas × entrada × salida', 'wasm, ancho', 'fundido', 'su gradiente', 'veces'],
      ...measured.map(({ rows, input, output, backend, fused, fusedGradient }) => [
        `${rows} × ${input} × ${output}`, ...[backend, fused, fusedGradient].map((speed) => formatNumber(speed)),
        formatNumber(fused / backend, 2, true),
      ]),
    ]);
    return measured;
  }

  demo() {
    const output = join(this.folder, 'demo');
    const began = performance.now();
    this.child('src/cli/demo.ts', ['--backend', this.backend, '--output', output]);
    const seconds = (performance.now() - began) / 1000;
    rmSync(output, { recursive: true, force: true });
    this.screen.line(`\nnpm run demo, entero, en «${this.backend}»: ${formatDuration(seconds)}`);
    return { seconds };
  }

  /** Llama 2 7B's shape, with its head apart. */
  sevenB() {
    const { screen } = this;
    const shape = shapes['Llama-2-7B'];
    const adapter = join(this.folder, 'adapter-7b');
    const m = this.measure(shape, { sequence: 64, batch: 1, r: 16, steps: 3, adapter });
    rmSync(adapter, { recursive: true, force: true });
    const bytesPerSecond = m.base16 / m.load.seconds; // all of it is read, as bf16
    screen.line(`\nLlama-2-7B: ${formatNumber(m.trainable)} parámetros entrenables; base en 4 bits ${formatBytes(m.base)}, adaptador `
      + `${formatBytes(m.adapter)}, entradas de bloque ${formatBytes(m.checkpoints)}; se cargó a `
      + `${formatNumber(bytesPerSecond / 1e6)} MB/s de bf16`);
    screen.table([
      ['', 'tiempo', 'pico de memoria hasta entonces'],
      ...([['cargar en 4 bits', m.load], ['insertar LoRA', m.adapt], ['tres pasos', m.train], ['guardar', m.save!]] as const)
        .map(([name, { seconds, peakResident }]) => [name, formatDuration(seconds), formatBytes(peakResident)]),
    ]);
    return { ...m, bytesPerSecond, steps: m.steps.map(({ seconds, loss }) => ({ seconds, loss })) };
  }

  /** The same step on the GPU, part by part, and the peer's on the same card where it can use it. */
  async gpu(keep: (measured: object) => void): Promise<void> {
    const found = await findGpu();
    if ('missing' in found) {
      this.screen.line(`\n${unmeasured}: ${found.missing}`);
      this.screen.table([['', 'tokens/s'], ...gpuShapes.map((name) => [name, unmeasured])]);
      return keep({ device: null, state: unmeasured, reason: found.missing });
    }
    const { device } = found;
    const products: ProductRow[] = [];
    try {
      for (const shape of productShapes) products.push({ shape, speeds: await productSpeeds(shape) });
    } catch (error) {
      this.screen.line(`Los productos, cada uno por sí solo, no se han podido medir: ${explain(error)}`);
    }
    this.screen.line(`\nProductos por NF4 en ${device}, TFLOP/s de ida / de vuelta, según cómo se reparten (✗: mal)`);
    if (products.length > 0) this.screen.table(productTable(products));
    this.screen.line(`\nUn paso en ${device}, por WebGPU${found.byUnits ? ' y sus unidades de matrices' : ''}: `
      + '512 tokens, r = 16 en todas las capas lineales, recomputando');
    const run = { sequence: 512, batch: 1, r: 16, steps: 12 }; // the first ones fill caches
    const rows = gpuRows({
      measure: (name) => this.measure(shapes[name], { ...run, clocked: true }),
      peer: (name) => (this.python === undefined ? null : this.peer(shapes[name], { ...run, device: 'cuda', dtype: 'bfloat16' })),
      tell: (line) => this.screen.line(line),
      keep: (rows) => keep({ device, state: 'medido', products, rows }),
    });
    this.screen.table(gpuTable(found, rows));
  }

  private measure(shape: Shape, run: Omit<MeasureOptions, 'folder'>, nodeOptions: readonly string[] = []): Measured {
    const order = { backend: this.backend, folder: this.synthetic(shape), ...run };
    return JSON.parse(this.child('src/cli/bench-process.ts', [JSON.stringify(order)], nodeOptions)) as Measured;
  }

  /** A model of the shape, written once. */
  private synthetic(shape: Shape): string {
    const folder = syntheticFolder(this.folder, shape);
    if (existsSync(folder)) return folder;
    this.screen.line(`Escribe un modelo al azar en «${folder}»…`);
    for (const _ of writeSyntheticModel(folder, shape)) { /* it says how far it is, which nobody asks here */ }
    return folder;
  }

  private peer(shape: Shape, run: object): z.infer<typeof peerMeasure> {
    const { status, stdout, stderr } = spawnSync(
      this.python!, ['tests/bench/peft_step.py', JSON.stringify({ device: 'cpu', dtype: peerType(), ...shape, ...run })],
      { encoding: 'utf8' });
    if (status !== 0) throw new UserError(`--python: los pasos de PEFT acaban en error (${stderr.trim().split('\n').at(-1)}).`);
    return peerMeasure.parse(JSON.parse(stdout.trim().split('\n').at(-1)!));
  }

  /** The last line that a program of ours prints. */
  private child(program: string, args: readonly string[], nodeOptions: readonly string[] = []): string {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath, [...nodeOptions, '--import', './src/start.js', program, ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (status !== 0) {
      const last = stderr.trim().split('\n').at(-1)!; // a sentence, or of a mistake of ours the stack's end
      if (signal || /^\s+at /.test(last)) throw new Error(`«${program}» ${signal ?? ''}: ${stderr.trim()}`);
      throw new UserError(last);
    }
    return stdout.trim().split('\n').at(-1)!;
  }
}

/** `npm run bench`: what a training step costs here, and beside PyTorch and PEFT. Without a part, speed and cost. */
await runCommand({
  name: command,
  about: 'Mide pasos enteros de QLoRA con pesos al azar, cada medida en su proceso. Sin elegir partes, --speed y --cost.',
  options: table,
}, async (flags) => {
  checkOutput('--folder', flags.folder);
  if (flags.python !== undefined && output(flags.python, ['-c', 'import torch, transformers, peft']) === undefined) {
    throw new UserError(`--python: «${flags.python}» no tiene torch, transformers y peft; instálalos o da otro Python.`);
  }
  const screen = createScreen();
  if (flags.gpu && flags.backend !== undefined && flags.backend !== 'webgpu') {
    throw new UserError('--gpu mide el backend webgpu: quita --backend.');
  }
  const backend = flags.gpu ? 'webgpu' : await useBackend(flags.backend);
  const recorder = new Recorder({
    ...(flags.gpu
      ? { id: 'bench-gpu', title: 'Lo que cuesta un paso en una GPU' } : { id: 'bench', title: 'Lo que cuesta un paso' }),
    command: commandLine(command, process.argv.slice(2)), backend,
  }, () => {});
  if (flags.record) recorder.origin([], { r: 16, targetModules: 'all-linear', checkpointing: true });
  // Recorded part by part: a later one that fails takes nothing with it.
  const keep = (part: string, measured: object) => {
    recorder.result({ [part]: measured });
    if (flags.record) writeRun(recorder.record);
  };
  const bench = new Bench(backend, flags.folder, flags.python, screen);
  const none = !(flags.speed || flags.cost || flags.kernels || flags.leak || flags.demo || flags.sevenB || flags.gpu);
  if (flags.speed || none) keep('speed', bench.speed());
  if (flags.cost || none) keep('cost', bench.cost());
  if (flags.kernels) keep('kernels', bench.kernels());
  if (flags.leak) keep('leak', bench.leak());
  if (flags.demo) keep('demo', bench.demo());
  if (flags.sevenB) keep('sevenB', bench.sevenB());
  if (flags.gpu) await bench.gpu((measured) => keep('gpu', measured));
  screen.close();
  if (flags.record) screen.line(`\nGuardado en «${join(runsFolder, recorder.record.id)}.json».`);
});
