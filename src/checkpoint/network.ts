import { setTimeout as delay } from 'node:timers/promises';
import { codeOf } from './files.ts';

/** How patiently a server is asked. */
export interface Patience {
  /** Milliseconds without a byte after which a connection is taken for dead. */
  readonly timeout: number;
  /** Milliseconds before the second attempt; each later one waits twice as long. */
  readonly pause: number;
}

/** Attempts in a row that bring nothing, before giving up. */
export const attempts = 5;
/** The longest wait that a server may ask for, in milliseconds: a transfer that waits must not look abandoned. */
export const longestWait = 60_000;
/** The server cannot be reached, or stops answering. */
export class Unreachable extends Error {
  override name = 'Unreachable';

  readonly reason: string;

  constructor(readonly host: string, cause: unknown) {
    super(`${host}: ${reasonOf(cause)}`, { cause });
    this.reason = reasonOf(cause);
  }
}

/** The server answers that it will not. */
export class Refusal extends Error {
  override name = 'Refusal';

  /** @param code what the hub calls it in `X-Error-Code`, such as «GatedRepo» */
  constructor(readonly host: string, readonly status: number, readonly code: string | null) {
    super(`${host}: HTTP ${status}`);
  }
}

/** A request for the rest of a file was answered with the whole of it, or with there being no such rest. */
export class RangeIgnored extends Error {
  override name = 'RangeIgnored';
}

/**
 * `fetch` that does not wait for ever, and asks again when the server is busy (429, 5xx) or the connection breaks.
 *
 * @throws Unreachable if there is no answer, Refusal if the answer is not 2xx, RangeIgnored if it is not the part
 *   asked for
 */
export function patientFetch({ timeout, pause }: Patience): typeof fetch {
  return async (input, init) => {
    const host = new URL(input instanceof Request ? input.url : input).host;
    const headers = new Headers(init?.headers);
    // Bytes are counted and resumed as they are stored, so they must come as they are stored.
    headers.set('Accept-Encoding', 'identity');
    const range = headers.get('Range');
    for (let attempt = 1; ; attempt++) {
      let wait = pause * 2 ** (attempt - 1);
      try {
        const response = await answerWithin(timeout, (signal) => fetch(input, { ...init, headers, signal }));
        if (response.ok) {
          if (range !== null && !range.startsWith('bytes=0-') && response.status !== 206) {
            await response.body?.cancel();
            throw new RangeIgnored();
          }
          return response;
        }
        await response.body?.cancel();
        if (response.status === 416) throw new RangeIgnored();
        const busy = response.status === 429 || response.status >= 500;
        if (!busy || attempt === attempts) throw new Refusal(host, response.status, response.headers.get('X-Error-Code'));
        wait = Math.max(wait, Math.min(longestWait, secondsOf(response.headers.get('Retry-After')) * 1000));
      } catch (error) {
        if (error instanceof Refusal || error instanceof RangeIgnored) throw error;
        if (attempt === attempts || isHopeless(error)) throw new Unreachable(host, error);
      }
      await delay(wait);
    }
  };
}

/** The pieces of a body; one that does not come in time is an error. The connection ends with whoever reads. */
export async function* arriving(body: ReadableStream<Uint8Array>, timeout: number): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await answerWithin(timeout, async () => reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {}); // what is broken already cannot be ended, and need not be
  }
}

async function answerWithin<T>(timeout: number, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${timeout / 1000} s sin respuesta`));
      limit.abort();
    }, timeout);
  });
  try {
    return await Promise.race([ask(limit.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** From `Retry-After`, which may also be a date; that is not waited for. */
function secondsOf(text: string | null): number {
  return /^\d+$/.test(text ?? '') ? Number(text) : 0;
}

/** A name that does not resolve and a port that nobody listens on do not get better in seconds. */
function isHopeless(error: unknown): boolean {
  return ['ENOTFOUND', 'ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH'].includes(reasonOf(error));
}

/** The system's code for it where there is one. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return reasonOf(cause);
  return codeOf(error) ?? error.message;
}
