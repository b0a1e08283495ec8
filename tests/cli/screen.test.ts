import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createScreen, onScreen } from '../../src/cli/screen.ts';
import type { Screen } from '../../src/cli/screen.ts';
import { runEvent } from '../../src/runs/events.ts';
import type { TrainEvent } from '../../src/runs/events.ts';

const mib = 1024 ** 2;
const capital = { instruction: '¿Cuál es la capital de Francia?', input: '', expected: 'La capital es París.' };

const step = (n: number): TrainEvent => ({
  type: 'step', step: n, epoch: n / 25, loss: 3 - n / 25, learningRate: 0.003, gradientNorm: 1.5, tokens: 512,
  tokensPerSecond: 12345, seconds: n, secondsLeft: 25 - n,
});

const run: TrainEvent[] = [
  { type: 'evaluation', step: 0, when: 'before', loss: 4.5, perplexity: 90.017, exactMatch: 0, count: 300 },
  { type: 'sample', when: 'before', ...capital, answer: 'París\u001b[2J\nParís' },
  {
    type: 'start', steps: 25, epochs: 1, examples: 2000, batchSize: 16, accumulation: 5, effectiveBatch: 80, resumedAt: 0,
  },
  ...Array.from({ length: 25 }, (_, i) => step(i + 1)),
  {
    type: 'memory', step: 25, base: 2.5 * mib, adapter: mib, optimizer: 2 * mib, optimizerResident: mib,
    optimizerPageIns: 1234, checkpoints: 3 * mib, peakTensors: 48 * mib, process: 300 * mib,
  },
  { type: 'evaluation', step: 10, when: 'during', loss: 2.25, perplexity: 9.488, exactMatch: 0.5, count: 300 },
  { type: 'evaluation', step: 25, when: 'after', loss: 0.1234, perplexity: 1.1313, exactMatch: 0.814, count: 300 },
  { type: 'sample', when: 'after', ...capital, answer: 'La capital es París.' },
  { type: 'done', steps: 25, seconds: 83, stopped: 'finished' },
];

function shown(
  play: (screen: Screen) => void, options: { json?: boolean; isTTY?: boolean; term?: string } = {},
): string {
  vi.stubEnv('TERM', options.term ?? 'xterm');
  const stream = Object.assign(new PassThrough(), { isTTY: options.isTTY, columns: 120 });
  const screen = createScreen({ json: options.json, stream });
  play(screen);
  screen.close();
  return String(stream.read() ?? '');
}

const playRun = (screen: Screen) => {
  screen.show({ type: 'text', text: '3/4 · Entrenar', heading: true });
  screen.show({ type: 'text', text: 'trainable params: 4,884,480 || all params: 139,399,488 || trainable%: 3.5039' });
  for (const event of run) screen.show(event);
};

afterEach(() => vi.unstubAllEnvs());

describe('a terminal that obeys nothing', () => {
  it('is none', () => {
    expect(shown(playRun, { isTTY: true, term: 'dumb' })).toBe(shown(playRun));
  });
});

describe('without a terminal', () => {
  const text = shown(playRun);
  const lines = text.split('\n');

  it('has no control characters but the end of line', () => {
    expect(text).not.toMatch(/[^\P{Cc}\n]/u);
  });

  it('shows headings, set apart, and ready lines as they come', () => {
    expect(lines.slice(0, 3)).toEqual([
      '', '3/4 · Entrenar', 'trainable params: 4,884,480 || all params: 139,399,488 || trainable%: 3.5039',
    ]);
  });

  it('shows the start, with the effective batch', () => {
    expect(lines).toContain('2000 ejemplos, 1 época, 25 pasos; lote efectivo de 80 (16 × 5)');
    expect(text).not.toContain('Sigue');
  });

  it('shows the first step, one in ten, and the last', () => {
    const steps = lines.filter((line) => line.startsWith('  paso '));
    expect(steps.map((line) => /\d+\/25/.exec(line)?.[0])).toEqual(['1/25', '10/25', '20/25', '25/25']);
    expect(steps[1]).toBe(
      '  paso 10/25 · época 0,40 · pérdida 2,600 · tasa 0,003 · norma 1,5 · 12\u202f345 tokens/s · quedan 15 s');
    expect(steps[3]).toMatch(/tokens\/s$/); // nothing is left after it
  });

  it('tells the memory at each step once it is known', () => {
    const start = run.find(({ type }) => type === 'start')!;
    const memory = run.find(({ type }) => type === 'memory')!;
    const text = shown((screen) => [start, memory, step(10)].forEach((event) => screen.show(event)));
    expect(text).toContain(' tokens/s · 300 MiB · quedan 15 s\n');
  });

  it('shows each evaluation', () => {
    expect(lines).toContain('Antes: pérdida 4,500, perplejidad 90,02, acierto exacto 0 % de 300 preguntas');
    expect(lines).toContain('  validación en el paso 10: pérdida 2,250, perplejidad 9,488, acierto exacto 50 % de 300 preguntas');
    expect(lines).toContain('Después: pérdida 0,123, perplejidad 1,131, acierto exacto 81,4 % de 300 preguntas');
  });

  it('ends with a table of before and after', () => {
    expect(text).toContain([
      '                   antes   después',
      '  pérdida          4,500     0,123',
      '  perplejidad      90,02     1,131',
      '  acierto exacto     0 %    81,4 %',
    ].join('\n'));
    expect(text.match(/antes +después/g)).toHaveLength(1);
  });

  it('compares nothing where there is no before', () => {
    const text = shown((screen) => run.filter((event) => 'when' in event && event.when === 'after').forEach((event) => screen.show(event)));
    expect(text).toContain('Después: pérdida 0,123');
    expect(text).toContain('  Después:   La capital es París.');
    expect(text).not.toMatch(/antes/i);
  });

  it('asks a question with what it is asked of, and shows an answer without the blanks around it', () => {
    const sample = { type: 'sample', when: 'before', instruction: 'Suma.', input: '2 y 3', expected: '5' } as const;
    const text = shown((screen) => screen.show({ ...sample, answer: '\n 5\n' }));
    expect(text).toBe('\n  Pregunta:  Suma. 2 y 3\n  Respuesta: 5\n');
  });

  it('shows a question with its answers before and after, the model’s control characters made harmless', () => {
    expect(text).toContain([
      '  Pregunta:  ¿Cuál es la capital de Francia?',
      '  Antes:     París·[2J ⏎ París',
      '  Después:   La capital es París.',
      '  Esperada:  La capital es París.',
    ].join('\n'));
  });

  it('cuts a long answer short', () => {
    const sample = { type: 'sample', when: 'before', instruction: '¿Qué?', input: '', expected: '' } as const;
    const text = shown((screen) => screen.show({ ...sample, answer: 'ba'.repeat(500) }));
    expect(text).toContain(`Respuesta: ${'ba'.repeat(100)}…\n`);
  });

  it('shows where the memory went, and the end', () => {
    expect(text).toContain('base 2,5 MiB, adaptador 1 MiB, optimizador 2 MiB (1 MiB residentes, 1234 páginas traídas)');
    expect(text).toContain('entradas de bloque 3 MiB, pico de tensores al entrenar 48 MiB, proceso 300 MiB');
    expect(lines).toContain('Entrenado: 25 pasos en 1 min 23 s');
  });

  it('says where a resumed run goes on, and that one was interrupted', () => {
    const text = shown((screen) => {
      screen.show({
        type: 'start', steps: 25, epochs: 1, examples: 1, batchSize: 1, accumulation: 1, effectiveBatch: 1, resumedAt: 12,
      });
      screen.show({ type: 'done', steps: 13, seconds: 2, stopped: 'interrupted' });
    });
    expect(text).toContain('Sigue desde el paso 12.');
    expect(text).toContain('Interrumpido: 13 pasos en 2 s');
  });
});

describe('with json', () => {
  it('writes the events, one a line, and nothing else', () => {
    const lines = shown(playRun, { json: true }).trimEnd().split('\n');
    const events = lines.map((line) => runEvent.parse(JSON.parse(line)));
    expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['text', 'text']);
    expect(events.slice(2)).toEqual(run);
  });
});

describe('on a terminal', () => {
  const text = shown(playRun, { isTTY: true });
  const start = run.find(({ type }) => type === 'start')!;

  afterEach(() => vi.useRealTimers());

  it('moves the bar as steps come, tells the memory once it is known, and leaves no timer behind', () => {
    vi.useFakeTimers();
    const text = shown((screen) => {
      screen.show(start);
      for (const n of [1, 2]) screen.show(step(n));
      vi.advanceTimersByTime(300);
      screen.show({ type: 'text', text: 'Un aviso' });
      screen.show(run.find(({ type }) => type === 'memory')!);
      screen.show(step(3));
    }, { isTTY: true });
    expect(text).toMatch(/ 1\/25 .* 2\/25 · pérdida 2,920 .*Un aviso\n.* 3\/25 · pérdida 2,880 · [^·]* · 300 MiB · quedan 22 s/s);
    const words = text.replaceAll(/\u001b(\[[?\d;]*[A-Za-z]|[78])/g, '');
    expect(words).toContain('quedan 23 sUn aviso\n'); // no line is left of the bar
    expect(vi.getTimerCount()).toBe(0);
  });

  it('sets off headings, and right answers from wrong ones; by no colour where NO_COLOR asks for none', () => {
    const [right, wrong] = ['La capital es París.', 'Lyon'].map((answer) => ({ type: 'sample', when: 'before', ...capital, answer } as const));
    const play = (screen: Screen) => [{ type: 'text', text: 'Título', heading: true } as const, right!, wrong!].forEach((event) => screen.show(event));
    vi.stubEnv('NO_COLOR', '');
    const colours = shown(play, { isTTY: true });
    expect(colours).toContain('\u001b[36mTítulo\u001b[39m'); // cyan
    expect(colours).toContain('\u001b[32mLa capital es París.\u001b[39m'); // green
    expect(colours).toContain('\u001b[31mLyon\u001b[39m'); // red
    vi.stubEnv('NO_COLOR', '1');
    expect(shown(play, { isTTY: true })).toBe(shown(play));
  });

  it('draws a bar with loss, speed and time left, and erases it at the last step', () => {
    expect(text).toContain('1/25 · pérdida 2,960 · 12\u202f345 tokens/s · quedan 24 s');
    expect(text).not.toContain('paso 10/25');
    expect(text).toContain('  paso 25/25 · época 1,00');
  });

  it('says the same words as without one', () => {
    expect(text).toContain('Entrenado: 25 pasos en 1 min 23 s');
  });
});

describe('a download', () => {
  const files = [['config.json', 1024], ['model.safetensors', 2 * mib + 1024]] as const;
  const playDownload = (screen: Screen) => {
    for (const [i, [file, bytes]] of files.entries()) {
      for (const complete of [false, true]) {
        screen.progress({
          name: 'org/tiny', file, index: i + 1, files: 2, bytes, totalBytes: 2 * mib + 1024, bytesPerSecond: mib, complete,
        });
      }
    }
  };

  it('without a terminal is a line a file', () => {
    expect(shown(playDownload)).toBe(
      '  1/2 config.json · 1 KiB de 2 MiB · 1 MiB/s\n  2/2 model.safetensors · 2 MiB de 2 MiB · 1 MiB/s\n');
  });

  const part = { name: 'org/big', file: 'big', index: 1, files: 1, totalBytes: 9 * mib, bytesPerSecond: mib, complete: false };
  afterEach(() => vi.useRealTimers());

  it('that takes long, without a terminal, is a line every ten seconds', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const text = shown((screen) => {
      for (let seconds = 1; seconds < 25; seconds++) {
        vi.advanceTimersByTime(1000);
        screen.progress({ ...part, bytes: seconds * mib / 4 });
      }
    });
    expect(text.match(/\S+ MiB de/g)).toEqual(['2,8 MiB de', '5,5 MiB de']);
  });

  it('on a terminal moves its bar as bytes come', () => {
    vi.useFakeTimers();
    const text = shown((screen) => {
      for (const bytes of [mib, 2 * mib, 3 * mib]) screen.progress({ ...part, bytes });
      vi.advanceTimersByTime(300);
    }, { isTTY: true });
    expect(text).toContain('1/1 big · 3 MiB de 9 MiB · 1 MiB/s');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('on a terminal is a bar, and one line in the end', () => {
    const text = shown(playDownload, { isTTY: true });
    expect(text).toContain('░');
    expect(text).toMatch(/2\/2 model\.safetensors · 2 MiB de 2 MiB · 1 MiB\/s\n$/);
  });

  it('that breaks gives the terminal back', async () => {
    vi.stubEnv('TERM', 'xterm');
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 120 });
    const broken = onScreen((screen) => {
      screen.progress({
        name: 'org/tiny', file: 'model.safetensors', index: 1, files: 1, bytes: 1, totalBytes: mib, bytesPerSecond: 1, complete: false,
      });
      return Promise.reject(new Error('cut'));
    }, { stream });
    await expect(broken).rejects.toThrow('cut');
    const text = String(stream.read());
    expect(text).toContain('░');
    expect(text.lastIndexOf('\u001b[?7h')).toBeGreaterThan(text.lastIndexOf('\u001b[?7l')); // lines are broken again
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(stream.read()).toBeNull(); // nobody draws any more
  });

  it('of unknown size tells what has come', () => {
    expect(shown((screen) => screen.progress({
      name: 'https://x', file: 'a.json', index: 1, files: 1, bytes: mib, totalBytes: undefined, bytesPerSecond: 1024, complete: true,
    }))).toBe('  1/1 a.json · 1 MiB · 1 KiB/s\n');
  });

  it('says nothing among the events in JSON', () => {
    expect(shown(playDownload, { json: true })).toBe('');
  });
});
