import { z } from 'zod';
import { formatNumber, formatPercent } from '../format.ts';
import { palette } from './palette.ts';
import { rect, svg, text } from './svg.ts';
import { caption } from './table.ts';
import { told } from './told.ts';

export const accuracies = z.object({
  families: z.array(z.string()),
  questions: z.array(z.number()),
  matrix: z.array(z.object({ name: z.string(), matches: z.array(z.number()), all: z.number() })),
  forgetting: z.object({ sequential: z.number(), router: z.number() }),
  cost: z.array(z.object({ name: z.string(), milliseconds: z.number() })).min(1),
});
export const routing = z.object({
  families: z.array(z.string()),
  routed: z.array(z.object({ tokens: z.array(z.string()), weights: z.array(z.array(z.number())) })),
});

/** Which adapter is which: by colour and by letter, so that no one has to tell colours apart. */
const colors = [palette.learns, palette.measured, palette.green, palette.pink];
const letterOf = (adapter: number) => 'ABCD'[adapter] ?? '?';

/** Adapters by families: the share answered word for word. What is forgotten, and what a token costs, in words. */
export function matrixChart(
  { families, questions, matrix, forgetting, cost }: z.infer<typeof accuracies>, alt: string,
): string {
  const [left, row, head] = [176, 36, 34];
  const width = 600;
  const column = (width - left) / (families.length + 1);
  const best = (of: (line: typeof matrix[number]) => number) => Math.max(...matrix.map(of));
  const cell = (share: number, i: number, j: number, isBest: boolean) => {
    const [x, y, most] = [left + j * column + 8, head + i * row, column - 16];
    const fill = isBest ? palette.measured : palette.learns;
    return text(x + most / 2, y + 22, formatPercent(share, 0), isBest ? { fill, 'font-weight': 700 } : {})
      + rect(x, y + 28, most, 5, { fill: palette.panel, rx: 2 })
      + (share > 0 ? rect(x, y + 28, most * share, 5, { fill, rx: 2 }) : '');
  };
  const single = (name: string) => families.indexOf(name);
  const rowOf = (name: string) => (single(name) < 0 ? name : `solo ${name}`);
  const total = questions.reduce((sum, count) => sum + count, 0);
  // A paper's method that does worse here than a single adapter is not left without a word.
  const [adamix, alone] = [matrix.find(({ name }) => name === 'AdaMix'), matrix.filter(({ name }) => single(name) >= 0)];
  const falls = adamix && adamix.all < Math.max(...alone.map(({ all }) => all));
  const [base, ...adapted] = cost;
  const points = (lost: number) => `${formatNumber(lost, 1, true)} puntos`;
  const words = `Acierto exacto en ${total} preguntas de examen. Olvido medio: uno tras otro, `
    + `${points(forgetting.sequential)}; router, ${points(forgetting.router)}. Coste por token, sobre la base: `
    + `${adapted.map(({ name, milliseconds }) => `${name}, ${formatNumber(milliseconds / base!.milliseconds, 2, true)}×`).join('; ')}.`
    + (falls ? ' AdaMix no llega aquí al mejor adapter suelto.' : '');
  const shares = ({ name, matches, all }: typeof matrix[number]) =>
    `${rowOf(name)}: ${[...families, 'todas'].map((family, j) => `${family} ${formatPercent(matches[j] ?? all, 0)}`).join('; ')}`;
  return svg(width, head + row * matrix.length, told(alt, ...matrix.map(shares)),
    ...[...families, 'todas'].map((family, j) =>
      text(left + (j + 0.5) * column, 22, family, { 'fill': colors[j < families.length ? j : -1] ?? palette.text, 'font-size': 20 })),
    ...matrix.flatMap(({ name, matches, all }, i) => [
      text(0, head + i * row + 22, rowOf(name), {
        'text-anchor': 'start', 'font-size': 20, 'fill': colors[single(name)] ?? palette.text,
      }),
      ...matches.map((share, j) => cell(share, i, j, share === best((line) => line.matches[j]!))),
      cell(all, i, families.length, all === best((line) => line.all)),
    ])) + caption(words);
}

/**
 * Sentences token by token: each over a line in the colour of the adapter that the router gives most weight, the
 * thicker the more, and over its letter.
 */
export function routingChart({ families, routed }: z.infer<typeof routing>, alt: string): string {
  const [width, size, line] = [520, 18, 56];
  const advance = 0.6 * size; // of the monospaced face
  const drawn = families.map((family, i) => text(i * width / families.length, 18, `${letterOf(i)} · ${family}`, {
    'text-anchor': 'start', 'font-size': 19, 'fill': colors[i]!,
  }));
  const figures: string[] = [];
  let y = 36;
  for (const { tokens, weights } of routed) {
    const most = weights.map((of) => of.indexOf(Math.max(...of)));
    const counts = families.flatMap((family, i) => {
      const count = most.filter((adapter) => adapter === i).length;
      return count > 0 ? [`${family} en ${count}`] : [];
    });
    figures.push(`Respuesta ${figures.length + 1}, de ${tokens.length} tokens: ${counts.join('; ')}`);
    let x = 0;
    tokens.forEach((token, i) => {
      const written = token.replaceAll('\n', '↵');
      const room = Math.max(1, written.length) * advance;
      if (x + room > width) [x, y] = [0, y + line];
      const adapter = most[i]!;
      const weight = weights[i]![adapter]!;
      const words = {
        'text-anchor': 'start', 'font-size': size, 'font-family': 'var(--mono)', 'xml:space': 'preserve',
        'lang': 'zxx', // pieces of words
      };
      drawn.push(
        text(x, y + 17, written, words),
        rect(x + 1, y + 23, room - 2, 1 + 7 * weight, { fill: colors[adapter]! }),
        text(x + room / 2, y + 46, letterOf(adapter), { 'font-size': 17.5, 'fill': colors[adapter]! }));
      x += room;
    });
    y += line;
  }
  return svg(width, y, told(alt, ...figures), ...drawn);
}
