import { spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silent } from '../../src/checkpoint/download.ts';
import type { DownloadProgress, DownloadShow } from '../../src/checkpoint/download.ts';
import { fetchRepository, hubSettings, parseHubName } from '../../src/checkpoint/hub.ts';
import type { HubSettings, Wanted } from '../../src/checkpoint/hub.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';
import { gitHash, HubServer, sha256 } from './hub-server.ts';

const at = temporaryFolder();
const hub = new HubServer();
beforeAll(() => hub.open());
afterAll(() => hub.close());

const weights = Buffer.alloc(1_000_000, 'weights of a model, ');
const config = Buffer.from('{"model_type": "llama"}');
const token = 'hf_secret';

let cases = 0;
let cache = '';
let commit = '';
beforeEach(() => {
  cache = at(`cache-${cases++}`); // of its own for each test
  hub.calm();
  commit = hub.add('models/org/tiny', { 'config.json': config, 'model.safetensors': weights, 'README.md': 'x', 'data/a': 'y' }).commit;
  hub.add('models/org/private', { 'config.json': config }, { token });
  hub.add('models/org/gated', { 'config.json': config }, { token, gated: true });
  hub.takeServed();
});

const settings = (changes: Partial<HubSettings> = {}) => hub.settings(cache, changes);
const both = ['config.json', 'model.safetensors'];
const wanted = (changes: Partial<Wanted> = {}): Wanted =>
  ({ kind: 'model', name: 'org/tiny', revision: 'main', choose: () => both, ...changes });
const fetchTiny = (changes: Partial<HubSettings> = {}, show: DownloadShow = silent) =>
  fetchRepository(wanted(), show, settings(changes));
const expectWhole = (files: readonly string[]) =>
  expect(files.map((file) => sha256(readFileSync(file)))).toEqual([config, weights].map(sha256));
const root = () => join(cache, 'models--org--tiny');
const blobs = () => readdirSync(join(root(), 'blobs'));
const blob = join('blobs', sha256(weights));
/** What a process that died, or one that lives, has of the weights. */
const leavePartial = (pid: number, bytes: Buffer) => {
  mkdirSync(join(root(), 'blobs'), { recursive: true });
  const host = os.hostname().replaceAll(/[^\w.]/g, '_');
  writeFileSync(join(root(), `${blob}.${host}-${pid}.incomplete`), bytes);
};

describe('a download', () => {
  it('leaves the layout of Python\'s client: blobs by their sums, a snapshot of links, the commit of the branch', async () => {
    const { folder, files, pin } = await fetchTiny();
    expect(pin).toEqual({ kind: 'model', name: 'org/tiny', revision: commit });
    expect(folder).toBe(join(root(), 'snapshots', commit));
    expectWhole(files);
    expect(blobs().sort()).toEqual([gitHash(config), sha256(weights)].sort());
    expect(readlinkSync(join(folder, 'model.safetensors'))).toBe(join('..', '..', blob));
    expect(readFileSync(join(root(), 'refs', 'main'), 'utf8')).toBe(commit);
  });

  it('takes only what was chosen, whatever the pages of the listing', async () => {
    hub.pageSize = 1;
    await fetchTiny();
    expect(hub.takeServed().map(({ path }) => path)).toEqual(both);
  });

  it('tells how far it is', async () => {
    const told: DownloadProgress[] = [];
    const lines: string[] = [];
    await fetchTiny({}, { progress: (progress) => void told.push(progress), line: (text) => void lines.push(text) });
    expect(lines).toEqual([`Descarga «org/tiny» (commit ${commit.slice(0, 10)}): 2 archivos, 976,6 KiB`]);
    const total = config.length + weights.length;
    expect(told.filter(({ complete }) => complete)).toMatchObject([
      { name: 'org/tiny', index: 1, files: 2, file: 'config.json', bytes: config.length, totalBytes: total },
      { name: 'org/tiny', index: 2, files: 2, file: 'model.safetensors', bytes: total, totalBytes: total },
    ]);
    expect(told.at(-1)!.bytesPerSecond).toBeGreaterThan(0);
  });

  it('takes a branch, and a commit in its place', async () => {
    hub.repositories.get('models/org/tiny')!.branches.add('refs/pr/1');
    expect((await fetchRepository(wanted({ revision: 'refs/pr/1' }), silent, settings())).pin.revision).toBe(commit);
    expect(readFileSync(join(root(), 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(commit);
    expect((await fetchRepository(wanted({ revision: commit }), silent, settings())).pin.revision).toBe(commit);
    expect(existsSync(join(root(), 'refs', commit))).toBe(false);
  });

  it('shows the token to the hub and not to the server that it sends us to', async () => {
    await fetchRepository(wanted({ name: 'org/private', choose: () => ['config.json'] }), silent, settings({ token }));
    expect(hub.takeServed().map(({ authorization }) => authorization)).toEqual([undefined]);
  });
});

describe('what is in the cache', () => {
  it('is not asked for again', async () => {
    await fetchTiny();
    hub.takeServed();
    await fetchTiny();
    expect(hub.asked.every((path) => path.startsWith('/api/'))).toBe(true);
    expect(hub.takeServed()).toEqual([]);
  });

  it('is shared by the commits that have it', async () => {
    await fetchTiny();
    hub.add('models/org/tiny', { 'config.json': '{}', 'model.safetensors': weights });
    hub.takeServed();
    const { folder, pin } = await fetchTiny();
    expect(pin.revision).not.toBe(commit);
    expect(hub.takeServed().map(({ path }) => path)).toEqual(['config.json']);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  });

  it('is used where Python could make no links: the file lies in the snapshot itself', async () => {
    mkdirSync(join(root(), 'snapshots', commit), { recursive: true });
    writeFileSync(join(root(), 'snapshots', commit, 'model.safetensors'), weights);
    await fetchTiny();
    expect(hub.takeServed().map(({ path }) => path)).toEqual(['config.json']);
  });

  it('is fetched again if it has not its size', async () => {
    const { files } = await fetchTiny();
    writeFileSync(files[1]!, 'cut');
    hub.takeServed();
    await fetchTiny();
    expect(hub.takeServed().map(({ path }) => path)).toEqual(['model.safetensors']);
    expectWhole(files);
  });
});

describe('a broken transfer', () => {
  it('goes on where it stopped, and no byte is sent twice', async () => {
    hub.trouble('model.safetensors', { cutAfter: 300_000 }, { cutAfter: 200_000 });
    const { files } = await fetchTiny();
    expectWhole(files);
    const served = hub.takeServed().filter(({ path }) => path === 'model.safetensors');
    expect(served[0]!.range).toBeUndefined();
    // What was sent and was lost with the connection is asked for again; what arrived is not.
    for (const { range } of served.slice(1)) expect(range).toMatch(/^bytes=\d{5,}-999999$/);
    const starts = served.slice(1).map(({ range }) => Number(/\d+/.exec(range!)![0]));
    expect(starts[0]).toBeLessThanOrEqual(300_000);
    expect(starts[1]! - starts[0]!).toBeLessThanOrEqual(200_000);
    expect(served.at(-1)!.sent).toBe(weights.length - starts.at(-1)!);
  });

  it('goes on in another process from what a dead one left', async () => {
    leavePartial(2 ** 22 + 1, weights.subarray(0, 700_000)); // above the largest process number of Linux
    await fetchTiny();
    const [, served] = hub.takeServed();
    expect(served).toMatchObject({ range: 'bytes=700000-999999', sent: 300_000 });
    expect(blobs()).toHaveLength(2); // nothing partial is left
  });

  it('that another process has given up is gone on with, though it lives', async () => {
    leavePartial(process.ppid, weights.subarray(0, 700_000));
    const [name] = readdirSync(join(root(), 'blobs'));
    utimesSync(join(root(), 'blobs', name!), 0, 0);
    await fetchTiny();
    expect(hub.takeServed().at(-1)!.range).toBe('bytes=700000-999999');
  });

  it('is not begun again for ever, where the server neither ends it nor goes on with it', async () => {
    hub.trouble('model.safetensors', ...Array.from({ length: 6 }, () => [{ cutAfter: 300_000 }, { ignoreRange: true } as const]).flat());
    expect(await userErrorFrom(fetchTiny(), 'model.safetensors')).toMatch(/se ha cortado/);
  });

  it('whose silence is too long is broken and gone on with', async () => {
    hub.trouble('model.safetensors', { stallAfter: 500_000 });
    const { files } = await fetchTiny({ timeout: 300 });
    expectWhole(files);
    expect(hub.takeServed().at(-1)!.range).toMatch(/^bytes=\d+-999999$/);
  });

  it('begins again if the server sends the whole in place of the rest', async () => {
    leavePartial(2 ** 22 + 1, weights.subarray(0, 700_000));
    hub.trouble('model.safetensors', { ignoreRange: true });
    const { files } = await fetchTiny();
    expectWhole(files);
  });

  it('that brings nothing again and again is given up, and what came is kept', async () => {
    hub.trouble('model.safetensors', { cutAfter: 400_000 }, ...Array.from({ length: 5 }, () => ({ cutAfter: 0 })));
    const message = await userErrorFrom(fetchTiny(), 'model.safetensors');
    expect(message).toMatch(/se ha cortado .*seguirá donde quedó/);
    const [left] = blobs().filter((name) => name.endsWith('.incomplete'));
    expect(statSync(join(root(), 'blobs', left!)).mtimeMs).toBe(0); // for another process to take
    hub.takeServed();
    await fetchTiny();
    expect(hub.takeServed()).toMatchObject([{ range: expect.stringMatching(/^bytes=\d{5,}-999999$/) as string }]);
  });
});

describe('a file that is not what the hub says', () => {
  it.each(both)('%s is refused and removed', async (path) => {
    hub.lieAbout = path;
    const message = await userErrorFrom(fetchTiny(), path);
    expect(message).toContain(path === 'config.json' ? gitHash(config) : sha256(weights));
    expect(message).toMatch(/se ha borrado/);
    expect(blobs().filter((name) => name.includes('incomplete'))).toEqual([]);
    expect(existsSync(join(root(), 'snapshots', commit, path))).toBe(false);
  });

  it('so is a partial one that was another\'s', async () => {
    leavePartial(2 ** 22 + 1, Buffer.alloc(700_000, 'other'));
    expect(await userErrorFrom(fetchTiny(), 'model.safetensors')).toContain(sha256(weights));
    expect((await fetchTiny()).files).toHaveLength(2); // the second time it is fetched whole
  });
});

describe('two at once', () => {
  it('the second waits for the first, and one download serves both', { timeout: 60_000 }, async () => {
    hub.pace = 40; // sixteen pieces: more than half a second
    const program = `
      import { fetchRepository } from './src/checkpoint/hub.ts';
      const lines = [];
      const { files } = await fetchRepository(
        { kind: 'model', name: 'org/tiny', revision: 'main', choose: () => ['config.json', 'model.safetensors'] },
        { progress() {}, line: (text) => lines.push(text) }, ${JSON.stringify(settings())});
      console.log(JSON.stringify({ files, lines }));`;
    const run = () => new Promise<{ files: string[]; lines: string[] }>((done, fail) => {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program]);
      let [out, err] = ['', ''];
      child.stdout.on('data', (bytes) => (out += String(bytes)));
      child.stderr.on('data', (bytes) => (err += String(bytes)));
      child.on('close', (code) => (code === 0 ? done(JSON.parse(out) as { files: string[]; lines: string[] }) : fail(new Error(err))));
    });
    const outcomes = await Promise.all([run(), run()]);
    for (const { files } of outcomes) expectWhole(files);
    expect(blobs().sort()).toEqual([gitHash(config), sha256(weights)].sort());
    expect(lstatSync(outcomes[0]!.files[1]!).isSymbolicLink()).toBe(true);
  });

  it('a living process is waited for, and told of', async () => {
    leavePartial(process.ppid, weights.subarray(0, 10));
    const lines: string[] = [];
    const done = fetchTiny({}, { progress: () => {}, line: (text) => void lines.push(text) });
    await expect.poll(() => lines.at(-1)).toContain('Otro proceso está descargando «model.safetensors»');
    writeFileSync(join(root(), blob), weights); // it finishes
    expect(readFileSync((await done).files[1]!).equals(weights)).toBe(true);
    expect(hub.takeServed().map(({ path }) => path)).toEqual(['config.json']);
  });
});

describe('a busy server', () => {
  it('is asked again after 429 and 5xx', async () => {
    hub.trouble('config.json', { status: 503 }, { status: 429, retryAfter: '0' }, { status: 500 });
    expect((await fetchTiny()).files).toHaveLength(2);
    expect(hub.takeServed()).toHaveLength(5);
  });

  it('is given the time it asks for', async () => {
    hub.trouble('config.json', { status: 429, retryAfter: '1' });
    const began = performance.now();
    await fetchTiny();
    expect(performance.now() - began).toBeGreaterThan(950);
  });

  it.each([
    [{ status: 500 }, /falla \(HTTP 500\)/],
    [{ status: 429, retryAfter: '0' }, /pide esperar por demasiadas peticiones \(HTTP 429\)/],
  ])('that stays so is told of: %j', async (down, expected) => {
    hub.down = down;
    expect(await userErrorFrom(fetchTiny(), 'org/tiny')).toMatch(expected);
    expect(hub.asked).toHaveLength(5);
  });
});

describe('a repository that cannot be read is one sentence', () => {
  const refusal = (changes: Partial<Wanted>, reach: Partial<HubSettings> = {}) =>
    userErrorFrom(fetchRepository(wanted({ choose: () => ['config.json'], ...changes }), silent, settings(reach)), changes.name ?? 'org/tiny');

  it('a name that is not there, or private', async () => {
    expect(await refusal({ name: 'org/absent' })).toMatch(/No existe el modelo .*o es privado \(401\).*HF_TOKEN/);
    expect(await refusal({ name: 'org/private' })).toMatch(/o es privado \(401\)/);
    expect(await refusal({ name: 'org/private' }, { token: 'hf_other' })).toMatch(/tu token puede leerlo/);
    expect(await refusal({ name: 'org/tiny', kind: 'dataset' })).toContain('No existe el conjunto de datos');
  });

  it('conditions to accept', async () => {
    expect(await refusal({ name: 'org/gated' })).toMatch(new RegExp(`acéptalas en ${hub.url}/org/gated con tu cuenta y pon tu token en HF_TOKEN`));
    expect(await refusal({ name: 'org/gated' }, { token: 'hf_other' })).toMatch(/comprueba que el token/);
  });

  it('a revision that is not there', async () => {
    expect(await refusal({ revision: 'v9' })).toMatch(/no tiene la revisión «v9»/);
  });

  it('a file that is not there', async () => {
    expect(await refusal({ choose: () => ['absent.json'] })).toMatch(/falta «absent\.json»/);
  });

  it('a server that is no hub', async () => {
    expect(await refusal({}, { endpoint: `${hub.contentUrl}/models/org/tiny/README.md?` })).toMatch(/no es del hub/);
  });

  it('a listing with paths that lead out of the cache', async () => {
    hub.add('datasets/org/tiny', { '../../escaped': 'x' });
    expect(await refusal({ kind: 'dataset' })).toMatch(/no es del hub/);
  });
});

describe('without network', () => {
  let unreachable = ''; // an address where nobody listens any more
  beforeAll(async () => {
    const gone = new HubServer();
    await gone.open();
    unreachable = gone.url;
    await gone.close();
  });
  const refused = () => `No se llega a «${new URL(unreachable).host}» (ECONNREFUSED)`;

  it('the cache answers, from its branch and from its commit', async () => {
    await fetchTiny();
    hub.takeServed();
    for (const revision of ['main', commit]) {
      const { files, pin } = await fetchRepository(wanted({ revision }), silent, settings({ offline: true }));
      expectWhole(files);
      expect(pin.revision).toBe(commit);
    }
    expect(hub.asked).toEqual([]);
    const lines: string[] = [];
    const show = { progress: () => {}, line: (text: string) => void lines.push(text) };
    expectWhole((await fetchTiny({ endpoint: unreachable }, show)).files);
    expect(lines).toEqual([`${refused()}: «org/tiny» sale de la caché, commit ${commit.slice(0, 10)}.`]);
  });

  it('and nothing cached, it says what is missing and where it looked', async () => {
    expect(await userErrorFrom(fetchTiny({ offline: true }), root())).toMatch(/HF_HUB_OFFLINE .*«org\/tiny» no está en la caché/);
    expect(await userErrorFrom(fetchTiny({ endpoint: unreachable }), root())).toContain(refused());
    expect(hub.asked).toEqual([]);
  });

  it('and a part cached, it says which file is missing', async () => {
    await fetchRepository(wanted({ choose: () => ['config.json'] }), silent, settings());
    expect(await userErrorFrom(fetchTiny({ offline: true }), root())).toMatch(/falta «model.safetensors»/);
  });
});

describe('the settings', () => {
  it('are those of Python\'s client', () => {
    writeFileSync(at('token'), 'hf_file\n');
    expect(hubSettings({})).toMatchObject({ endpoint: 'https://huggingface.co', offline: false, timeout: 10_000 });
    expect(hubSettings({ HF_TOKEN: ' hf_1 ', HF_ENDPOINT: 'https://mirror/', HF_HUB_OFFLINE: 'yes', HF_HUB_DOWNLOAD_TIMEOUT: '3' }))
      .toMatchObject({ endpoint: 'https://mirror', token: 'hf_1', offline: true, timeout: 3000 });
    expect(hubSettings({ HF_HOME: at('.') }).token).toBe('hf_file');
    expect(hubSettings({ HF_HOME: at('none') }).token).toBeUndefined();
    expect(hubSettings({ HF_HUB_OFFLINE: '0' }).offline).toBe(false);
    expect(hubSettings({ HF_HOME: '~/hf', HF_HUB_CACHE: '' }).cache).toBe(join(os.homedir(), 'hf', 'hub'));
    expect(hubSettings({ HF_HUB_CACHE: '/big/hub' }).cache).toBe('/big/hub');
    expect(hubSettings({ XDG_CACHE_HOME: '/x' }).cache).toBe(join('/x', 'huggingface', 'hub'));
  });

  it('refuse what is no token', () => {
    expect(() => hubSettings({ HF_TOKEN: 'secret' })).toThrow(/HF_TOKEN no empieza por «hf_»/);
  });
});

describe('a name of the hub', () => {
  it.each([
    ['org/name', 'org/name', undefined, 'main'],
    ['org/name@v1.0', 'org/name', undefined, 'v1.0'],
    ['org/name@refs/pr/1', 'org/name', undefined, 'refs/pr/1'],
    ['org/na-me.2/dir/a b.json@v1', 'org/na-me.2', 'dir/a b.json', 'v1'],
  ])('%s', (text, name, path, revision) => {
    expect(parseHubName(text)).toEqual({ name, path, revision });
  });

  it.each(['name', './org/name', '/org/name', '../org', 'org/../name', 'org/name@', 'org/name@../x', '', 'https://x.y/z'])(
    '«%s» is none', (text) => {
      expect(parseHubName(text)).toBeUndefined();
    });
});
