import { join } from 'node:path';
import { afterEach, vi } from 'vitest';

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Those that a process of its own would not have heard; `runCommand` adds one to each. */
const streams = [process.stdout, process.stderr].map((stream) => ({ stream, heard: stream.listeners('error') }));
let runs = 0;

afterEach(() => {
  process.exitCode = undefined;
});

/**
 * A command of `src/cli` with these arguments, in this process: one of its own takes more than a second to start and to
 * import, and what it adds, each command's tests see once.
 */
export async function run(program: string, ...args: string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const typed = process.argv;
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text, ...rest) => {
      written[name] += String(text);
      const heard = rest.at(-1);
      if (typeof heard === 'function') (heard as () => void)();
      return true;
    }));
  process.argv = [process.execPath, program, ...args];
  process.exitCode = undefined;
  try {
    // What it imports stays as it is; the command itself is another module each time, and runs.
    await import(/* @vite-ignore */ join(import.meta.dirname, `../../src/cli/${program}.ts?run=${runs++}`));
    return { ...written, status: process.exitCode ?? 0 };
  } finally {
    process.argv = typed;
    process.exitCode = undefined;
    spies.forEach((spy) => spy.mockRestore());
    for (const { stream, heard } of streams) {
      for (const listener of stream.listeners('error')) {
        if (!heard.includes(listener)) stream.off('error', listener as () => void);
      }
    }
  }
}
