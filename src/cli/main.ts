import { UserError } from '../errors.ts';
import { helpText, parseOptions } from './options.ts';
import type { Command, OptionTable, Values } from './options.ts';

/** What is done when whoever reads the output has gone, as `head` does after its lines, or a terminal. */
let whenUnread = (): void => process.exit();

/** Runs a command with the options that it was called with, or tells its help. */
export function runCommand<Table extends OptionTable>(
  command: Command<Table>, run: (values: Values<Table>) => Promise<void> | void,
): Promise<void> {
  const argv = process.argv.slice(2);
  return runProgram(() => (argv.includes('--help')
    ? void process.stdout.write(`${helpText(command)}\n`)
    : run(parseOptions(command, argv))));
}

/**
 * Runs a program. A mistake of the person at the keyboard is told in one sentence; anything else
 * is our mistake and shows its stack. Both exit with 1. When nobody reads the output any more, the program ends in
 * silence, unless it has something to save: see `interruption`.
 */
export async function runProgram(program: () => Promise<void> | void): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EIO') endByHangup();
      if (error.code === 'EPIPE' || error.code === 'EIO') return whenUnread();
      if (stream === process.stdout) process.stderr.write(`${explain(error)}\n`);
      process.exit(1);
    });
  }
  try {
    await program();
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exitCode = 1;
  }
}

/**
 * Node, whose terminal has gone, aborts as it ends, for it cannot give that its settings back: the signal is first.
 * Each write tells once more that the terminal has gone.
 */
function endByHangup(): void {
  if (process.platform !== 'win32') process.off('exit', hangUp).on('exit', hangUp);
}

function hangUp(): void {
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
}

/**
 * For a command with something to save: its signal is aborted by Ctrl-C, by SIGTERM, when the terminal closes and when
 * nobody reads the output any more. The second Ctrl-C ends the process; a terminal that closes may tell it twice, and
 * is what the process ends by.
 *
 * @param told hears it once
 */
export function interruption(told = (): void => {}): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const stop = (signal?: NodeJS.Signals) => {
    if (signal === 'SIGHUP') endByHangup();
    if (controller.signal.aborted) return;
    controller.abort();
    told();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) {
    if (signal === 'SIGHUP') process.on(signal, stop);
    else process.once(signal, stop);
  }
  whenUnread = stop;
  return { signal: controller.signal, release: () => signals.forEach((signal) => process.off(signal, stop)) };
}

/** What to tell about an error: one Spanish sentence, or the stack of an unexpected one. */
export function explain(error: unknown): string {
  if (error instanceof UserError) return error.message;
  if (error instanceof RangeError && /allocat|out of memory/i.test(error.message)) {
    return `Falta memoria (${error.message}): cierra otros programas, quita el límite que tenga el proceso o elige un modelo menor.`;
  }
  if (!(error instanceof Error)) return `Error inesperado: ${String(error)}`;
  const { code, path } = error as NodeJS.ErrnoException;
  const where = path ? ` al escribir «${path}»` : '';
  if (code === 'ENOSPC') return `El disco está lleno${where}: libera espacio y repite la orden.`;
  if (code === 'EACCES' || code === 'EROFS') {
    return `Falta permiso${path ? ` para usar «${path}»` : ' en una carpeta'}: elige otra carpeta o cambia sus permisos.`;
  }
  return error.stack ?? error.message;
}

/** As it would be typed again. */
export function commandLine(command: string, argv: readonly string[]): string {
  const typed = argv.map((word) => (/^[\w./=,:+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return [command, ...(typed.length > 0 ? ['--', ...typed] : [])].join(' ');
}
