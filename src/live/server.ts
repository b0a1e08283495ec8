import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { refusal } from './guard.ts';
import type { Page } from './page.ts';
import type { Message } from './state.ts';
import type { Talk } from './talk.ts';

/** The largest body that is read, in bytes: a program is a few kB. */
const largestBody = 64 * 1024;

const id = z.string();
const slide = z.number().int().min(0).max(999);
/** What a window may ask for, by its path. */
const asks = {
  '/run': z.object({ id, code: z.string().optional() }),
  '/stop': z.object({}),
  '/edit': z.object({ id, code: z.string() }),
  '/open': z.object({ id, open: z.boolean() }),
  '/page': z.object({ id, page: z.number().int().min(0).max(99) }),
  '/clock': z.object({ runs: z.boolean(), slide }),
  '/slide': z.object({ slide }),
} as const;

export interface TalkServer {
  /** With the token of the session: whoever opens it may run, edit and stop. */
  readonly url: string;
  /** Without it: for who looks from another machine, if any can. */
  readonly lookUrls: readonly string[];
  readonly token: string;
  readonly close: () => Promise<void>;
}

export interface ServerOptions {
  readonly talk: Talk;
  /** The page of the deck as it is now. */
  readonly page: () => Pick<Page, 'html' | 'policy'>;
  /** The program of the page. */
  readonly script: string;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** The session's, if it goes on; else it gets a new one. */
  readonly token?: string | undefined;
  /** Told why something that was asked for could not be done. */
  readonly failed: (error: unknown) => void;
}

/**
 * Serves a talk: its page, its script, the stream of what happens, and what a window may ask for.
 * @throws UserError if the port is taken, or the address is not of this machine or none that a browser opens
 */
export async function serve(
  { talk, page, script, host, port, token = randomBytes(18).toString('base64url'), failed }: ServerOptions,
): Promise<TalkServer> {
  let hosts = hostsOf(host, port);
  const server = createServer((request, response) => {
    const refused = refusal({ method: request.method ?? '', headers: request.headers }, hosts, token);
    if (refused !== undefined) return answer(response, refused);
    const path = request.url!.split('?')[0]!; // as it came: only these few, letter by letter
    if (request.method === 'POST') {
      return void handle(talk, path, request, response).catch((error: unknown) => {
        failed(error);
        answer(response, 500, error instanceof UserError ? error.message : '');
      });
    }
    switch (path) {
      case '/': return answer(response, 200, page().html, {
        'content-type': 'text/html; charset=utf-8', 'content-security-policy': page().policy,
      });
      case '/live.js': return answer(response, 200, script, { 'content-type': 'text/javascript; charset=utf-8' });
      case '/events': return stream(talk, response);
      default: return answer(response, 404);
    }
  });
  await listen(server, host, port);
  const { port: taken } = server.address() as AddressInfo;
  hosts = hostsOf(host, taken);
  return {
    url: `http://${[...hosts][0]}/?clave=${token}`,
    lookUrls: lookUrls(hosts),
    token,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

function answer(response: ServerResponse, status: number, body = '', headers: Record<string, string> = {}): void {
  response.writeHead(status, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    ...headers,
  });
  response.end(body);
}

function stream(talk: Talk, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = (message: Message) => void response.write(`data: ${JSON.stringify(message)}\n\n`);
  response.write('retry: 500\n\n');
  send({ type: 'state', state: talk.state });
  response.on('close', talk.subscribe(send));
}

async function handle(talk: Talk, path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!Object.hasOwn(asks, path)) return answer(response, 404);
  const body = await read(request);
  if (body === undefined) return answer(response, 413, '', { connection: 'close' });
  const asked = parse(path as keyof typeof asks, body);
  if (!asked || ('id' in asked && !talk.has(asked.id))) return answer(response, 400);
  if (path === '/run' && talk.busy) return answer(response, 409);
  if ('code' in asked && asked.code !== undefined) talk.edit(asked.id, asked.code);
  if ('open' in asked) talk.open(asked.id, asked.open);
  if ('page' in asked) talk.page(asked.id, asked.page);
  if ('slide' in asked) {
    if ('runs' in asked) talk.clock(asked.runs, asked.slide);
    else talk.turn(asked.slide);
  }
  if (path === '/run') talk.run((asked as { id: string }).id);
  if (path === '/stop') await talk.stop();
  answer(response, 204);
}

function parse<Path extends keyof typeof asks>(path: Path, body: string) {
  try {
    return asks[path].parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}

/** The body, or undefined when it is too long. */
async function read(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > largestBody) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on('error', (error) => reject(whyNotListening(error, host, port)));
    server.listen(port, host, resolve);
  });
}

/** What the system said on listening, as a sentence for the person at the keyboard. */
export function whyNotListening(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new UserError(`El puerto ${port} está ocupado: elige otro con --port.`);
    case 'EACCES':
      return new UserError(`No hay permiso para usar el puerto ${port}: elige otro con --port, de 1024 en adelante.`);
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EAI_AGAIN':
    case 'EINVAL':
    case 'ENOTFOUND':
      return new UserError(`La dirección «${host}» no es de esta máquina: elige otra con --host.`);
    default:
      return error;
  }
}

/** Where other machines find the server, of its names; of the numeric ones those that people can type. */
export function lookUrls(hosts: ReadonlySet<string>): string[] {
  return [...hosts].filter((host) => !/^(127\.|localhost|\[)/.test(host)).map((host) => `http://${host}/`);
}

/**
 * The names, with the port, under which windows reach the server, as browsers write them: port 80 not at all, for one.
 * The first is the one to open.
 * @throws UserError if they do not write it at all
 */
export function hostsOf(host: string, port: number): ReadonlySet<string> {
  const written = (name: string) => {
    const address = `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
    if (URL.canParse(address)) return new URL(address);
    throw new UserError(`Ningún navegador abre la dirección «${name}»: elige otra con --host.`); // as fe80::1%eth0
  };
  const own = () => Object.values(networkInterfaces()).flat().map((one) => one!.address);
  const name = written(host).hostname;
  const names = name === '0.0.0.0' || name === '[::]' ? ['127.0.0.1', 'localhost', '::1', ...own()]
    : name === '127.0.0.1' ? [name, 'localhost'] : [host];
  return new Set(names.map((one) => written(one).host));
}
