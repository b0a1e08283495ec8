import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { startTalk } from '../../src/live/start.ts';

const folder = mkdtempSync(join(tmpdir(), 'start-'));
const deck = join(folder, 'charla.md');

beforeAll(() => writeFileSync(deck, '# Una\n\n---\n\n# Dos\n'));
afterAll(() => rmSync(folder, { recursive: true }));

it('goes on, and says so, when what it keeps cannot be written, as on a disk that has filled', async () => {
  const failures: string[] = [];
  const full = (name: string) => () => { throw new UserError(`lleno: ${name}`); };
  const { url, talk, close } = await startTalk({
    deck, host: '127.0.0.1', port: 0, output: join(folder, 'out'), command: [], replaySpeed: 1,
    limits: () => ({ budget: 1, silence: 1 }), keep: full('sesión'), timed: full('tiempos'),
    failed: (error) => failures.push((error as Error).message),
  });
  const { origin, searchParams } = new URL(url);
  const post = async (path: string, body: object) => (await fetch(origin + path, {
    method: 'POST', body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', 'origin': origin, 'x-clave': searchParams.get('clave')! },
  })).status;
  try {
    expect(await post('/clock', { runs: true, slide: 0 })).toBe(204);
    expect(await post('/slide', { slide: 1 })).toBe(204);
    expect(talk.state.clock).toMatchObject({ slide: 1 });
    expect(await post('/clock', { runs: false, slide: 1 })).toBe(204);
  } finally {
    await close();
  }
  expect(failures).toEqual(['sesión', 'sesión', 'sesión', 'tiempos', 'tiempos', 'sesión'].map((name) => `lleno: ${name}`));
}, 60_000);

it("is refused at another talk's port before it ends that one's clock", async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const told: unknown[] = [];
  await expect(startTalk({
    deck, host: '127.0.0.1', port: (taken.address() as AddressInfo).port, output: join(folder, 'out'), command: [], replaySpeed: 1,
    limits: () => ({ budget: 1, silence: 1 }), session: { token: 'x', clock: { startedAt: 1, slide: 0, since: 1, spent: [] } },
    keep: (kept) => told.push(kept), timed: (times) => told.push(times), failed: (error) => told.push(error),
  })).rejects.toThrow('está ocupado');
  taken.close();
  expect(told).toEqual([]);
}, 60_000);
