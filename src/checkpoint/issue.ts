import { z } from 'zod';

/** Of layers, ranks and sizes. */
export const positiveInteger = z.int({ error: 'se esperaba un entero mayor que 0' }).positive();

/**
 * What is the matter with a value that does not fit its schema, in Spanish: the field, what it has, and what was
 * expected of it, as in ««r» es 0 y se esperaba un entero mayor que 0».
 *
 * @param issue its message tells what was expected, as `expected` does or the schema itself
 * @param value the whole value that was checked
 */
export function issueText(issue: z.core.$ZodIssue, value: unknown): string {
  const { path, message } = reached(issue);
  const found = path.reduce<unknown>((inside, key) => (inside as Record<PropertyKey, unknown> | null)?.[key], value);
  if (path.length === 0) return `es ${shown(found)} y ${message}`;
  const field = `«${path.join('.')}»`;
  return found === undefined ? `falta ${field} y ${message}` : `${field} es ${shown(found)} y ${message}`;
}

/** What zod expected, where the schema does not say it itself. */
export function expected(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return Object.hasOwn(typeNames, issue.expected) ? `se esperaba ${typeNames[issue.expected]}` : other;
    case 'invalid_value':
      return `se esperaba ${oneOf(issue.values.map(shown))}`;
    case 'too_small':
      if (issue.origin === 'string') return 'se esperaba un texto más largo';
      if (issue.origin === 'array') return `se esperaba una lista con ${issue.minimum} o más`;
      return `se esperaba un número ${issue.inclusive ? `de ${issue.minimum} o más` : `mayor que ${issue.minimum}`}`;
    case 'too_big':
      return `se esperaba un número ${issue.inclusive ? `de ${issue.maximum} o menos` : `menor que ${issue.maximum}`}`;
    case 'unrecognized_keys':
      return `no se esperaba en él ${issue.keys.map((key) => `«${key}»`).join(', ')}`;
    case 'invalid_union':
      return issue.errors.map(([first]) => first?.message).join(' o ').replaceAll(' o se esperaba ', ' o ') || other;
    default:
      return other;
  }
}

const other = 'se esperaba otro valor';
const typeNames: Partial<Record<string, string>> = {
  string: 'un texto', number: 'un número', int: 'un entero', boolean: 'true o false', null: 'null',
  array: 'una lista', tuple: 'una lista', object: 'un objeto', record: 'un objeto',
};

/** Of a union, the issue of the branch that fits the value but for something inside it. */
function reached(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  const inner = issue.errors.map(([first]) => first).find((first) => first !== undefined && first.path.length > 0);
  return inner === undefined ? issue : reached({ ...inner, path: [...issue.path, ...inner.path] });
}

function oneOf(names: readonly string[]): string {
  return names.join(', ').replace(/, ([^,]*)$/, ' o $1');
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `«${value.length > 60 ? `${value.slice(0, 59)}…` : value}»`;
  if (Array.isArray(value)) return 'una lista';
  return typeof value === 'object' && value !== null ? 'un objeto' : String(value);
}
