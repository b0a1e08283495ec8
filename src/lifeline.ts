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
