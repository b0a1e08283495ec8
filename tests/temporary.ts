import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { UserError } from '../src/errors.ts';

/** A folder for the tests of one file, gone after them. */
export function temporaryFolder(): (...names: string[]) => string {
  let folder = '';
  beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'test-')); });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (...names) => join(folder, ...names);
}

/** The sentence that a mistake is answered with: one line, and it names the file. */
export function userErrorOf(action: () => unknown, path: string): string {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(UserError);
  const { message } = thrown as UserError;
  expect(message).toContain(path);
  expect(message).toMatch(/^[^\n]+\.$/);
  return message;
}

/** The same of what is promised. */
export async function userErrorFrom(promise: Promise<unknown>, path: string): Promise<string> {
  const outcome = await promise.then(() => undefined, (error: unknown) => error);
  return userErrorOf(() => { throw outcome; }, path);
}
