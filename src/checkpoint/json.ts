/**
 * A JSON object's text with some of its fields changed, left out (undefined) or added. All else stays as it is
 * written: JavaScript would turn 8.0 into 8, and transformers takes no whole number for a real one.
 *
 * @param text a well formed JSON object
 */
export function withFields(text: string, changes: Readonly<Record<string, unknown>>): string {
  const fields = fieldsOf(text);
  for (const [name, value] of Object.entries(changes)) {
    fields.set(name, JSON.stringify({ [name]: value }, null, 2).slice(1, -1).trimEnd()); // empty for undefined
  }
  return `{${[...fields.values()].filter((field) => field !== '').join(',')}\n}\n`;
}

/** Each field as it is written, from after what parts it from the one before to the end of its value. */
function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  let depth = 0;
  let start = 0;
  // Strings whole, so that what they hold is not taken for structure.
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    if (token === '{' || token === '[') depth++;
    if (depth === 1 && '{},'.includes(token)) {
      const field = text.slice(start, index).trimEnd();
      const name = /^\s*("(?:[^"\\]|\\.)*")/.exec(field)?.[1];
      if (name !== undefined) fields.set(JSON.parse(name) as string, field);
      start = index + 1;
    }
    if (token === '}' || token === ']') depth--;
  }
  return fields;
}
