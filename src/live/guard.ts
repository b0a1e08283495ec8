import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export interface Asked {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

/** The header that carries the token of the session. */
export const tokenHeader = 'x-clave';

/**
 * Whether a request is not to be answered. Who reads has to have come under a name of this server (or else a page of
 * another site has had its own name point here: DNS rebinding) and not from another site's page. Who changes
 * something has to be a page of this server besides, and know the token of the session.
 * @param hosts names with port under which the server is known
 * @returns the status to refuse it with
 */
export function refusal(
  { method, headers }: Asked, hosts: ReadonlySet<string>, token: string,
): 403 | 405 | 415 | undefined {
  const { host, origin } = headers;
  if (host === undefined || !hosts.has(host)) return 403;
  const site = headers['sec-fetch-site'] ?? 'none';
  const opensPage = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  if (site !== 'same-origin' && site !== 'none' && !(method === 'GET' && opensPage)) return 403;
  if (method === 'GET') return origin === undefined || origin === `http://${host}` ? undefined : 403;
  if (method !== 'POST') return 405;
  if (origin !== `http://${host}` || !isToken(headers[tokenHeader], token)) return 403;
  return headers['content-type'] === 'application/json' ? undefined : 415;
}

function isToken(given: string | string[] | undefined, token: string): boolean {
  const [a, b] = [Buffer.from(String(given)), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}
