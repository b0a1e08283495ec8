import { Worker } from 'node:worker_threads';

/**
 * Ends this process when the one that started it is gone, however that ended: its end of our standard input closes.
 * A thread of its own, because an edited program may never give the main one back.
 */
export function holdLifeline(): void {
  new Worker(`
    const { Socket } = require('node:net');
    const input = new Socket({ fd: 0, readable: true, writable: false });
    input.resume().on('error', () => {}).on('close', () => process.kill(process.pid, 'SIGKILL'));
  `, { eval: true, execArgv: [] }).unref();
}

/** Whether a process runs, another person's too. What is no number of one does not. */
export function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
