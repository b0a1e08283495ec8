import { existsSync, readFileSync } from 'node:fs';
import { UserError } from '../errors.ts';
import type { MarkdownIt } from './markdown.ts';

/** A fence that names a region of a program, «ts demo/qlora.ts#qlora», shows that region: code is never copied. */
export function code(md: MarkdownIt): void {
  md.core.ruler.after('block', 'code', ({ tokens }) => {
    for (const token of tokens) {
      const source = token.type === 'fence' ? /^(\w+)\s+(\S+)#(\S+)$/.exec(token.info.trim()) : null;
      if (!source) continue;
      const [, language = '', file = '', name = ''] = source;
      if (!existsSync(file)) throw new UserError(`La diapositiva pide el código de «${file}», que no existe.`);
      token.info = language;
      token.content = region(readFileSync(file, 'utf8'), name, file);
    }
  });
}

/**
 * The lines between `// #region name` and `// #endregion`, without the indentation that they share.
 * @throws UserError naming the regions that there are
 */
export function region(text: string, name: string, file: string): string {
  const { body, indent } = find(text, name, file);
  return `${body.map((line) => line.slice(indent)).join('\n')}\n`;
}

/**
 * The program with other code in the place of a region.
 * @returns with it the line where the region begins, and the columns by which it is indented
 * @throws UserError naming the regions that there are
 */
export function withRegion(
  text: string, name: string, file: string, code: string,
): { readonly text: string; readonly line: number; readonly indent: number } {
  const { lines, start, end, indent } = find(text, name, file);
  const body = code.replace(/\n$/, '').split('\n').map((line) => (line === '' ? '' : ' '.repeat(indent) + line));
  return { text: [...lines.slice(0, start + 1), ...body, ...lines.slice(end)].join('\n'), line: start + 1, indent };
}

function find(text: string, name: string, file: string) {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`);
  const end = lines.findIndex((line, i) => i > start && line.trim() === '// #endregion');
  if (start < 0 || end < 0) {
    const names = [...text.matchAll(/^\s*\/\/ #region (\S+)$/gm)].map((match) => match[1]);
    throw new UserError(`La diapositiva pide la región «${name}» de «${file}», que no ${start < 0 ? 'existe' : 'termina'}; `
      + `las hay: ${names.join(', ') || 'ninguna'}.`);
  }
  const body = lines.slice(start + 1, end);
  const written = body.filter((line) => line.trim() !== '');
  const indent = written.length === 0 ? 0 : Math.min(...written.map((line) => line.search(/\S/)));
  return { lines, start, end, body, indent };
}
