import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

describe.skipIf(process.platform !== 'linux')('under a limit of addresses', () => {
  const start = (limit: string, options = '') => spawnSync(
    'sh', ['-c', `ulimit -v ${limit} && exec "$0" --import ./src/start.js --eval 'console.log("started")'`, process.execPath],
    { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: options } });

  it('that leaves WebAssembly no room, a program says so in one sentence in place of a stack', () => {
    const { status, stderr } = start('24000000');
    expect(stderr).toMatch(/^El límite de memoria virtual [^\n]+«ulimit -v unlimited»[^\n]+\.\n$/);
    expect(status).toBe(1);
  });

  it('it starts by what the sentence advises', () => {
    const { stdout, stderr } = start('24000000', '--disable-wasm-trap-handler');
    expect(stderr).toBe('');
    expect(stdout).toBe('started\n');
  });
});
