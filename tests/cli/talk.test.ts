import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { run } from './command.ts';

/** The command itself: resolves when it has ended. */
function talk(args: string[], onUrl?: (url: string, end: () => void) => Promise<void>) {
  const child = spawn(process.execPath, ['--import', './src/start.js', 'src/cli/talk.ts', ...args]);
  const outcome = { stdout: '', stderr: '' };
  let told = false;
  child.stdout.on('data', (bytes: Buffer) => {
    outcome.stdout += String(bytes);
    const url = /^(http:\S+)\n/.exec(outcome.stdout)?.[1];
    if (!url || told) return;
    told = true;
    void onUrl?.(url, () => child.kill('SIGTERM'));
  });
  child.stderr.on('data', (bytes: Buffer) => (outcome.stderr += String(bytes)));
  return new Promise<typeof outcome & { code: number | null }>((resolve) =>
    child.on('close', (code) => resolve({ ...outcome, code })));
}

describe('npm run talk', () => {
  it('serves the deck under a policy that lets its own scripts run and no others, and ends when told', async () => {
    let page = '';
    let policy = '';
    const { code, stderr } = await talk(['--replay', '--port', '0'], async (url, end) => {
      const response = await fetch(url);
      page = await response.text();
      policy = response.headers.get('content-security-policy')!;
      end();
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(page.match(/<section/g)).toHaveLength(10);
    for (const id of ['quantization', 'checkpointing', 'qlora']) expect(page).toContain(`data-experimento="${id}"`);
    expect(page.match(/class="bespoke-marp-note"/g)).toHaveLength(10);
    expect(policy).toMatch(/^default-src 'none'; script-src 'self' ('sha256-[\w+/=]+' ?)+; /);
    expect(policy).not.toMatch(/script-src[^;]*unsafe|https?:|\*/);
  }, 120_000);

  it.each([
    [['--speed', '3'], '--speed no cambia nada sin --replay: quítala.'],
    [['--replay', '--budget', '9'], '--budget no cambia nada con --replay: quítala.'],
    [['--port', '99999'], 'La opción --port espera un puerto'],
  ])('refuses %j in one sentence', async (args, expected) => {
    const { status, stderr } = await run('talk', ...args);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^[^\n]+\.\n$/);
    expect(stderr).toContain(expected);
  }, 120_000);

  it.each([
    [['--deck', 'nowhere.md', '--port', '0'], '«nowhere.md»'],
    [['--host', '192.0.2.1', '--port', '0', '--replay'], '«192.0.2.1» no es de esta máquina'],
  ])('refuses %j in one sentence, and leaves nothing that would keep the process', async (args, expected) => {
    const { code, stderr } = await talk(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^[^\n]+\.\n$/);
    expect(stderr).toContain(expected);
  }, 120_000);
});
