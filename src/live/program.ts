import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { platform } from 'node:process';
import { createInterface } from 'node:readline';
import { childMessage } from './protocol.ts';
import type { ChildMessage, Order } from './protocol.ts';

export type Heard = Extract<ChildMessage, { type: 'header' | 'event' }>;

/** Of what a program prints, a line is cut here. */
const longestLine = 500;

/** What native TensorFlow logs as it starts, in each of its processes, at any level: nothing for a slide. */
const chatter = /^(WARNING: All log messages before absl|[IW]\d{4} \d\d:\d\d:[\d.]+ +\d+ [\w.]+:\d+\] )/;

/**
 * The process of one run. It starts at once and waits for its order with everything in memory, so that little passes
 * from the order to its first event.
 */
export class Program {
  /** Resolves when it waits for its order, or is gone. */
  readonly ready: Promise<void>;
  private readonly child: ChildProcess;
  private readonly gone: Promise<void>;
  private hear: (message: ChildMessage) => void = () => {};

  /** @param command the arguments of Node */
  constructor(command: readonly string[]) {
    // Its standard input is never written: when this process is gone, it closes, and the child ends itself.
    this.child = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'pipe', 'ipc'], detached: platform === 'linux' });
    this.child.stdin!.on('error', () => {});
    if (this.child.pid !== undefined) giveWay(this.child.pid);
    this.gone = new Promise((resolve) => {
      this.child.on('exit', () => resolve());
      this.child.on('error', () => resolve());
    });
    this.ready = new Promise((resolve) => {
      void this.gone.then(resolve);
      this.child.on('message', (value) => {
        const message = childMessage.safeParse(value);
        if (!message.success) return; // an edited program may send what it likes
        if (message.data.type === 'ready') resolve();
        this.hear(message.data);
      });
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        if (chatter.test(line)) return;
        this.hear({ type: 'event', event: { type: 'text', text: line.slice(0, longestLine) }, sentAt: Date.now() });
      });
    }
  }

  get alive(): boolean {
    return this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /**
   * Gives the order, and resolves when the program has come to its end.
   * @throws Error in Spanish when it fails or is killed
   */
  async run(order: Order, heard: (message: Heard) => void): Promise<void> {
    await this.ready;
    await new Promise<void>((resolve, reject) => {
      this.hear = (message) => {
        if (message.type === 'finished') setImmediate(resolve); // what it printed before has come by another pipe
        else if (message.type === 'failed') reject(new Error(`La ejecución en vivo ha fallado: ${message.message}`));
        else if (message.type !== 'ready') heard(message);
      };
      void this.gone.then(() => reject(new Error('La ejecución en vivo ha muerto.')));
      if (this.child.connected) this.child.send(order, () => {});
    });
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    this.hear = () => {};
    this.child.kill('SIGKILL');
    await this.gone;
  }
}

/**
 * A run computes on all cores, and the next one's process loads meanwhile: the windows and the server go before both,
 * or each event waits to be seen. To be called before the process starts its threads, which take after it.
 */
function giveWay(pid: number): void {
  const later = constants.priority.PRIORITY_BELOW_NORMAL;
  setPriority(pid, later);
  if (platform !== 'linux') return;
  try { // Linux shares its cores out among sessions, where the kernel groups by them, and by priority only within one
    writeFileSync(`/proc/${pid}/autogroup`, String(later));
  } catch { /* no such groups */ }
}
