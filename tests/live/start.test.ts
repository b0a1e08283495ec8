import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { startTalk } from '../../src/live/start.ts';
import type { StartedTalk, StartOptions } from '../../src/live/start.ts';

const folder = mkdtempSync(join(tmpdir(), 'start-'));
const deck = join(folder, 'charla.md');
const slides = (second: string) => `# Una\n\n---\n\n# ${second}\n\n^ **Notas:** Si 1 < 2, $&.\n\n---\n\n# Tres\n`;

describe('a talk', () => {
  let started: StartedTalk;
  const failures: string[] = [];
  const full = (name: string) => () => { throw new UserError(`lleno: ${name}`); };
  const options: StartOptions = {
    deck, host: '127.0.0.1', port: 0, output: join(folder, 'out'), command: [join(import.meta.dirname, 'child.mjs'), '0', 'good'],
    limits: () => ({ budget: 20, silence: 20 }), keep: full('sesión'), timed: full('tiempos'),
    failed: (error) => failures.push((error as Error).message),
  };
  const page = async () => {
    const answer = await fetch(started.url);
    return { html: await answer.text(), policy: answer.headers.get('content-security-policy')! };
  };
  const title = async () => parseHTML((await page()).html).document.querySelectorAll('h1')[1]!.textContent;

  beforeAll(async () => {
    writeFileSync(deck, slides('Dos'));
    started = await startTalk(options);
    expect(failures).toEqual(['lleno: sesión']); // as it is kept for the first time
  }, 60_000);
  beforeEach(async () => {
    writeFileSync(deck, slides('Dos'));
    await expect.poll(title).toBe('Dos');
    failures.length = 0;
  });
  afterAll(async () => {
    await started.close();
    rmSync(folder, { recursive: true });
  });

  it('goes on, and says so, when what it keeps cannot be written, as on a disk that has filled', async () => {
    const { origin, searchParams } = new URL(started.url);
    const post = async (path: string, body: object) => (await fetch(origin + path, {
      method: 'POST', body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', 'origin': origin, 'x-clave': searchParams.get('clave')! },
    })).status;
    expect(await post('/clock', { runs: true, slide: 0 })).toBe(204);
    expect(await post('/slide', { slide: 1 })).toBe(204);
    expect(started.talk.state.clock).toMatchObject({ slide: 1 });
    expect(await post('/clock', { runs: false, slide: 1 })).toBe(204);
    const told = ['sesión', 'sesión', 'tiempos', 'tiempos', 'sesión'];
    expect(failures).toEqual(told.map((name) => `lleno: ${name}`));
  });

  it("is refused at another talk's port before it ends that one's clock", async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const told: unknown[] = [];
    await expect(startTalk({
      deck, host: '127.0.0.1', port: (taken.address() as AddressInfo).port, output: join(folder, 'out'), command: [],
      replaySpeed: 1,
      limits: () => ({ budget: 1, silence: 1 }), session: { token: 'x', clock: { startedAt: 1, slide: 0, since: 1, spent: [] } },
      keep: (kept) => told.push(kept), timed: (times) => told.push(times), failed: (error) => told.push(error),
    })).rejects.toThrow('está ocupado');
    taken.close();
    expect(told).toEqual([]);
  }, 60_000);

  it('is a page of its slides in Marp’s player, with the notes of those that have some, and our script', async () => {
    const { html } = await page();
    const { document } = parseHTML(html);
    expect([...document.querySelectorAll('svg[data-marpit-svg] h1')].map((title) => title.textContent)).toEqual(['Una', 'Dos', 'Tres']);
    const notes = [...document.querySelectorAll('.bespoke-marp-note')];
    expect(notes.map((note) => [note.getAttribute('data-index'), note.innerHTML])).toEqual([['1', '<p>Si 1 &lt; 2, $&amp;.</p>']]);
    expect(html).toMatch(/<script src="live\.js"><\/script><\/body>/);
    expect([...document.querySelectorAll('head style')].at(-1)!.textContent).toContain('@font-face'); // the theme's, where it is drawn again
  });

  it('may run the scripts that are in it and its own, and nothing from elsewhere', async () => {
    const { html, policy } = await page();
    const inside = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, text]) => createHash('sha256').update(text!).digest('base64'));
    expect(inside.length).toBeGreaterThan(0);
    const scripts = /script-src ([^;]+)/.exec(policy)![1]!.split(' ');
    expect(scripts).toEqual(["'self'", ...new Set(inside.map((hash) => `'sha256-${hash}'`))]);
    expect(policy).toMatch(/^default-src 'none';/);
    expect(policy).not.toMatch(/https?:|\*/);
  });

  it('is drawn again when its text is edited; what cannot be drawn is told, and the last good page stays', async () => {
    const before = started.talk.state.deck;
    writeFileSync(deck, slides('Otra'));
    await expect.poll(title).toBe('Otra');
    const drawn = started.talk.state.deck;
    expect(drawn).toBeGreaterThan(before); // by which windows draw it, too
    writeFileSync(deck, slides('![Nada](run:qlora/nada)'));
    await expect.poll(() => failures.splice(0).join()).toContain('nada');
    expect(await title()).toBe('Otra');
    expect(started.talk.state.deck).toBe(drawn);
    writeFileSync(deck, slides('Y otra'));
    await expect.poll(title).toBe('Y otra');
  });

  it('leaves the record of a run that has come to its end', async () => {
    started.talk.run('qlora');
    const file = join(folder, 'out', 'qlora', 'run.json');
    await expect.poll(() => existsSync(file)).toBe(true);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ id: 'x', results: { a: 1 } });
  });
});
