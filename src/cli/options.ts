import { parseArgs } from 'node:util';
import { z } from 'zod';
import { UserError } from '../errors.ts';

/** One option of a command, as its help tells it and its parser reads it. */
export interface Option<T> {
  /** Without the dashes. */
  name: string;
  /** What stands for the value in the help; undefined for a switch, which takes none. */
  placeholder?: string;
  help: string;
  /** What the help gives as the default; undefined when there is nothing to say. */
  defaultText?: string;
  /** Whether it may be given several times: then all its values are read, in their order. */
  repeats?: boolean;
  kind: Kind<T>;
}

/** How the text of a value is read. */
export interface Kind<T> {
  /** Of a switch, the input is true when it is given; an option that is not given reads as undefined. */
  schema: z.ZodType<T>;
  /** Spanish: what the value has to be, as in «un entero de 1 o más». */
  expected: string;
}

export type OptionTable = Record<string, Option<unknown>>;
export type Values<Table extends OptionTable> = {
  [Field in keyof Table]: Table[Field] extends Option<infer T> ? T : never;
};

/** Options that may do nothing beside the others, and the words for when that is so, as «sin --combine». */
export type Idle<Table extends OptionTable> = readonly [
  fields: readonly (keyof Table)[], when: (values: Values<Table>) => string | false | undefined,
];

/** A command, as its help tells it and its options are read. */
export interface Command<Table extends OptionTable> {
  /** As it is typed: `npm run demo`. */
  name: string;
  /** Spanish: what it does. */
  about: string;
  options: Table;
  /** The same options by the titles they have in the help, where they are many. */
  groups?: Record<string, OptionTable>;
  /** Which options, given, would do nothing: such are refused. */
  idle?: readonly Idle<Table>[];
}

const numeric = z.string().trim().regex(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i).transform(Number);

export const text = (expected: string): Kind<string> => ({ schema: z.string().trim().min(1), expected });

export const integer = (least: number): Kind<number> => ({
  schema: numeric.pipe(z.number().int().min(least)),
  expected: `un entero de ${least} o más`,
});

export const positive: Kind<number> = {
  schema: numeric.pipe(z.number().positive().finite()),
  expected: 'un número mayor que 0, como 0.5 o 2e-3',
};

export const notNegative: Kind<number> = {
  schema: numeric.pipe(z.number().nonnegative().finite()),
  expected: 'un número de 0 o más, como 0.01',
};

export const share: Kind<number> = {
  schema: numeric.pipe(z.number().min(0).lt(1)),
  expected: 'un número de 0 a menos de 1, como 0.05',
};

export const numbers: Kind<number[]> = {
  schema: z.string().transform((list) => list.split(',')).pipe(z.array(numeric)),
  expected: 'números separados por comas, como 1,0.5',
};

export const choice = <const T extends string>(...names: T[]): Kind<T> => ({
  schema: z.enum(names),
  expected: `${names.slice(0, -1).join(', ')} o ${names.at(-1)}`,
});

const units: Record<string, number> = { MB: 1e6, GB: 1e9 };
/** In bytes. */
export const size: Kind<number> = {
  schema: z.string().trim().toUpperCase().regex(/^\d+(\.\d+)?(MB|GB)$/)
    .transform((given) => Number.parseFloat(given) * units[given.slice(-2)]!)
    .pipe(z.number().positive()),
  expected: 'un tamaño en MB o GB, como 5GB',
};

/** An option with a value, and that value when it is not given. */
export function option<T>(
  name: string, placeholder: string, help: string, kind: Kind<T>, fallback: string,
): Option<T> {
  const schema = z.preprocess((given) => given ?? fallback, kind.schema);
  return { name, placeholder, help, defaultText: fallback, kind: { ...kind, schema } };
}

/** An option that may be given several times; when it is not given, its one value or none. */
export function repeated<T>(
  name: string, placeholder: string, help: string, kind: Kind<T>, fallback?: string,
): Option<T[]> {
  const schema = z.preprocess((given) => given ?? (fallback === undefined ? [] : [fallback]), z.array(kind.schema));
  return { name, placeholder, help, defaultText: fallback, repeats: true, kind: { ...kind, schema } };
}

/** An option with a value that stays undefined when it is not given. */
export function optional<T>(
  name: string, placeholder: string, help: string, kind: Kind<T>, defaultText?: string,
): Option<T | undefined> {
  return { name, placeholder, help, defaultText, kind: { ...kind, schema: kind.schema.optional() } };
}

/** A switch: its field is `given` when the switch is there, and the contrary when it is not. */
export function toggle(name: string, help: string, given = true): Option<boolean> {
  const schema = z.literal(true).optional().transform((on) => (on ? given : !given));
  return { name, help, kind: { schema, expected: '' } };
}

/**
 * Reads a command line.
 * @throws UserError naming the option, what was expected and what came
 */
export function parseOptions<Table extends OptionTable>(
  { name: command, options: table, idle = [] }: Command<Table>, argv: readonly string[],
): Values<Table> {
  const options = Object.fromEntries(Object.values(table).map(({ name, placeholder }) =>
    [name, { type: placeholder === undefined ? 'boolean' as const : 'string' as const }]));
  // Not strict: its messages are in English. Every token is judged here instead.
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  const given = new Map<string, string | true | string[]>();
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      throw new UserError(
        `Sobra «${token.value}»: las opciones van detrás de «--» y con su nombre, como en «${command} -- --help».`);
    }
    const known = Object.values(table).find(({ name }) => token.rawName === `--${name}`);
    if (!known) throw new UserError(`No existe la opción ${token.rawName}: mira las que hay con «${command} -- --help».`);
    if (known.placeholder === undefined) {
      if (token.value !== undefined) throw new UserError(`La opción --${known.name} no lleva valor: quita «${token.value}».`);
    } else if (token.value === undefined || (!token.inlineValue && token.value.startsWith('--'))) {
      throw new UserError(`A la opción --${known.name} le falta su valor: se espera ${known.kind.expected}.`);
    }
    const before = given.get(known.name) as string[] | undefined;
    given.set(known.name, known.repeats ? [...before ?? [], token.value!] : token.value ?? true);
  }
  const entries = Object.entries(table).map(([field, { name, kind }]) => {
    const parsed = kind.schema.safeParse(given.get(name));
    if (parsed.success) return [field, parsed.data];
    throw new UserError(`La opción --${name} espera ${kind.expected}, y ha recibido «${String(given.get(name))}».`);
  });
  const values = Object.fromEntries(entries) as Values<Table>;
  for (const [fields, when] of idle) {
    const why = when(values);
    const useless = why ? fields.map((field) => table[field]!.name).find((name) => given.has(name)) : undefined;
    if (useless !== undefined) throw new UserError(`--${useless} no cambia nada ${String(why)}: quítala.`);
  }
  return values;
}

/** The help, by groups, its second column aligned; it fills the terminal's width, up to a hundred and twenty. */
export function helpText<Table extends OptionTable>(
  { name, about, options, groups = { Opciones: options } }: Command<Table>, columns = process.stdout.columns ?? 120,
): string {
  const width = Math.min(columns, 120);
  const tables = Object.values(groups).map((table) => Object.values(table));
  tables.at(-1)!.push(toggle('help', 'esta ayuda'));
  const left = ({ name, placeholder }: Option<unknown>) => `  --${name}${placeholder ? ` ${placeholder}` : ''}`;
  const indent = Math.max(...tables.flat().map((option) => left(option).length)) + 2;
  const row = (option: Option<unknown>) => {
    const { help, defaultText } = option;
    const right = defaultText === undefined ? help : `${help} (por defecto: ${defaultText})`;
    return left(option).padEnd(indent) + filled(right, width - indent).join(`\n${' '.repeat(indent)}`);
  };
  const sections = Object.keys(groups).map((title, i) => [`${title}:`, ...tables[i]!.map(row)].join('\n'));
  return [`Uso: ${name} -- [opciones]`, filled(about, width).join('\n'), ...sections].join('\n\n');
}

/** The words of a text in lines of at most so many characters; a longer word has a line of its own. */
function filled(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
