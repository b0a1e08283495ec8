import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hostsOf, lookUrls, serve, whyNotListening } from '../../src/live/server.ts';
import type { TalkServer } from '../../src/live/server.ts';
import type { Message } from '../../src/live/state.ts';
import { Talk } from '../../src/live/talk.ts';
import { experiments } from '../../src/runs/experiments.ts';
import { record } from '../deck/record.ts';

const child = join(import.meta.dirname, 'child.mjs');

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe('the server of a talk', () => {
  let talk: Talk;
  let server: TalkServer;
  let port: number;
  let token: string;
  const edits: string[] = [];
  const failures: unknown[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'server-'));
  const program = join(folder, 'programa.ts');

  beforeAll(async () => {
    // Experiments that are the stand-in's: what they do is in their ids.
    const { qlora } = experiments;
    writeFileSync(program, '// #region parte\nuno();\n// #endregion\n');
    talk = new Talk({
      experiments: { good: qlora, busy: qlora, own: { ...qlora, file: program, region: 'parte' } }, command: [child], read: () => record(), finished: () => {},
      timed: (clock) => ({ startedAt: '2026-03-02T10:00:00.000Z', slides: clock.spent.map((time) => ({ title: 'x', share: 1, seconds: time })) }),
      limits: () => ({ budget: 20, silence: 20 }),
      checker: { check: async (_experiment, code) => (edits.push(code), [{ line: 0, column: 0, length: 1, message: 'no' }]) },
    });
    const page = { html: '<title>charla</title>', policy: "default-src 'none'" };
    server = await serve({ talk, page: () => page, script: 'script()', host: '127.0.0.1', port: 0, failed: (error) => failures.push(error) });
    const url = new URL(server.url);
    port = Number(url.port);
    token = url.searchParams.get('clave')!;
  });
  afterAll(async () => {
    await talk.close();
    await server.close();
    rmSync(folder, { recursive: true });
  });

  /** As it is on the wire: `fetch` would tidy paths and headers up. */
  const ask = (method: string, path: string, headers: Record<string, string | undefined> = {}, body = '') =>
    new Promise<Answer>((resolve, reject) => {
      const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
      const sent = request({ port, host: '127.0.0.1', method, path, headers: given, agent: false }, (response) => {
        let text = '';
        response.on('data', (bytes: Buffer) => (text += String(bytes)));
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
        if (response.headers['content-type'] === 'text/event-stream') response.destroy();
        response.on('close', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
      });
      sent.on('error', (error: NodeJS.ErrnoException) => // hung up on in the middle of too long a body
        (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve({ status: 413, headers: {}, body: '' }) : reject(error)));
      sent.end(body);
    });
  const own = () => ({
    'host': `127.0.0.1:${port}`, 'origin': `http://127.0.0.1:${port}`, 'content-type': 'application/json', 'x-clave': token,
  });
  const post = (path: string, body: object, headers = {}) => ask('POST', path, { ...own(), ...headers }, JSON.stringify(body));

  it('gives the page, its script and the stream of what happens, and nothing is kept or framed elsewhere', async () => {
    const page = await ask('GET', '/?view=presenter', { host: `127.0.0.1:${port}` });
    expect(page).toMatchObject({ status: 200, body: '<title>charla</title>' });
    expect(page.headers).toMatchObject({
      'content-security-policy': "default-src 'none'", 'cache-control': 'no-store', 'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer', 'cross-origin-resource-policy': 'same-origin',
    });
    expect(page.headers).not.toHaveProperty('access-control-allow-origin');
    expect((await ask('GET', '/live.js')).body).toBe('script()');
    expect((await ask('GET', '/events')).headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  });

  it('tells a window the state first and then what happens, for as long as it is there', async () => {
    const gone = vi.fn<() => void>();
    let tell: (message: Message) => void = () => {};
    const subscribe = vi.spyOn(talk, 'subscribe').mockImplementationOnce((listener) => {
      tell = listener;
      return gone;
    });
    let told = '';
    const window = request({ port, host: '127.0.0.1', path: '/events' }, (response) => response.on('data', (text) => (told += String(text))));
    window.on('error', () => {}).end();
    const messages = () => [...told.matchAll(/^data: (.*)\n\n/gm)].map(([, json]) => JSON.parse(json!) as Message);
    await expect.poll(messages).toEqual([{ type: 'state', state: JSON.parse(JSON.stringify(talk.state)) as object }]);
    tell({ type: 'deck', deck: 7 });
    await expect.poll(() => messages().slice(1)).toEqual([{ type: 'deck', deck: 7 }]);
    expect(gone).not.toHaveBeenCalled();
    window.destroy();
    await expect.poll(() => gone.mock.calls.length).toBe(1);
    subscribe.mockRestore();
  });

  it('listens on this machine alone', () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?clave=[\w-]{24}$/);
  });

  it('does what a window of its own asks: runs, edits, stops, opens, sets the clock', async () => {
    expect((await post('/run', { id: 'busy', code: 'otro' })).status).toBe(204);
    expect(edits).toEqual(['otro']);
    expect(talk.state.experiments.busy).toMatchObject({ open: true, code: 'otro', run: { source: 'live', edited: true } });
    expect((await post('/run', { id: 'good' })).status).toBe(409); // one at a time
    expect((await post('/stop', {})).status).toBe(204);
    expect(talk.state.experiments.busy!.run!.state).toBe('stopped');
    expect((await post('/edit', { id: 'busy', code: talk.state.experiments.busy!.original })).status).toBe(204);
    expect(talk.state.experiments.busy!.problems).toEqual([]);
    expect((await post('/open', { id: 'busy', open: false })).status).toBe(204);
    expect(talk.state.experiments.busy!.open).toBe(false);
    expect((await post('/page', { id: 'busy', page: 1 })).status).toBe(204);
    expect(talk.state.experiments.busy!.page).toBe(1);
    expect((await post('/clock', { runs: true, slide: 1 })).status).toBe(204);
    expect(Date.now() - talk.state.clock!.startedAt).toBeLessThan(5000);
    expect((await post('/slide', { slide: 2 })).status).toBe(204);
    expect(talk.state.clock).toMatchObject({ slide: 2, spent: [undefined, expect.any(Number)] });
    await post('/clock', { runs: false, slide: 2 });
    expect(talk.state.clock).toBeUndefined();
    expect(talk.state.before!.slides).toHaveLength(3);
    expect((await post('/slide', { slide: 0 })).status).toBe(204); // nothing to time while the clock stands
    expect(talk.state.clock).toBeUndefined();
  });

  it('keeps every event once, in order, for a window that opens late', async () => {
    await post('/run', { id: 'good' });
    await expect.poll(() => talk.state.experiments.good!.run?.state, { timeout: 20_000 }).toBe('finished');
    const texts = talk.state.experiments.good!.run!.events.map((event) => (event.type === 'text' ? event.text : event.type));
    expect(texts.filter((text) => !/^(impreso|largo)/.test(text))).toEqual(['uno', 'result']);
  });

  it('refuses every hostile request, and nothing happens', async () => {
    const before = JSON.stringify(talk.state);
    const host = `127.0.0.1:${port}`;
    const evil = 'http://evil.example';
    const run = (changes: Record<string, string | undefined>) => ask('POST', '/run', { ...own(), ...changes }, '{"id":"good"}');
    const code = 'x'.repeat(70_000);
    const requests: Record<string, [Promise<Answer>, number]> = {
      'DNS rebinding reads the page': [ask('GET', '/', { host: 'evil.example' }), 403],
      'DNS rebinding reads the stream': [ask('GET', '/events', { host: `evil.example:${port}` }), 403],
      'DNS rebinding runs': [run({ host: `evil.example:${port}`, origin: `http://evil.example:${port}` }), 403],
      'another port of this machine': [run({ host: '127.0.0.1:80' }), 403],
      'another site runs': [run({ 'origin': evil, 'sec-fetch-site': 'cross-site' }), 403],
      'another site runs with a form': [run({ 'origin': evil, 'content-type': 'text/plain', 'x-clave': undefined }), 403],
      'another site reads the stream': [ask('GET', '/events', { host, 'origin': evil, 'sec-fetch-site': 'cross-site' }), 403],
      'another site loads the script': [ask('GET', '/live.js', { host, 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'script' }), 403],
      'another site frames the page': [ask('GET', '/', { host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }), 403],
      'another local page runs': [run({ 'origin': 'http://127.0.0.1:3000', 'sec-fetch-site': 'same-site' }), 403],
      'another local page edits': [post('/edit', { id: 'good', code: '1' }, { origin: 'http://localhost:3000' }), 403],
      'another local page stops': [post('/stop', {}, { origin: 'http://localhost:3000' }), 403],
      'a page in a file runs': [run({ origin: 'null' }), 403],
      'no origin': [run({ origin: undefined }), 403],
      'no token': [run({ 'x-clave': undefined }), 403],
      'a wrong token': [run({ 'x-clave': 'x'.repeat(24) }), 403],
      'a token in the address': [ask('POST', `/run?clave=${token}`, { ...own(), 'x-clave': undefined }, '{"id":"good"}'), 403],
      'asks beforehand, as a foreign page must': [ask('OPTIONS', '/run', { host, 'origin': evil, 'access-control-request-method': 'POST' }), 405],
      'runs by GET': [ask('GET', '/run?id=good', own()), 404],
      'another method': [ask('PUT', '/run', own(), '{"id":"good"}'), 405],
      'a file of the project': [ask('GET', '/package.json', { host }), 404],
      'a path upwards': [ask('GET', '/../../etc/passwd', { host }), 404],
      'a path upwards, written otherwise': [ask('GET', '/%2e%2e/%2e%2e/etc/passwd', { host }), 404],
      'a path upwards after a known one': [ask('GET', '/live.js/../../package.json', { host }), 404],
      'an absolute address': [ask('GET', 'http://evil.example/etc/passwd', { host }), 404],
      'a bad address': [ask('GET', '//', { host }), 404],
      'an experiment that is a file': [post('/run', { id: '../../etc/passwd' }), 400],
      'an experiment that every object has': [post('/run', { id: 'constructor' }), 400],
      'no experiment': [post('/run', {}), 400],
      'no JSON': [ask('POST', '/run', own(), '{'), 400],
      'code that is no text': [post('/edit', { id: 'good', code: { a: 1 } }), 400],
      'a slide that is none': [post('/slide', { slide: -1 }), 400],
      'a page that is none': [post('/page', { id: 'good', page: 1e9 }), 400],
      'code that is too long': [post('/edit', { id: 'good', code }), 413],
      'a body that never ends': [ask('POST', '/edit', own(), 'x'.repeat(5_000_000)), 413],
      'an unknown request': [post('/eval', { id: 'good' }), 404],
      'a request that every object has': [post('/__proto__', { id: 'good' }), 404],
    };
    for (const [what, [answer, status]] of Object.entries(requests)) expect((await answer).status, what).toBe(status);
    process.stdout.write(`  [talk] ${Object.keys(requests).length} hostile requests, all refused\n`);
    expect(JSON.stringify(talk.state)).toBe(before);
  });

  it('goes on, and says why, when a program cannot be read or what was edited cannot be written', async () => {
    writeFileSync(program, '// #region parte\ndos();\n');
    talk.sourcesChanged();
    expect(talk.state.experiments.own).toMatchObject({ code: 'uno();', original: 'uno();' });
    const refused = await post('/run', { id: 'own', code: 'tres();' });
    expect(refused.status).toBe(500);
    expect(refused.body).toContain('«parte»');
    expect(failures.map((error) => (error as Error).message)).toEqual([refused.body]);
    expect(talk.busy).toBe(false);
    writeFileSync(program, '// #region parte\ncuatro();\n// #endregion\n');
    talk.sourcesChanged();
    expect(talk.state.experiments.own!.original).toBe('cuatro();');
    expect((await post('/run', { id: 'own' })).status).toBe(204);
    expect((await post('/stop', {})).status).toBe(204);
  });

  it('says that a port is taken, and that an address is not of this machine', async () => {
    const options = { talk, page: () => ({ html: '', policy: '' }), script: '', failed: () => {} };
    await expect(serve({ ...options, host: '127.0.0.1', port })).rejects.toThrow(`El puerto ${port} está ocupado`);
    await expect(serve({ ...options, host: '192.0.2.1', port: 0 })).rejects.toThrow('no es de esta máquina');
    await expect(serve({ ...options, host: 'fe80::1', port: 0 })).rejects.toThrow('no es de esta máquina');
    await expect(serve({ ...options, host: 'fe80::1%eth0', port: 0 })).rejects.toThrow('Ningún navegador abre');
  });

  it.each([
    ['EACCES', 'No hay permiso para usar el puerto 80: elige otro con --port, de 1024 en adelante.'],
    // without a network, a name is not looked up; without IPv6, ::1 is none
    ['EAI_AGAIN', 'La dirección «portatil» no es de esta máquina: elige otra con --host.'],
    ['EAFNOSUPPORT', 'La dirección «portatil» no es de esta máquina: elige otra con --host.'],
    ['EINVAL', 'La dirección «portatil» no es de esta máquina: elige otra con --host.'],
  ])('tells %s in a sentence', (code, sentence) => {
    expect(whyNotListening(Object.assign(new Error('listen'), { code }), 'portatil', 80)).toMatchObject({ message: sentence });
  });

  it.each([
    ['127.0.0.1', 80, ['127.0.0.1', 'localhost']], // no browser tells HTTP's own port
    ['127.0.0.1', 8080, ['127.0.0.1:8080', 'localhost:8080']],
    ['127.1', 8080, ['127.0.0.1:8080', 'localhost:8080']],
    ['LOCALHOST', 8080, ['localhost:8080']],
    ['0:0:0:0:0:0:0:1', 8080, ['[::1]:8080']],
  ])('is known under the names that a browser has for %s and port %i', (host, port, names) => {
    expect([...hostsOf(host, port)]).toEqual(names);
  });

  it('is known under all its addresses when it listens on all, however that is written', () => {
    for (const host of ['0.0.0.0', '0', '::', '0::0']) {
      expect([...hostsOf(host, 80)].slice(0, 3)).toEqual(['127.0.0.1', 'localhost', '[::1]']);
    }
  });
});

describe('who looks from another machine', () => {
  it('is told where, without the key, if the server can be reached from there', () => {
    expect(lookUrls(hostsOf('127.0.0.1', 8080))).toEqual([]);
    expect(lookUrls(new Set(['127.0.0.1:8080', 'localhost:8080', '[::1]:8080', '127.0.0.1:8080', '192.0.2.5:8080', '[fe80::1]:8080'])))
      .toEqual(['http://192.0.2.5:8080/']);
    expect(lookUrls(hostsOf('portatil.local', 80))).toEqual(['http://portatil.local/']);
  });
});

describe('the process of a run', () => {
  // A program that starts one and tells its pid, and that is then ended in some way.
  const parent = (endlessly: boolean) => spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', `
    import { Program } from './src/live/program.ts';
    const program = new Program(${JSON.stringify(['--import', 'tsx', '--input-type=module', '--eval', `
      import { holdLifeline } from './src/lifeline.ts';
      holdLifeline();
      setTimeout(() => { process.send({ type: 'ready' }); ${endlessly ? 'setTimeout(() => { for (;;); }, 50);' : 'setInterval(() => {}, 1000);'} }, 200);
    `])});
    await program.ready;
    console.log(program.pid);
    setInterval(() => {}, 1000);
  `], { stdio: ['ignore', 'pipe', 'inherit'] });

  it.each([
    ['SIGTERM', 'it waits', false], ['SIGKILL', 'it waits', false], ['SIGKILL', 'it never gives its thread back', true],
  ] as const)('goes with the server that is ended by %s, while %s', async (signal, _while, endlessly) => {
    const server = parent(endlessly);
    const pid = Number(await new Promise((resolve) => server.stdout.once('data', resolve)));
    expect(() => process.kill(pid, 0)).not.toThrow();
    await new Promise((resolve) => setTimeout(resolve, 300));
    server.kill(signal);
    await expect.poll(() => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    }, { timeout: 10_000 }).toBe(false);
  }, 60_000);
});
