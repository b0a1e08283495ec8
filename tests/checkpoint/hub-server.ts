import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HubSettings } from '../../src/checkpoint/hub.ts';

/** One request for content that arrived, and how much of it was sent. */
export interface Served {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  sent: number;
}

/** What the server does next with a request for the content of a file; by default it answers well. */
export type Trouble =
  | { readonly cutAfter: number } // bytes of the body, and then the connection breaks
  | { readonly stallAfter: number } // bytes of the body, and then nothing
  | { readonly status: number; readonly retryAfter?: string }
  | { readonly ignoreRange: true };

interface Repository {
  readonly files: Map<string, Buffer>;
  commit: string;
  readonly branches: Set<string>;
  /** Who may read it: nobody without this token. */
  readonly token?: string;
  readonly gated?: boolean;
}

const commitOf = (text: string) => createHash('sha1').update(text).digest('hex');

/** SHA-1 as git names a blob. */
export const gitHash = (bytes: Buffer) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
/** What the hub keeps in LFS: weights and tables, and nothing that is text. */
const isLfs = (path: string) => /\.(safetensors|bin|gguf|parquet)$/.test(path);

/**
 * Plays the part of the hub that the official client talks to: commits, trees by pages, and files that are redirected
 * to another server («CDN») with ranges, ETags and sizes in the headers.
 */
export class HubServer {
  readonly repositories = new Map<string, Repository>();
  /** Requests for content, without those for the first byte by which the client learns of a file. */
  readonly served: Served[] = [];
  /** All requests to the hub itself. */
  readonly asked: string[] = [];
  private readonly troubles = new Map<string, Trouble[]>();
  /** Says of this path another checksum than it has. */
  lieAbout: string | undefined;
  /** Answers everything with this. */
  down: { readonly status: number; readonly retryAfter?: string } | undefined;
  /** Files of a page of the tree. */
  pageSize = 3;
  /** Milliseconds between pieces of 64 kB. */
  pace = 0;

  private readonly hub: Server;
  private readonly cdn: Server;

  constructor() {
    this.hub = createServer((request, response) => this.answerHub(request, response));
    this.cdn = createServer((request, response) => void this.answerContent(request, response));
  }

  async open(): Promise<void> {
    for (const server of [this.hub, this.cdn]) await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  }

  async close(): Promise<void> {
    for (const server of [this.hub, this.cdn]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  get url(): string { return urlOf(this.hub); }

  /** Where the files themselves lie: a server of its own, as the hub's is. */
  get contentUrl(): string { return urlOf(this.cdn); }

  /** How a test reaches it, with a cache of its own. */
  settings(cache: string, changes: Partial<HubSettings> = {}): HubSettings {
    return {
      endpoint: this.url, cache, downloads: join(cache, 'urls'), token: undefined, offline: false, timeout: 2000, pause: 1,
      ...changes,
    };
  }

  /** @param name as in `models/org/name` or `datasets/org/name` */
  add(
    name: string, files: Record<string, string | Buffer>, rights: { token?: string; gated?: boolean } = {},
  ): Repository {
    const contents = Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes)] as const);
    const repository = {
      files: new Map(contents), commit: commitOf(contents.map(([path, bytes]) => path + sha256(bytes)).join()), branches: new Set(['main']), ...rights,
    };
    this.repositories.set(name, repository);
    return repository;
  }

  /** What happens to the next requests for the content of a file, in turn. */
  trouble(path: string, ...troubles: Trouble[]): void {
    this.troubles.set(path, troubles);
  }

  /** Back to a server without trouble. */
  calm(): void {
    Object.assign(this, { lieAbout: undefined, down: undefined, pace: 0, pageSize: 3 });
    this.troubles.clear();
  }

  /** Bytes of content that were asked for since the last call, and forgets them. */
  takeServed(): Served[] {
    this.asked.length = 0;
    return this.served.splice(0);
  }

  private answerHub(request: IncomingMessage, response: ServerResponse): void {
    this.asked.push(request.url!);
    const refuse = (status: number, code?: string, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'Content-Type': 'application/json', ...(code && { 'X-Error-Code': code }), ...headers });
      response.end(JSON.stringify({ error: code ?? `HTTP ${status}` }));
    };
    if (this.down) return refuse(this.down.status, undefined, this.down.retryAfter ? { 'Retry-After': this.down.retryAfter } : {});
    const { pathname, searchParams } = new URL(request.url!, this.url);
    const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(pathname);
    const file = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const kind = api?.[1] ?? (file?.[1] ? 'datasets' : 'models');
    const name = `${kind}/${api?.[2] ?? file?.[2]}`;
    const repository = this.repositories.get(name);
    const said = request.headers.authorization;
    if (!repository) return refuse(401, 'RepoNotFound'); // as the hub does, that nobody may learn what is private
    if (repository.token !== undefined && said !== `Bearer ${repository.token}`) {
      return repository.gated ? refuse(said ? 403 : 401, 'GatedRepo') : refuse(401, 'RepoNotFound');
    }
    const revision = decodeURIComponent(api?.[4] ?? file?.[3] ?? '');
    if (!repository.branches.has(revision) && revision !== repository.commit) return refuse(404, 'RevisionNotFound');
    if (api?.[3] === 'revision') {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ _id: '1', id: api[2], sha: repository.commit, private: false, gated: false, lastModified: 0 }));
    } else if (api) {
      this.answerTree(repository, searchParams, pathname, response);
    } else {
      const path = decodeURIComponent(file![4]!);
      const bytes = repository.files.get(path);
      if (!bytes) return refuse(404, 'EntryNotFound');
      response.writeHead(302, {
        'Location': `${this.contentUrl}/${name}/${path}?signed`,
        'X-Repo-Commit': repository.commit, 'X-Linked-Size': bytes.length, 'X-Linked-ETag': `"${this.etagOf(path, bytes)}"`,
      });
      response.end();
    }
  }

  private answerTree(repository: Repository, query: URLSearchParams, pathname: string, response: ServerResponse): void {
    const recursive = query.get('recursive') === 'true';
    const from = Number(query.get('cursor') ?? 0);
    const folders = new Set([...repository.files.keys()].filter((path) => path.includes('/')).map((path) => path.split('/')[0]!));
    const all = [
      ...[...folders].map((path) => ({ type: 'directory', path, size: 0, oid: commitOf(path) })),
      ...[...repository.files].filter(([path]) => recursive || !path.includes('/')).map(([path, bytes]) => ({
        type: 'file', path, size: bytes.length,
        ...(isLfs(path)
          ? { oid: commitOf(path), lfs: { oid: this.etagOf(path, bytes), size: bytes.length, pointerSize: 134 }, xetHash: 'f'.repeat(64) }
          : { oid: this.etagOf(path, bytes) }),
      })),
    ];
    query.set('cursor', String(from + this.pageSize));
    const more = from + this.pageSize < all.length;
    response.writeHead(200, {
      'Content-Type': 'application/json', ...(more && { Link: `<${this.url}${pathname}?${query}>; rel="next"` }),
    });
    response.end(JSON.stringify(all.slice(from, from + this.pageSize)));
  }

  private etagOf(path: string, bytes: Buffer): string {
    const honest = isLfs(path) ? sha256(bytes) : gitHash(bytes);
    return path === this.lieAbout ? honest.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) : honest;
  }

  private async answerContent(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, this.contentUrl);
    const [, kind, org, name, ...rest] = decodeURIComponent(pathname).split('/');
    const bytes = this.repositories.get(`${kind}/${org}/${name}`)?.files.get(rest.join('/'));
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    const { range, authorization } = request.headers;
    const isProbe = range === 'bytes=0-0';
    const trouble = isProbe ? undefined : this.troubles.get(rest.join('/'))?.shift();
    const served: Served = { path: rest.join('/'), range, authorization, sent: 0 };
    if (!isProbe) this.served.push(served);
    if (trouble && 'status' in trouble) {
      response.writeHead(trouble.status, trouble.retryAfter ? { 'Retry-After': trouble.retryAfter } : {}).end();
      return;
    }
    const version = `"${sha256(bytes)}"`;
    const validator = request.headers['if-range'];
    const wanted = trouble && 'ignoreRange' in trouble || (validator !== undefined && validator !== version) ? undefined : range;
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(wanted ?? '') ?? [];
    const part = bytes.subarray(Number(first ?? 0), last ? Number(last) + 1 : bytes.length);
    response.writeHead(wanted ? 206 : 200, {
      'ETag': version, 'Content-Length': part.length,
      ...(wanted && { 'Content-Range': `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}` }),
    });
    const limit = trouble && 'cutAfter' in trouble ? trouble.cutAfter
      : trouble && 'stallAfter' in trouble ? trouble.stallAfter : part.length;
    for (let at = 0; at < limit; at += 65_536) {
      const piece = part.subarray(at, Math.min(at + 65_536, limit));
      await new Promise<void>((done) => response.write(piece, () => done()));
      served.sent += piece.length;
      if (this.pace > 0) await delay(this.pace);
    }
    if (trouble && 'cutAfter' in trouble) response.destroy();
    else if (!trouble || !('stallAfter' in trouble)) response.end();
  }
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
