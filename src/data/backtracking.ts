/**
 * Whether a backtracking matcher, as JavaScript's, could take a time that explodes with the text to find out that an
 * expression does not match. The library that reads `tokenizer.json` runs whatever expression the file holds, and a
 * file from outside is not to stop the program for ever.
 *
 * Told by the form alone, on the safe side: a repeated group whose inside can match in more than one way, as in
 * `(a+)+`, `(a|ab)*` or `(a?)+`; or more than three repetitions in a row, as in `.*.*.*.*`. The expressions of the
 * models' tokenizers have neither.
 */
export function mayRunAway(pattern: string): boolean {
  const groups: Group[] = [newGroup()];
  let closed: Group | undefined; // the group that ended just before `at`
  for (let at = 0; at < pattern.length;) {
    const group = groups.at(-1)!;
    const [token] = TOKEN.exec(pattern.slice(at, at + LONGEST_TOKEN))!;
    at += token.length;
    const most = mostOf(token);
    if (most !== undefined) {
      if (most > 1 && closed?.varies) return true;
      const fixed = /^\{\d+\}$/.test(token);
      if (!fixed) group.varies = true;
      if (!fixed && most > 1 && ++group.repetitions > 3) return true;
      closed = undefined;
      continue;
    }
    closed = undefined;
    if (token.startsWith('(')) {
      groups.push(newGroup());
    } else if (token === '|') {
      group.varies = true;
      group.repetitions = 0;
    } else if (token === ')' && groups.length > 1) {
      closed = groups.pop()!;
      const outer = groups.at(-1)!;
      outer.varies ||= closed.varies;
      outer.repetitions += closed.repetitions;
      if (outer.repetitions > 3) return true;
    }
  }
  return false;
}

/** What lies between two parentheses: whether it can match in several ways, and its repetitions in a row. */
interface Group {
  varies: boolean;
  repetitions: number;
}

function newGroup(): Group {
  return { varies: false, repetitions: 0 };
}

/** An escape, a class, a quantifier, the beginning of a group, or one character. */
const TOKEN = /^(?:\\[pPu]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}|[*+?]|\((?:\?[a-zA-Z-]*[:=!<>]*)?|.)/su;
const LONGEST_TOKEN = 2000;

/** How often a quantifier lets repeat, at most; undefined for another token. */
function mostOf(token: string): number | undefined {
  if (token === '*' || token === '+') return Infinity;
  if (token === '?') return 1;
  const [, least, comma, most] = /^\{(\d+)(,?)(\d*)\}$/.exec(token) ?? [];
  if (least === undefined) return undefined;
  if (comma === '') return Number(least);
  return most === '' ? Infinity : Number(most);
}
