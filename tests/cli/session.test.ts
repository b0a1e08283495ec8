import { statSync, utimesSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { interruptedSession, removeSession, writeSession } from '../../src/cli/session.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

describe('the session of a talk', () => {
  const clock = { startedAt: 1, slide: 2, since: 3, spent: [5, 0, 7] };

  it('is kept for the eyes of its owner, and goes on if the talk was cut short a while ago', () => {
    expect(interruptedSession(at('none'))).toBeUndefined();
    writeSession(at('cut'), { token: 'x', clock: { ...clock, spent: Object.assign([], { 0: 5, 2: 7 }) } });
    expect(statSync(at('cut', 'session.json')).mode & 0o777).toBe(0o600);
    expect(interruptedSession(at('cut'))).toEqual({ token: 'x', clock });
    const yesterday = Date.now() / 1000 - 86_400;
    utimesSync(at('cut', 'session.json'), yesterday, yesterday);
    expect(interruptedSession(at('cut'))).toBeUndefined();
  });

  it('goes with a talk that comes to its end', () => {
    writeSession(at('ended'), { token: 'x' });
    expect(interruptedSession(at('ended'))).toEqual({ token: 'x' });
    removeSession(at('ended'));
    expect(interruptedSession(at('ended'))).toBeUndefined();
  });
});
