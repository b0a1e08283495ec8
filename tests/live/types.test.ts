import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TypeChecker } from '../../src/live/types.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const at = temporaryFolder();
const checker = new TypeChecker();
beforeAll(() => writeFileSync(at('program.mts'), [
  'export function steps(): number {', '  // #region body', '  const count = 1;', '  // #endregion', '  return count;', '}', '',
].join('\n')));
afterAll(() => checker.close());

const check = (code: string, region = 'body') => checker.check({ file: at('program.mts'), region }, code);

describe('what is wrong in an edited region', () => {
  it('is told by its line and column on the slide, in Spanish and with its number', async () => {
    expect(await check("const one = 1;\n  const count: number = one + 'a';\n")).toEqual([
      { line: 1, column: 8, length: 5, message: "El tipo 'string' no se puede asignar al tipo 'number'. (TS2322)" },
    ]);
    expect(await check('const count = 1 +;\n')).toMatchObject([{ line: 0, column: 17, message: expect.stringContaining('(TS1109)') as string }]);
  });

  it('tells by its line of the program what the edit breaks outside of it, before and after', async () => {
    const outside = (line: number, code: number) => [{
      line: 0, column: 0, length: 1,
      message: expect.stringMatching(`^Línea ${line} del programa, fuera de lo que se ve: .+ \\(TS${code}\\)$`) as string,
    }];
    expect(await check('const counted = 1;\n')).toEqual(outside(5, 2552)); // which line 5 returns by its name
    expect(await check('const count = 1;\nif (count > 2)\n')).toEqual(outside(1, 2366)); // it may return nothing
  });

  it('is nothing when only half of it is written, as are names that nobody reads yet', async () => {
    expect(await check('const later = (one: number) => 2;\nconst count = 1;\n')).toEqual([]);
  });

  it('is answered to whoever asked, though several ask at once', async () => {
    const [good, bad, again] = await Promise.all(['const count = 1;', 'const count = uno;', 'const count = 3;'].map((code) => check(code)));
    expect([good!.length, bad!.length, again!.length]).toEqual([0, 1, 0]);
  });

  it('is asked as often as code is edited, and leaves nothing behind in the process', async () => {
    const warned = vi.fn<(warning: Error) => void>();
    process.on('warning', warned);
    for (let edit = 0; edit < 12; edit++) await check(`const count = ${edit};`);
    await new Promise(setImmediate);
    process.off('warning', warned);
    expect(warned.mock.calls.map(([{ message }]) => message)).toEqual([]);
  });

  it('is not asked of a region that is not there, and the next one is answered', async () => {
    await userErrorFrom(check('const count = 1;', 'other'), 'program.mts');
    expect(await check('const count = 1;')).toEqual([]);
  });
});
