import { createInterface } from 'node:readline';
import { formatNumber } from '../../src/format.ts';

/* The table of what drivers have printed: see compilers.sh. */

/** By the driver's name for it, the column. */
const columns: Readonly<Record<string, string>> = {
  'VGPRs': 'registers', 'Num GPRs': 'registers', 'Spilled VGPRs': 'spilled', 'Spills to mem': 'spilled',
  'LDS size': 'shared', 'Instructions': 'instructions', 'Instruction count': 'instructions',
  'Latency': 'cycles', 'Static cycle count': 'cycles',
};
const names = [...new Set(Object.values(columns))];
const rows = new Map<string, Record<string, number>>();
let current: Record<string, number> | undefined;
let last = '';
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) last = line;
  const [, kernel] = /^@@ ?(.*)$/.exec(line) ?? [];
  const [, name, value] = /^([\w ]+): (\d+)$/.exec(line.trim()) ?? [];
  if (kernel !== undefined) {
    current = kernel ? {} : undefined;
    if (current) rows.set(kernel, current);
  } else if (current && name && columns[name]) {
    current[columns[name]] = Number(value);
  }
}
if (rows.size === 0) throw new Error(`The driver has compiled nothing; the last that was said: ${last}`);
const longest = Math.max(...[...rows.keys()].map(({ length }) => length));
console.log([''.padEnd(longest), ...names].join('  '));
for (const [kernel, row] of rows) {
  console.log([kernel.padEnd(longest), ...names.map((name) =>
    (row[name] === undefined ? '' : formatNumber(row[name])).padStart(name.length))].join('  '));
}
