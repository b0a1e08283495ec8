import { describe, expect, it } from 'vitest';
import { refusal, tokenHeader } from '../../src/live/guard.ts';

const hosts = new Set(['127.0.0.1:8080', 'localhost:8080']);
const token = 'a-token';
const host = '127.0.0.1:8080';
const own = {
  host, 'origin': 'http://127.0.0.1:8080', 'content-type': 'application/json', 'sec-fetch-site': 'same-origin',
  [tokenHeader]: token,
};
const asked = (method: string, headers: Record<string, string | undefined>) =>
  refusal({ method, headers }, hosts, token);

describe('who may read', () => {
  it.each([
    ['a page of ours', { host, 'sec-fetch-site': 'same-origin' }],
    ['an address typed by hand', { 'host': 'localhost:8080', 'sec-fetch-site': 'none' }],
    ['a program without a browser', { host }],
    ['a link on another site', { host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }],
  ])('%s', (_who, headers) => expect(asked('GET', headers)).toBeUndefined());

  it.each([
    ['another name that points here', { host: 'evil.example:8080' }],
    ['another port', { host: '127.0.0.1:80' }],
    ['no name', {}],
    ['a script of another site', { host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' }],
    ['a page of another port of this machine', { host, 'sec-fetch-site': 'same-site', 'origin': 'http://127.0.0.1:3000' }],
    ['a frame of another site', { host, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }],
    ['a foreign origin, from an old browser', { host, origin: 'http://evil.example' }],
  ])('not %s', (_who, headers) => expect(asked('GET', headers)).toBe(403));
});

describe('who may change something', () => {
  it('a page of ours that knows the token', () => expect(asked('POST', own)).toBeUndefined());

  it.each([
    ['without the token', { [tokenHeader]: undefined }],
    ['with another token', { [tokenHeader]: 'another' }],
    ['with half of it', { [tokenHeader]: 'a-tok' }],
    ['from another site', { 'origin': 'http://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['from another page of this machine', { 'origin': 'http://127.0.0.1:3000', 'sec-fetch-site': 'same-site' }],
    ['from the same machine by another name', { origin: 'http://localhost:8080' }],
    ['from nowhere', { origin: undefined }],
    ['from a file', { origin: 'null' }],
    ['by another name', { host: 'evil.example:8080', origin: 'http://evil.example:8080' }],
    ['by a form that navigates', { 'origin': 'http://evil.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }],
  ])('not %s', (_who, changes) => expect(asked('POST', { ...own, ...changes })).toBe(403));

  it('nor what a form can send, nor by another method', () => {
    expect(asked('POST', { ...own, 'content-type': 'text/plain' })).toBe(415);
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'TRACE', 'HEAD']) expect(asked(method, own)).toBe(405);
  });
});
