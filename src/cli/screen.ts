import { SingleBar } from 'cli-progress';
import pc from 'picocolors';
import type { DownloadProgress, DownloadShow } from '../checkpoint/download.ts';
import type { Evaluation, MemoryUse, RunEvent } from '../runs/events.ts';
import {
  formatBytes, formatCount, formatDuration, formatNumber, formatPercent, formatSignificant,
} from '../format.ts';

/** What a run shows while it goes on. */
export interface Screen extends DownloadShow {
  line(text: string): void;
  show(event: RunEvent): void;
  /** Rows of cells, the first row being the head; the first column is text and the others figures. */
  table(rows: readonly (readonly string[])[]): void;
  /** Gives the terminal back. One that is left with a bar keeps the process alive: see `onScreen`. */
  close(): void;
}

type Event<Type extends RunEvent['type']> = Extract<RunEvent, { type: Type }>;
type Colors = ReturnType<typeof pc.createColors>;

/** Without a terminal, one step in so many is a line. */
const stepsPerLine = 10;

/** Without a terminal, the seconds between two lines on a file that takes long. */
const secondsPerLine = 10;

/** Of a question or an answer no more than so many characters are shown. */
const longestLine = 200;

/**
 * On a terminal, colours and a progress bar; into a pipe or a file, plain lines without control
 * characters; with `json`, the events alone, one a line.
 */
export function createScreen(
  { json = false, stream = process.stdout }: { json?: boolean; stream?: NodeJS.WritableStream } = {},
): Screen {
  return json ? new JsonScreen(stream) : new TextScreen(stream);
}

/** What `use` comes to, shown on a screen of its own, which is closed however that ends. */
export async function onScreen<T>(
  use: (screen: Screen) => Promise<T>, options: Parameters<typeof createScreen>[0] = {},
): Promise<T> {
  const screen = createScreen(options);
  try {
    return await use(screen);
  } finally {
    screen.close();
  }
}

/** Whether it obeys colours and the movements of a bar. */
export function isTerminal(stream: NodeJS.WritableStream): boolean {
  return 'isTTY' in stream && stream.isTTY === true && process.env.TERM !== 'dumb';
}

class JsonScreen implements Screen {
  constructor(private readonly stream: NodeJS.WritableStream) {}

  show(event: RunEvent): void {
    this.stream.write(`${JSON.stringify(event)}\n`);
  }

  // What is not an event is for people.
  progress(): void {}
  line(): void {}
  table(): void {}
  close(): void {}
}

class TextScreen implements Screen {
  private readonly colors: Colors;
  private readonly isTerminal: boolean;
  private bar: SingleBar | undefined;
  private toldAt = performance.now();
  private steps = 0;
  private memory: MemoryUse | undefined;
  private before: Evaluation | undefined;
  private readonly answersBefore = new Map<string, string>();

  constructor(private readonly stream: NodeJS.WritableStream) {
    this.isTerminal = isTerminal(stream);
    this.colors = pc.createColors(this.isTerminal && !process.env.NO_COLOR);
  }

  line(text: string): void {
    this.clearBar();
    this.stream.write(`${text}\n`);
  }

  table(rows: readonly (readonly string[])[]): void {
    const [head = '', ...body] = alignColumns(rows);
    this.line(`  ${this.colors.bold(head)}`);
    for (const row of body) this.line(`  ${row}`);
  }

  close(): void {
    this.clearBar();
  }

  show(event: RunEvent): void {
    switch (event.type) {
      case 'text': return this.line(event.heading ? `\n${this.colors.bold(this.colors.cyan(event.text))}` : event.text);
      case 'result': return; // the lines tell it
      case 'start': return this.showStart(event);
      case 'step': return this.showStep(event);
      case 'evaluation': return this.showEvaluation(event);
      case 'sample': return this.showSample(event);
      case 'memory': return void (this.memory = event);
      case 'done': return this.showDone(event);
    }
  }

  progress({ file, index, files, bytes, totalBytes, bytesPerSecond, complete }: DownloadProgress): void {
    const payload = {
      file: `${index}/${files} ${file}`,
      bytes: totalBytes === undefined ? formatBytes(bytes) : `${formatBytes(bytes)} de ${formatBytes(totalBytes)}`,
      speed: `${formatBytes(bytesPerSecond)}/s`,
    };
    const now = performance.now();
    if (this.isTerminal && !(complete && index === files)) {
      if (this.bar) this.bar.update(bytes, payload);
      else this.startBar('{file} · {bytes} · {speed}', totalBytes ?? 0, bytes, payload);
    } else if (complete || now - this.toldAt > secondsPerLine * 1000) {
      this.line(`  ${payload.file} · ${payload.bytes} · ${payload.speed}`);
      this.toldAt = now;
    }
  }

  private showStart({ steps, epochs, examples, batchSize, accumulation, effectiveBatch, resumedAt }: Event<'start'>): void {
    this.steps = steps;
    this.line(
      `${formatCount(examples, 'ejemplo')}, ${formatCount(epochs, 'época')}, ${formatCount(steps, 'paso')}; ` +
      `lote efectivo de ${formatNumber(effectiveBatch)} (${batchSize} × ${accumulation})`);
    if (resumedAt > 0) this.line(`Sigue desde el paso ${formatNumber(resumedAt)}.`);
  }

  private showStep(event: Event<'step'>): void {
    const { step, loss, tokensPerSecond, secondsLeft } = event;
    const isLast = step === this.steps;
    if (this.isTerminal && !isLast) {
      const payload = {
        loss: formatNumber(loss, 3, true),
        speed: formatNumber(tokensPerSecond),
        memory: this.memory ? ` · ${formatBytes(this.memory.process)}` : '',
        left: formatDuration(secondsLeft),
      };
      if (this.bar) this.bar.update(step, payload);
      else this.startBar('{value}/{total} · pérdida {loss} · {speed} tokens/s{memory} · quedan {left}', this.steps, step, payload);
    } else if (step === 1 || isLast || step % stepsPerLine === 0) {
      this.line(describeStep(event, this.steps, this.memory));
    }
  }

  private showEvaluation(event: Event<'evaluation'>): void {
    const { loss, perplexity, exactMatch, count, when, step } = event;
    const moment = { before: 'Antes', during: `  validación en el paso ${formatNumber(step)}`, after: 'Después' }[when];
    this.line(
      `${moment}: pérdida ${formatNumber(loss, 3, true)}, perplejidad ${formatSignificant(perplexity, 4)}, ` +
      `acierto exacto ${formatPercent(exactMatch)} de ${formatCount(count, 'pregunta')}`);
    if (when === 'before') this.before = event;
    if (when === 'after' && this.before) {
      this.line('');
      this.table(compareEvaluations(this.before, event));
    }
  }

  private showSample({ when, instruction, input, expected, answer }: Event<'sample'>): void {
    const { dim, green, red } = this.colors;
    const question = input ? `${instruction} ${input}` : instruction;
    const answerBefore = this.answersBefore.get(question);
    const answerNow = (answer === expected ? green : red)(oneLine(answer));
    this.line(`\n  ${dim('Pregunta: ')} ${oneLine(question)}`);
    if (when === 'before') {
      this.answersBefore.set(question, answer);
      this.line(`  ${dim('Respuesta:')} ${answerNow}`);
    } else {
      if (answerBefore !== undefined) this.line(`  ${dim('Antes:    ')} ${oneLine(answerBefore)}`);
      this.line(`  ${dim('Después:  ')} ${answerNow}`);
      this.line(`  ${dim('Esperada: ')} ${oneLine(expected)}`);
    }
  }

  private showDone({ steps, seconds, stopped }: Event<'done'>): void {
    this.line('');
    if (this.memory) for (const text of describeMemory(this.memory)) this.line(text);
    const verb = { finished: 'Entrenado', early: 'Parado, sin mejora en la validación', interrupted: 'Interrumpido' }[stopped];
    this.line(`${verb}: ${formatCount(steps, 'paso')} en ${formatDuration(seconds)}`);
  }

  private startBar(told: string, total: number, value: number, payload: object): void {
    this.bar = new SingleBar({
      format: `  ${this.colors.cyan('{bar}')} ${told}`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 20,
      clearOnComplete: true,
      stream: this.stream,
    });
    this.bar.start(total, value, payload);
  }

  private clearBar(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}

function describeStep(
  { step, epoch, loss, learningRate, gradientNorm, tokensPerSecond, secondsLeft }: Event<'step'>,
  steps: number,
  memory: MemoryUse | undefined,
): string {
  return [
    `  paso ${formatNumber(step)}/${formatNumber(steps)}`,
    `época ${formatNumber(epoch, 2, true)}`,
    `pérdida ${formatNumber(loss, 3, true)}`,
    `tasa ${formatSignificant(learningRate)}`,
    `norma ${formatSignificant(gradientNorm)}`,
    `${formatNumber(tokensPerSecond)} tokens/s`,
    ...(memory ? [formatBytes(memory.process)] : []),
    ...(secondsLeft > 0 ? [`quedan ${formatDuration(secondsLeft)}`] : []),
  ].join(' · ');
}

function describeMemory(memory: MemoryUse): string[] {
  return [
    `Memoria: base ${formatBytes(memory.base)}, adaptador ${formatBytes(memory.adapter)}, optimizador ` +
    `${formatBytes(memory.optimizer)} (${formatBytes(memory.optimizerResident)} residentes, ` +
    `${formatCount(memory.optimizerPageIns, 'página traída', 'páginas traídas')})`,
    `         entradas de bloque ${formatBytes(memory.checkpoints)}, pico de tensores al entrenar ` +
    `${formatBytes(memory.peakTensors)}, proceso ${formatBytes(memory.process)}`,
  ];
}

function compareEvaluations(before: Evaluation, after: Evaluation): string[][] {
  const row = (name: string, figure: (evaluation: Evaluation) => string) => [name, figure(before), figure(after)];
  return [
    ['', 'antes', 'después'],
    row('pérdida', ({ loss }) => formatNumber(loss, 3, true)),
    row('perplejidad', ({ perplexity }) => formatSignificant(perplexity, 4)),
    row('acierto exacto', ({ exactMatch }) => formatPercent(exactMatch)),
  ];
}

/** Every row as one line: the first column flush left, the others flush right. */
function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) => row
    .map((cell, column) => (column === 0 ? cell.padEnd(width(column)) : cell.padStart(width(column))))
    .join('   ')
    .trimEnd());
}

/** A text on one line, cut where it is long, without the control characters that a terminal would obey. */
function oneLine(text: string): string {
  const line = text.trim().replaceAll(/\s*\n\s*/g, ' ⏎ ').replaceAll(/\p{Cc}/gu, '·') || '(nada)';
  return line.length > longestLine ? `${line.slice(0, longestLine)}…` : line;
}
