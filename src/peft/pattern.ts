import { UserError } from '../errors.ts';

/**
 * Python's regular expressions, as far as PEFT's configurations use them to name modules: `re.fullmatch`.
 *
 * Not translated to JavaScript's: its matcher backtracks, and a file from outside could stop the program for ever.
 * Here an expression is a function from a place in the text to all the places where it may end, each asked once; the
 * work grows with the text's length squared, not exponentially, and what takes too many steps all the same is refused.
 */

/** All places where a match that begins at `at` may end, each once. */
type Matcher = (text: string, at: number) => number[];
type Test = (character: string) => boolean;

/** Far beyond what naming the modules of a model takes. */
const LONGEST_WORK = 5_000_000;
const DEEPEST_NESTING = 100;

const isDigit: Test = (c) => c >= '0' && c <= '9';
const isWord: Test = (c) => /\w/.test(c);
const isSpace: Test = (c) => /\s/.test(c);
const not = (test: Test): Test => (c) => !test(c);
const classes: Record<string, Test> = {
  d: isDigit, D: not(isDigit), w: isWord, W: not(isWord), s: isSpace, S: not(isSpace),
};
const controls: Record<string, string> = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v', a: '\x07' };

/**
 * A function that tells whether the whole of a text matches.
 *
 * @param subject where the expression stands, for messages, as in «--target-modules».
 * @throws UserError when it is not well formed or asks for what is not done here, by name (back references,
 *   conditionals, atomic groups, possessive quantifiers), and on matching when it takes too long.
 */
export function fullMatch(pattern: string, subject: string): (text: string) => boolean {
  const matcher = new Parser(pattern, subject).parse();
  return (text) => matcher(text, 0).includes(text.length);
}

class Parser {
  private at = 0;
  private depth = 0;
  private ignoreCase = false;
  private steps = 0;

  constructor(private readonly pattern: string, private readonly subject: string) {}

  parse(): Matcher {
    const flags = /^\(\?([aiLmsu]+)\)/.exec(this.pattern);
    if (flags) {
      this.at = flags[0].length;
      this.ignoreCase = flags[1]!.includes('i'); // the others change nothing in a line of ASCII
    }
    const matcher = this.alternatives();
    if (this.at < this.pattern.length) throw this.malformed('sobra un «)»');
    return matcher;
  }

  private alternatives(): Matcher {
    const options = [this.sequence()];
    while (this.take('|')) options.push(this.sequence());
    if (options.length === 1) return options[0]!;
    return this.once((text, at) => [...new Set(options.flatMap((option) => this.step(option, text, [at])))]);
  }

  private sequence(): Matcher {
    const parts: Matcher[] = [];
    while (this.at < this.pattern.length && !'|)'.includes(this.pattern[this.at]!)) {
      const part = this.atom();
      if (part) parts.push(this.quantified(part));
    }
    return this.once((text, at) => parts.reduce((ends, part) => this.step(part, text, ends), [at]));
  }

  /** Undefined for a comment. */
  private atom(): Matcher | undefined {
    const c = this.pattern[this.at++]!;
    switch (c) {
      case '(': return this.group();
      case '[': return this.one(this.set());
      case '.': return this.one((c) => c !== '\n');
      case '^': return assertion((_text, at) => at === 0);
      case '$': return assertion((text, at) => at === text.length || (at === text.length - 1 && text[at] === '\n'));
      case '\\': return this.escape();
      case '*': case '+': case '?': throw this.malformed(`«${c}» no tiene nada que repetir`);
      default: return this.one((found) => found === c);
    }
  }

  private group(): Matcher | undefined {
    if (this.take('?#')) {
      const end = this.pattern.indexOf(')', this.at);
      if (end < 0) throw this.malformed('falta un «)»');
      this.at = end + 1;
      return undefined;
    }
    const [opening] = /^\?(?:P?<\w+>|<?[=!]|:|[aiLmsu]*(?:-[ims]+)?:)/.exec(this.pattern.slice(this.at)) ?? [''];
    if (opening === '' && this.pattern[this.at] === '?') {
      throw this.unsupported(`(${/^\?(P=|<?.)/.exec(this.pattern.slice(this.at))?.[0] ?? '?'}`);
    }
    if (/^\?</.test(opening) && !/^\?<[=!]/.test(opening)) throw this.unsupported(`(${opening}`);
    this.at += opening.length;
    if (++this.depth > DEEPEST_NESTING) throw this.malformed(`anida más de ${DEEPEST_NESTING} paréntesis`);
    const outside = this.ignoreCase;
    const [, on, off] = /^\?([aiLmsu]*)(?:-([ims]+))?:$/.exec(opening) ?? [];
    if (on?.includes('i')) this.ignoreCase = true;
    if (off?.includes('i')) this.ignoreCase = false;
    const inside = this.alternatives();
    if (!this.take(')')) throw this.malformed('falta un «)»');
    this.ignoreCase = outside;
    this.depth--;
    switch (opening) {
      case '?=': return assertion((text, at) => inside(text, at).length > 0);
      case '?!': return assertion((text, at) => inside(text, at).length === 0);
      case '?<=': return assertion((text, at) => endsAt(inside, text, at));
      case '?<!': return assertion((text, at) => !endsAt(inside, text, at));
      default: return inside;
    }
  }

  private escape(): Matcher {
    const c = this.pattern[this.at];
    const boundary: Record<string, Matcher> = {
      A: assertion((_text, at) => at === 0),
      Z: assertion((text, at) => at === text.length),
      b: assertion(atBoundary),
      B: assertion((text, at) => !atBoundary(text, at)),
    };
    if (c !== undefined && c in boundary) {
      this.at++;
      return boundary[c]!;
    }
    return this.one(this.escapedTest());
  }

  /** What stands for one character after a backslash, in a set or out of it. */
  private escapedTest(): Test {
    const c = this.pattern[this.at++];
    if (c === undefined) throw this.malformed('acaba en «\\»');
    if (c in classes) return classes[c]!;
    return this.literal(c);
  }

  private literal(c: string): Test {
    let meant = controls[c] ?? c;
    if (c === 'x' || c === 'u') {
      const length = c === 'x' ? 2 : 4;
      const digits = /^[0-9a-f]*/i.exec(this.pattern.slice(this.at, this.at + length))![0];
      if (digits.length < length) throw this.malformed(`«\\${c}» pide ${length} dígitos hexadecimales`);
      this.at += length;
      meant = String.fromCharCode(parseInt(digits, 16));
    } else if (/[0-9a-zA-Z]/.test(c) && !(c in controls)) {
      throw this.unsupported(`\\${c}`);
    }
    return Object.assign((found: string) => found === meant, { meant });
  }

  /** After «[». */
  private set(): Test {
    const negated = this.take('^');
    const tests: Test[] = [];
    for (let first = true; first || this.pattern[this.at] !== ']'; first = false) {
      const low = this.member();
      if (this.pattern[this.at] === '-' && this.pattern[this.at + 1] !== ']') {
        this.at++;
        const high = this.member();
        const [from, to] = [low, high].map((test) => (test as { meant?: string }).meant);
        if (from === undefined || to === undefined || from > to) throw this.malformed('un rango de «[…]» no tiene sentido');
        tests.push((c) => c >= from && c <= to);
      } else {
        tests.push(low);
      }
    }
    this.at++;
    return (c) => tests.some((test) => test(c)) !== negated;
  }

  private member(): Test {
    const c = this.pattern[this.at++];
    if (c === undefined) throw this.malformed('falta un «]»');
    return c === '\\' ? this.escapedTest() : Object.assign((found: string) => found === c, { meant: c });
  }

  private quantified(item: Matcher): Matcher {
    const [written, , least, comma, most] =
      /^(?:[*+?]|(\{(?=\d|,\d)(\d*)(,?)(\d*)\}))/.exec(this.pattern.slice(this.at)) ?? [];
    if (written === undefined) return item;
    this.at += written.length;
    this.take('?'); // lazy or greedy: the whole matches or not all the same
    if (this.take('+')) throw this.unsupported(`${written}+`);
    if (/^[*+?]/.test(this.pattern.slice(this.at))) throw this.malformed('repite una repetición');
    const [min, max] = {
      '*': [0, Infinity], '+': [1, Infinity], '?': [0, 1],
    }[written] ?? [Number(least), comma === '' ? Number(least) : most === '' ? Infinity : Number(most)];
    if (max! < min!) throw this.malformed(`«${written}» va de más a menos`);
    return this.once((text, at) => {
      let ends = [at];
      // Past the text's length every further turn is one that consumes nothing: the ends stay the same.
      for (let turn = 0; turn < Math.min(min!, text.length + 1); turn++) ends = this.step(item, text, ends);
      const found = new Set(ends);
      for (let turn = min!; turn < max! && ends.length > 0; turn++) {
        ends = this.step(item, text, ends).filter((end) => !found.has(end));
        ends.forEach((end) => found.add(end));
      }
      return [...found];
    });
  }

  private one(test: Test): Matcher {
    const accepts: Test = this.ignoreCase ? (c) => test(c.toLowerCase()) || test(c.toUpperCase()) : test;
    return (text, at) => (at < text.length && accepts(text[at]!) ? [at + 1] : []);
  }

  /** Remembers the answers for the text in hand. */
  private once(matcher: Matcher): Matcher {
    let known: (number[] | undefined)[] = [];
    let of: string | undefined;
    return (text, at) => {
      if (of !== text) [of, known] = [text, []];
      return known[at] ??= matcher(text, at);
    };
  }

  /** Where a part may end that begins at one of `from`; what it costs is counted. */
  private step(part: Matcher, text: string, from: readonly number[]): number[] {
    const ends = new Set<number>();
    for (const at of from) {
      const found = part(text, at);
      this.steps += 1 + found.length;
      if (this.steps > LONGEST_WORK) throw this.malformed('cuesta demasiado de comprobar');
      for (const end of found) ends.add(end);
    }
    return [...ends];
  }

  private take(text: string): boolean {
    const here = this.pattern.startsWith(text, this.at);
    if (here) this.at += text.length;
    return here;
  }

  private unsupported(construct: string): UserError {
    return new UserError(
      `${this.subject}: la expresión regular «${shown(this.pattern)}» usa «${construct}», que aquí no se admite; `
      + 'escríbela sin ello, o da la lista de nombres.',
    );
  }

  private malformed(why: string): UserError {
    return new UserError(
      `${this.subject}: la expresión regular «${shown(this.pattern)}» no es válida (${why}); corrígela, o da la lista `
      + 'de nombres.',
    );
  }
}

/** A test of the place alone, which consumes nothing. */
function assertion(holds: (text: string, at: number) => boolean): Matcher {
  return (text, at) => (holds(text, at) ? [at] : []);
}

function atBoundary(text: string, at: number): boolean {
  const word = (i: number) => i >= 0 && i < text.length && isWord(text[i]!);
  return word(at - 1) !== word(at);
}

function endsAt(inside: Matcher, text: string, at: number): boolean {
  return Array.from({ length: at + 1 }, (_, from) => from).some((from) => inside(text, from).includes(at));
}

function shown(pattern: string): string {
  const line = pattern.replaceAll(/\s+/g, ' ');
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
