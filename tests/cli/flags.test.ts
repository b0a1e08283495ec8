import { describe, expect, it } from 'vitest';
import { dataOptions, demoCommand, embeddedHeldOut, parseDemoFlags } from '../../src/cli/flags.ts';
import { helpText } from '../../src/cli/options.ts';
import { UserError } from '../../src/errors.ts';

const messageOf = (...argv: string[]): string => {
  try {
    parseDemoFlags(argv);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
};

describe('a router', () => {
  it('chooses among adapters that it is given, or trains its own on the embedded data', () => {
    expect(parseDemoFlags(['--peft', 'router', '--adapter', 'a', '--adapter', 'b']).adapters).toEqual(['a', 'b']);
    expect(parseDemoFlags(['--peft', 'router'])).toMatchObject({ adapters: [], experts: 4 });
  });

  it.each([
    ['--adapter', 'a'], ['--experts', '1'], ['--data', 'otros.json'],
  ])('has nothing to choose among with %s %s: said before anything is loaded', (...argv) => {
    expect(messageOf('--peft', 'router', ...argv)).toMatch(/^--adapter: el router elige entre dos adaptadores/);
  });
});

describe('the data', () => {
  const files = (...argv: string[]) => {
    const { files, heldOutFiles } = dataOptions(parseDemoFlags(argv));
    return [files, heldOutFiles];
  };

  it('are the files that are named; of those of others, questions are set apart', () => {
    expect(files('--data', 'a.json', '--held-out', 'b.json')).toEqual([['a.json'], ['b.json']]);
    expect(files('--data', 'a.json')).toEqual([['a.json'], undefined]);
    expect(files()).toEqual([['assets/data/alpaca_es.json'], [embeddedHeldOut]]);
  });

  it('are where they were found, if they were looked for', () => {
    const source = (...files: string[]) => ({ files, pin: undefined });
    const found = (heldOut?: ReturnType<typeof source>) => dataOptions(
      parseDemoFlags(['--data', 'org/a', '--held-out', 'org/b']), { data: source('1.parquet', '2.parquet'), heldOut });
    expect(found(source('3.json'))).toMatchObject({ files: ['1.parquet', '2.parquet'], heldOutFiles: ['3.json'] });
    expect(found().heldOutFiles).toBeUndefined();
  });
});

describe('the options of the demo', () => {
  it('have a default each', () => {
    expect(parseDemoFlags([])).toEqual({
      model: 'assets/model',
      data: 'assets/data/alpaca_es.json',
      heldOut: 'assets/data/heldout_es.json',
      examples: 1000,
      evaluate: undefined,
      template: 'es',
      maxLength: 256,
      backend: undefined,
      quant: undefined,
      doubleQuant: true,
      r: 16,
      alpha: 16,
      dropout: 0.05,
      peft: 'lora',
      initR: undefined, tinit: undefined, tfinal: undefined, deltaT: 1, orthRegWeight: 0.5,
      experts: 4, adapters: [], targetModules: undefined,
      epochs: 1,
      batchSize: 8,
      accumulation: 1,
      learningRate: 3e-3,
      warmup: 0.05,
      schedule: 'cosine',
      optimizer: 'paged_adamw_32bit',
      weightDecay: 0,
      clip: 1,
      seed: 42,
      patience: undefined, validateEvery: 10,
      bfloat16: true, checkpointing: true,
      pageBytes: 64 * 1024,
      optimizerBytes: undefined,
      output: 'out/qlora',
      resume: false,
      record: false,
      replay: false,
      speed: 1,
      json: false,
    });
  });

  it('are read from the command line', () => {
    expect(parseDemoFlags([
      '--model', 'models/smol', '--data=mine.json', '--examples', '200', '--eval', '50', '--epochs', '0.5', '--seed', '0',
      '--output', 'out/mine', '--resume', '--json', '--backend', 'wasm', '--r', '8', '--alpha', '32', '--dropout', '0',
      '--batch-size', '4', '--accumulation', '4', '--learning-rate', '2e-3', '--schedule', 'constant', '--quant', 'fp4',
      '--no-double-quant', '--no-checkpointing', '--page-size', '16', '--optimizer-memory', '256', '--template', 'en',
      '--held-out', 'asked.json', '--optimizer', 'paged_adamw_8bit',
    ])).toMatchObject({
      model: 'models/smol', data: 'mine.json', heldOut: 'asked.json', examples: 200, evaluate: 50, epochs: 0.5, seed: 0,
      output: 'out/mine', resume: true, json: true, backend: 'wasm', r: 8, alpha: 32, dropout: 0, batchSize: 4,
      accumulation: 4, learningRate: 0.002, schedule: 'constant', quant: 'fp4', doubleQuant: false, checkpointing: false,
      pageBytes: 16384, optimizerBytes: 262144, template: 'en', optimizer: 'paged_adamw_8bit',
    });
  });

  it('take modules by name, or all the linear ones', () => {
    expect(parseDemoFlags(['--target-modules', 'q_proj, v_proj']).targetModules).toEqual(['q_proj', 'v_proj']);
    expect(parseDemoFlags(['--target-modules', 'all-linear']).targetModules).toBe('all-linear');
    expect(parseDemoFlags(['--target-modules', String.raw`.*\.[qv]_proj`]).targetModules).toBe(String.raw`.*\.[qv]_proj`);
  });

  it('ask the embedded questions of the embedded data only', () => {
    expect(parseDemoFlags(['--data', 'mine.json']).heldOut).toBeUndefined();
    expect(parseDemoFlags(['--model', 'models/smol']).heldOut).toBe(embeddedHeldOut);
  });
});

describe('a mistake in an option', () => {
  it.each([
    ['--r', '0', 'un entero de 1 o más'],
    ['--r', '-4', 'un entero de 1 o más'],
    ['--r', '1.5', 'un entero de 1 o más'],
    ['--epochs', '0', 'un número mayor que 0'],
    ['--epochs', '1,5', 'un número mayor que 0'],
    ['--dropout', '1', 'un número de 0 a menos de 1'],
    ['--learning-rate', 'rápida', 'un número mayor que 0'],
    ['--learning-rate', '1e999', 'un número mayor que 0'],
    ['--weight-decay', '-1', 'un número de 0 o más'],
    ['--quant', 'int8', 'nf4, fp4 o int4'],
    ['--backend', 'cuda', 'tensorflow, webgpu, wasm o cpu'],
    ['--target-modules', 'q_proj,,v_proj', 'all-linear, nombres separados por comas'],
    ['--peft', 'ia4', 'lora, rslora'],
    ['--page-size', '0', 'un entero de KiB, 1 o más'],
    ['--examples', '', 'un entero de 1 o más'],
  ])('%s %s names the option, what was expected and what came', (name, value, expected) => {
    const message = messageOf(name, value);
    expect(message).toContain(`La opción ${name} espera ${expected}`);
    expect(message).toContain(`ha recibido «${value}»`);
    expect(message).toMatch(/^[^\n]+\.$/);
  });

  it('less memory for pages than one of them takes is refused, since one is always there', () => {
    expect(messageOf('--optimizer-memory', '63')).toBe('--optimizer-memory 63: no cabe ni una página, que ocupa 64 KiB; '
      + 'sube esa memoria, o baja --page-size.');
    expect(messageOf('--optimizer-memory', '64', '--page-size', '65')).toContain('65 KiB');
    parseDemoFlags(['--optimizer-memory', '64']);
  });

  it.each([
    [['--tinit', '3'], '--tinit no cambia nada sin --peft adalora'],
    [['--adapter', 'a'], '--adapter no cambia nada sin --peft router'],
    [['--experts', '2', '--peft', 'dora'], '--experts no cambia nada sin --peft adamix o router'],
    [['--peft', 'ia3', '--r', '16'], '--r no cambia nada con --peft ia3'],
    [['--peft', 'router', '--adapter', 'a', '--adapter', 'b', '--alpha', '8'], '--alpha no cambia nada con --adapter'],
    [['--validate-every', '5'], '--validate-every no cambia nada sin --patience'],
    [['--speed', '2'], '--speed no cambia nada sin --replay'],
    [['--replay', '--record'], '--record no cambia nada con --replay'],
    [['--epochs', '2', '--replay'], '--epochs no cambia nada con --replay'],
    [['--replay', '--output', 'out/otra'], '--output no cambia nada con --replay'],
  ])('%j: one that does nothing beside the others', (argv, says) => {
    expect(messageOf(...argv)).toBe(`${says}: quítala.`);
  });

  it.each([
    [['--peft', 'adalora', '--tinit', '3', '--r', '4']], [['--peft', 'adamix', '--experts', '2']],
    [['--peft', 'router', '--r', '4']], [['--patience', '2', '--validate-every', '5']], [['--replay', '--speed', '2', '--json']],
  ])('not %j', (argv) => {
    parseDemoFlags(argv);
  });

  it('an option that does not exist', () => {
    expect(messageOf('--ranks', '8')).toBe(
      'No existe la opción --ranks: mira las que hay con «npm run demo -- --help».');
    expect(messageOf('-r', '8')).toContain('No existe la opción -r');
  });

  it('an option without its value, or a switch with one', () => {
    expect(messageOf('--seed')).toBe('A la opción --seed le falta su valor: se espera un entero de 0 o más.');
    expect(messageOf('--output', '--json')).toContain('A la opción --output le falta su valor');
    expect(messageOf('--json=yes')).toBe('La opción --json no lleva valor: quita «yes».');
  });

  it('a value alone, as npm leaves it when «--» is forgotten', () => {
    expect(messageOf('2')).toContain('Sobra «2»: las opciones van detrás de «--»');
  });
});

describe('the help', () => {
  const help = helpText(demoCommand, 200);
  const rows = help.split('\n').filter((row) => row.startsWith('  --'));

  it('tells every option once', () => {
    const told = rows.map((row) => /^ {2}--([\w-]+)/.exec(row)?.[1]);
    expect(new Set(told).size).toBe(told.length);
    expect(told).toHaveLength(Object.keys(demoCommand.options).length + 1);
  });

  it('tells the defaults, in aligned columns that fit a terminal', () => {
    expect(help).toMatch(/--r N .*\(por defecto: 16\)/);
    const starts = rows.map((row) => /^ {2}--\S+(?: [A-Z]+)? +/.exec(row)?.[0].length);
    expect(new Set(starts).size).toBe(1);
    expect(Math.max(...help.split('\n').map((row) => row.length))).toBeLessThanOrEqual(120);
  });

  it('loses no word in a narrow one', () => {
    const narrow = helpText(demoCommand, 80);
    expect(Math.max(...narrow.split('\n').map((row) => row.length))).toBeLessThanOrEqual(80);
    expect(narrow.split(/\s+/)).toEqual(help.split(/\s+/));
  });
});
