import { existsSync, statSync, utimesSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { interruptedSession, removeSession, writeSession } from '../../src/cli/session.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

describe('the session of a talk', () => {
  const clock = { startedAt: 1, slide: 2, since: 3, spent: [5, 0, 7] };

  it('is kept for the eyes of its owner, and goes on if the talk was cut short a while ago', () => {
    expect(interruptedSession(at('none'), 8080)).toBeUndefined();
    writeSession(at('cut'), 8080, { token: 'x', clock: { ...clock, spent: Object.assign([], { 0: 5, 2: 7 }) } });
    expect(statSync(at('cut', 'session-8080.json')).mode & 0o777).toBe(0o600);
    expect(interruptedSession(at('cut'), 8080)).toEqual({ token: 'x', clock });
    const yesterday = Date.now() / 1000 - 86_400;
    utimesSync(at('cut', 'session-8080.json'), yesterday, yesterday);
    expect(interruptedSession(at('cut'), 8080)).toBeUndefined();
  });

  it("is its port's alone: a talk at another neither takes it over nor writes it, nor ends it", () => {
    writeSession(at('two'), 8080, { token: 'x', clock });
    expect(interruptedSession(at('two'), 8081)).toBeUndefined();
    writeSession(at('two'), 8081, { token: 'y' });
    removeSession(at('two'), 8081);
    expect(interruptedSession(at('two'), 8080)).toEqual({ token: 'x', clock });
  });

  it('at any free port is not kept: no window would come back to it', () => {
    writeSession(at('free'), 0, { token: 'x' });
    expect(existsSync(at('free'))).toBe(false);
  });

  it('goes with a talk that comes to its end', () => {
    writeSession(at('ended'), 8080, { token: 'x' });
    expect(interruptedSession(at('ended'), 8080)).toEqual({ token: 'x' });
    removeSession(at('ended'), 8080);
    expect(interruptedSession(at('ended'), 8080)).toBeUndefined();
  });
});
