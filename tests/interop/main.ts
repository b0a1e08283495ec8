import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/main.ts';
import { UserError } from '../../src/errors.ts';
import { formatNumber, formatSignificant } from '../../src/format.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { adapters } from './adapters.ts';
import type { Comparison, Row } from './comparison.ts';
import { families } from './families.ts';
import { findPython } from './python.ts';
import { tokenizer } from './tokenizer.ts';
import { training } from './training.ts';

/**
 * `npm run test:interop`: our numbers beside those of PyTorch, transformers and PEFT. We do our part and leave it in a
 * folder, theirs.py does the same there, and a table tells how far apart they lie. Names of comparisons, as in
 * `npm run test:interop -- families adapters`, choose some of them.
 */
const comparisons: Record<string, Comparison> = { tokenizer, families, adapters, training };

await runProgram(async () => {
  const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(comparisons);
  const unknown = chosen.find((name) => !(name in comparisons));
  if (unknown !== undefined) {
    throw new UserError(`No hay comparación «${unknown}»: las que hay son ${Object.keys(comparisons).join(', ')}.`);
  }
  const python = findPython();
  const folder = mkdtempSync(join(tmpdir(), 'interop-'));
  try {
    await useBackend('wasm');
    for (const name of chosen) {
      console.log(`Nuestra parte: ${name}`);
      mkdirSync(join(folder, name));
      await comparisons[name]!.ours(join(folder, name));
    }
    const theirs = spawnSync(python, [join(import.meta.dirname, 'theirs.py'), folder], { stdio: 'inherit' });
    if (theirs.status !== 0) throw new UserError('Python ha terminado con error: lo que dice está justo encima.');
    const rows: Row[] = [];
    for (const name of chosen) rows.push(...await comparisons[name]!.compare(join(folder, name)));
    console.log(`\n${table(rows)}`);
    const failed = rows.filter(isOver).length;
    console.log(`\n${rows.length - failed} passed, ${failed} failed`); // the closing line that CI reads
    if (failed > 0) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Not a number is over, too. */
function isOver({ measured, limit }: Row): boolean {
  return !(measured <= limit);
}

function table(rows: readonly Row[]): string {
  const figure = (value: number) => (Number.isInteger(value) ? formatNumber(value) : formatSignificant(value, 2));
  const cells = [['qué', 'límite', 'medido', ''], ...rows.map((row) =>
    [row.what, figure(row.limit), figure(row.measured), isOver(row) ? 'NO' : 'sí'])];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells.map(([what, limit, measured, verdict]) =>
    `${what!.padEnd(widths[0]!)}  ${limit!.padStart(widths[1]!)}  ${measured!.padStart(widths[2]!)}  ${verdict}`,
  ).join('\n');
}
