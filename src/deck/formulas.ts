import { escapeHtml } from '../charts/table.ts';
import type { MarkdownIt } from './markdown.ts';

/**
 * Formulas come as drawings, from MathJax's files on this machine. What follows `%`, TeX's comment, is how a formula
 * is read aloud, and the name of its drawing: `$$ y = Wx % y es igual a W por x $$`.
 */
export function formulas(md: MarkdownIt): void {
  for (const name of ['marp_math_inline', 'marp_math_block']) {
    const draw = md.renderer.rules[name]!;
    md.renderer.rules[name] = (tokens, index) => {
      const [, reading] = /%(.*)/.exec(tokens[index]!.content) ?? [];
      const drawn = draw(tokens, index);
      return reading === undefined ? drawn : drawn.replace('<svg ', `<svg aria-label="${escapeHtml(reading.trim())}" `);
    };
  }
}
