import type { Random } from '../../src/random.ts';

/** A file as it should not be. */
export interface Mutated {
  readonly bytes: Buffer;
  /** What was done to it, for the report of a failure. */
  readonly what: string;
  /** Whether it still says the same: it has to be read as before. */
  readonly harmless?: boolean;
}

/** Bytes flipped, cut, inserted, moved or repeated, wherever they are. */
export function mutateBytes(bytes: Buffer, random: Random): Mutated {
  const at = random.below(bytes.length + 1);
  const length = 1 + random.below(random.pick([1, 8, 64, 4096]));
  const some = Buffer.from(Array.from({ length: Math.min(length, 64) }, () => random.below(256)));
  const stretch = bytes.subarray(at, at + length);
  switch (random.below(6)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      const count = 1 + random.below(4);
      for (let i = 0; i < count && bytes.length > 0; i++) {
        const where = random.below(bytes.length);
        flipped[where] = flipped[where]! ^ (1 << random.below(8));
      }
      return { bytes: flipped, what: `${count} bits flipped` };
    }
    case 1: return { bytes: bytes.subarray(0, at), what: `cut at ${at}` };
    case 2: return { bytes: Buffer.concat([bytes.subarray(0, at), some, bytes.subarray(at)]), what: `bytes put in at ${at}` };
    case 3: return { bytes: Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]), what: `${length} taken out at ${at}` };
    case 4: return { bytes: Buffer.concat([bytes, stretch]), what: `${stretch.length} repeated at the end` };
    default: {
      const to = random.below(bytes.length + 1);
      return { bytes: Buffer.concat([bytes.subarray(0, to), stretch, bytes.subarray(to)]), what: `${stretch.length} copied to ${to}` };
    }
  }
}

const deep = (opening: string, closing: string) => opening.repeat(20_000) + closing.repeat(20_000);

const numbers = [
  '0', '-0', '-1', '1', '2', '3', '16', '1.5', '1e-320', '1000000', '1e308', '1e999', '-1e999', 'NaN', 'Infinity', '-Infinity',
  '2147483648', '4294967296', '9007199254740991', '9007199254740993', '-9007199254740993', '123456789012345678901234567890',
];

/** Texts of JSON values, or nearly, that programs stumble over. */
const nasty = [
  ...numbers, 'null', 'true', 'false',
  '""', '" "', '"0"', '"x"', '"\\u0000"', '"\\n\\u001b[31m"', '"\\ud800"', '"ñ😀\\u202e"', '"../x"', '"../../etc/passwd"',
  '"/etc/passwd"', '"model.safetensors"', '"__proto__"', '"constructor"', '"LORA"', '"all-linear"', '"nf4"', '"F32"', '"float32"',
  '[]', '{}', '[null]', '[[]]', '[""]', '[-1]', '{"":0}', '{"__proto__":1}', '{"length":-1}', '[9007199254740991]',
  '[4294967296,4294967296]', '[0,9007199254740991]', '[9007199254740991,0]', `"${'a'.repeat(50_000)}"`,
  deep('[', ']'), deep('{"a":', '}').replace(':}', ':0}'), '01', "'a'", ',', 'undefined', '/* */ 1', '1 2',
];

/** Regular expressions that a backtracking matcher never comes to the end of, and some that are none. */
export const expressions = [
  '(a+)+$', '(a|a)*b', '(.*)*x', '([a-z]+)*9', '(.*a){25}b', '(a?){60}a{60}', '((a{1,999}){1,999}){1,999}', '(?:a*)*\\1', '(x+x+)+y',
  '^(([a-z])+.)+[A-Z]([a-z])+$', '(?=(a+)+b)a', '(', ')', '[', 'a{2,1}', '*', '\\', '(?<=a+)b', '(?P<n>a)(?P=n)', '\\p{Foo}', '(?i)(?#',
  `${'('.repeat(5000)}a${')'.repeat(5000)}`, 'a{99999999}', '(|a)+$', '.*'.repeat(60), '[\\s\\S]*'.repeat(30),
];

/** One value or key of a JSON text changed; sometimes only its looks. */
export function mutateJson(text: string, random: Random): Mutated {
  const root: unknown = JSON.parse(text);
  if (random.below(12) === 0) {
    const indent = random.pick([0, 1, 7, '\t']);
    return mutated(JSON.stringify(shuffled(root, random), null, indent), 'keys in another order', true);
  }
  const places: [parent: Record<string, unknown>, key: string][] = [];
  collect(root, places);
  if (places.length === 0) return mutateBytes(Buffer.from(text), random);
  // A part of the file first: else nearly every place is one in a vocabulary.
  const part = random.pick(places.filter(([parent]) => parent === root));
  const within: typeof places = [part];
  collect(part[0][part[1]], within);
  const [parent, key] = random.pick(within);
  const raw = nastyFor(key, parent[key], random);
  const mark = '@@raw@@';
  const place = `«${key.slice(0, 40)}»`;
  switch (random.below(6)) {
    case 0: {
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else delete parent[key];
      return mutated(JSON.stringify(root), `${place} taken out`);
    }
    case 1: {
      if (Array.isArray(parent)) {
        parent.push(parent[Number(key)]);
        return mutated(JSON.stringify(root), `${place} repeated`);
      }
      // A key twice: the last one counts, here as in Python.
      const value = parent[key];
      parent[key] = mark;
      const twice = `${raw},${JSON.stringify(key)}:${JSON.stringify(value)}`;
      const json = JSON.stringify(root).replace(`"${mark}"`, () => twice);
      return mutated(json, `${place} twice, once as ${raw.slice(0, 40)}`);
    }
    case 2: {
      const [otherParent, otherKey] = random.pick(places);
      const copy: unknown = JSON.parse(JSON.stringify(otherParent[otherKey]));
      parent[key] = copy;
      return mutated(JSON.stringify(root), `${place} is «${otherKey.slice(0, 40)}»`);
    }
    case 3: {
      if (!Array.isArray(parent)) {
        const name = random.pick([`${key} `, key.toUpperCase(), '', '__proto__', `${key}\n`, 'toString', '../x', 'a'.repeat(20_000),
          random.pick(expressions)]);
        const value = parent[key];
        Object.defineProperty(parent, name, { value, enumerable: true, configurable: true, writable: true });
        delete parent[key];
      }
      return mutated(JSON.stringify(root), `${place} renamed`);
    }
    default: {
      parent[key] = mark;
      return mutated(JSON.stringify(root).replace(`"${mark}"`, () => raw), `${place} is ${raw.slice(0, 60)}`);
    }
  }
}

/** What hurts the most there, or anything. */
function nastyFor(key: string, value: unknown, random: Random): string {
  if (typeof value === 'number' && random.below(2) === 0) return random.pick(numbers);
  const isExpression = /^(Regex|target_modules|exclude_modules|layers_pattern|modules_to_save|chat_template)$/.test(key);
  return random.below(isExpression ? 2 : 10) === 0 ? JSON.stringify(random.pick(expressions)) : random.pick(nasty);
}

/** The header as JSON, its length, or the bytes. */
export function mutateSafetensors(bytes: Buffer, random: Random): Mutated {
  const length = Number(bytes.readBigUInt64LE());
  const [header, data] = [bytes.subarray(8, 8 + length), bytes.subarray(8 + length)];
  const file = (json: Buffer, claimed = BigInt(json.length)): Buffer => {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(claimed);
    return Buffer.concat([prefix, json, data]);
  };
  switch (random.below(8)) {
    case 0: {
      const lie = random.pick([
        0n, 1n, BigInt(length - 1), BigInt(length + 1), BigInt(length * 2), BigInt(bytes.length), 99_999_999n,
        100_000_000n, 2n ** 31n, 2n ** 32n, 10n ** 13n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n,
      ]);
      return { bytes: file(header, lie), what: `header said to be ${lie} long`, harmless: lie === BigInt(length) };
    }
    case 1: {
      const padded = Buffer.concat([header, Buffer.alloc(random.below(64), ' ')]);
      return { bytes: file(padded), what: 'header padded', harmless: true };
    }
    case 2: {
      const inside = mutateBytes(header, random);
      return { bytes: file(inside.bytes), what: `header: ${inside.what}` };
    }
    case 3: case 4: case 5: {
      const inside = mutateJson(header.toString(), random);
      return { ...inside, bytes: file(inside.bytes), what: `header: ${inside.what}` };
    }
    case 6: return mutateEntry(header, file, random);
    default: return mutateBytes(bytes, random);
  }
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Shapes and places that agree with one another, but not with the file or the model. */
function mutateEntry(header: Buffer, file: (json: Buffer) => Buffer, random: Random): Mutated {
  const entries = JSON.parse(header.toString()) as Record<string, Entry>;
  const names = Object.keys(entries).filter((key) => key !== '__metadata__');
  const name = random.pick(names);
  const entry = entries[name]!;
  const what = random.pick(['flat', 'huge', 'empty', 'overlap', 'type', 'shift', 'ones']);
  switch (what) {
    case 'flat': entry.shape = [entry.shape.reduce((a, b) => a * b, 1)]; break;
    case 'huge':
      entry.shape = [2_500_000_000_000];
      entry.data_offsets[1] = entry.data_offsets[0] + 10_000_000_000_000;
      break;
    case 'empty': entry.shape = [0, Number.MAX_SAFE_INTEGER]; break;
    case 'overlap': entry.data_offsets = entries[random.pick(names)]!.data_offsets; break;
    case 'type': entry.dtype = random.pick(['U8', 'I8', 'F16', 'BF16', 'I16', 'BOOL', 'F64', 'F8_E4M3', 'C64', '']); break;
    case 'shift': entry.data_offsets = [entry.data_offsets[0] + 1, entry.data_offsets[1] + 1]; break;
    default: entry.shape = [...entry.shape, ...Array<number>(1000).fill(1)];
  }
  return { bytes: file(Buffer.from(JSON.stringify(entries))), what: `«${name}»: ${what}` };
}

function mutated(json: string, what: string, harmless = false): Mutated {
  return { bytes: Buffer.from(json), what, harmless };
}

function collect(value: unknown, places: [Record<string, unknown>, string][]): void {
  if (typeof value !== 'object' || value === null) return;
  const parent = value as Record<string, unknown>;
  // Of a long list or table, as a vocabulary is, some: the others are alike, and would be nearly all.
  for (const key of Object.keys(parent).slice(0, 40)) {
    places.push([parent, key]);
    collect(parent[key], places);
  }
}

/** The same object with its keys in another order; inside them order may count, as in PEFT's `rank_pattern`. */
function shuffled(root: unknown, random: Random): unknown {
  if (typeof root !== 'object' || root === null || Array.isArray(root)) return root;
  return Object.fromEntries(random.shuffle(Object.entries(root)));
}
