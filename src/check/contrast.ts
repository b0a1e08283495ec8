/** What is read needs 7:1, because a projector washes out; what is only seen, 3:1 (WCAG 2.2, 1.4.6 and 1.4.11). */
export const least = { text: 7, graphics: 3 } as const;

/** The tokens that lie under others, and those that draw and never write. */
const grounds = ['ground', 'panel'];
const drawn = ['line'];

/** WCAG 2.2: the contrast of two colours, `#rrggbb`. */
export function contrast(one: string, other: string): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light! + 0.05) / (dark! + 0.05);
}

function luminance(color: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const channel = parseInt(color.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

/**
 * Pairs of the theme's tokens that do not stand out, every colour on every ground, in the dark and on paper; and
 * colours that are no token, which nobody could judge.
 * @param themes the CSS of each theme by its name
 */
export function tokenFaults(themes: Readonly<Record<string, string>>): string[] {
  return Object.entries(themes).flatMap(([name, css]) => {
    const declaration = /--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g;
    const tokens = [...css.matchAll(declaration)]
      .map(([, token, light, dark]) => ({ token: token!, light: light!, dark: dark! }));
    const loose = css.replaceAll(declaration, '').match(/#(?!0000\b)[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch|color)a?\(/gi) ?? [];
    const pairs = grounds.flatMap((ground) => tokens.flatMap((token) => {
      const under = tokens.find((one) => one.token === ground);
      if (!under || grounds.includes(token.token)) return [];
      const bar = drawn.includes(token.token) ? least.graphics : least.text;
      return (['dark', 'light'] as const).flatMap((side) => {
        const ratio = contrast(token[side], under[side]);
        const where = side === 'dark' ? 'a oscuras' : 'en papel';
        return ratio >= bar ? [] : [`${name}.css: --${token.token} sobre --${ground} ${where}, ${written(ratio)} y hacen falta ${bar}:1`];
      });
    }));
    return [...pairs, ...loose.map((color) => `${name}.css: el color «${color}» no es de los que declara :root`)];
  });
}

/** Rounded down: 6,99 is not 7. */
export const written = (ratio: number): string => `${(Math.floor(ratio * 100) / 100).toFixed(2).replace('.', ',')}:1`;
