import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { readError } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** The field `chat_template` of a `tokenizer_config.json`: one template, or several by name. */
export const chatTemplateField = z.union([
  z.string(),
  z.array(z.object({ name: z.string(), template: z.string() })),
]).nullish();

/** The library's own dates speak the language of the machine. Its line break goes, and what follows begins a line. */
const englishDates = '{% set strftime_now = english_strftime_now %}\n';

/** What Python's `strip`, `lstrip` and `rstrip` do with the characters to strip, which the library's do not heed. */
const stripped = {
  strip_characters: (text: string, characters: string) => stripped.lstrip_characters(
    stripped.rstrip_characters(text, characters), characters),
  lstrip_characters: (text: string, characters: string) => {
    let start = 0;
    while (start < text.length && characters.includes(text[start]!)) start++;
    return text.slice(start);
  },
  rstrip_characters: (text: string, characters: string) => {
    let end = text.length;
    while (end > 0 && characters.includes(text[end - 1]!)) end--;
    return text.slice(0, end);
  },
};

/** Makes of each `text.strip(characters)` in a parsed template a call of those functions. */
function heedCharacters(part: unknown): void {
  if (typeof part !== 'object' || part === null) return;
  Object.values(part).forEach(heedCharacters);
  const { success, data } = stripCall.safeParse(part);
  if (!success) return;
  const { callee: { object, property } } = data;
  Object.assign(part, { callee: { ...property, value: `${property.value}_characters` }, args: [object, ...data.args] });
}

const stripCall = z.object({
  type: z.literal('CallExpression'),
  callee: z.object({
    type: z.literal('MemberExpression'), computed: z.literal(false), object: z.unknown(),
    property: z.looseObject({ type: z.literal('Identifier'), value: z.enum(['strip', 'lstrip', 'rstrip']) }),
  }),
  args: z.array(z.unknown()).length(1),
});

/** A model's own way of writing a conversation: a Jinja template, rendered as transformers does. */
export class ChatTemplate {
  private readonly template: Template;

  /**
   * @param file where it stands, for messages
   * @param tokens the special tokens that it may write, such as `bos_token`
   * @throws UserError if it is no Jinja template
   */
  constructor(
    text: string, private readonly file: string, private readonly tokens: Readonly<Record<string, string | undefined>>,
  ) {
    try {
      this.template = new Template(englishDates + text.replaceAll(/\r\n?/g, '\n')); // Jinja knows no other line ends
      heedCharacters(this.template.parsed);
    } catch (error) {
      throw this.refusal(error);
    }
  }

  /**
   * A conversation as the model reads it.
   *
   * @param opening whether the assistant's next turn is opened at the end
   * @throws UserError if the template fails, or refuses the conversation
   */
  render(messages: readonly ChatMessage[], opening: boolean): string {
    try {
      return this.template.render({
        ...this.tokens,
        ...stripped,
        messages,
        add_generation_prompt: opening,
        tools: null,
        documents: null,
        enable_thinking: false, // Alpaca's answers come without reasoning
        english_strftime_now: (format: string) => strftime(new Date(), format),
      });
    } catch (error) {
      throw this.refusal(error);
    }
  }

  /**
   * One question and its answer: what the model is given, and what it is to say, its end included.
   *
   * @throws UserError if the template fails, writes the question otherwise once it is answered, or writes no answer
   */
  exchange(question: string, answer: string): { prompt: string; answer: string } {
    const asked: ChatMessage[] = [{ role: 'user', content: question }];
    const prompt = this.render(asked, true);
    const whole = this.render([...asked, { role: 'assistant', content: answer }], false);
    if (!whole.startsWith(prompt)) {
      throw this.refusal(new Error('la conversación con respuesta no empieza como la pregunta sola'));
    }
    if (whole === prompt) throw this.refusal(new Error('no escribe la respuesta'));
    return { prompt, answer: whole.slice(prompt.length) };
  }

  private refusal(error: unknown): UserError {
    return new UserError(`No se puede usar la plantilla de chat de «${this.file}» (${(error as Error).message}): `
      + 'vuelve a descargarla, o quítala para usar la de Alpaca.');
  }
}

/**
 * The chat template of a Hugging Face folder: `chat_template.jinja`, or else the one in `tokenizer_config.json`; of
 * several, the one named «default». Undefined for a model that has none.
 *
 * @param field what `tokenizer_config.json` has
 * @throws UserError if it cannot be read, or is no Jinja template
 */
export function loadChatTemplate(
  folder: string, field: z.infer<typeof chatTemplateField>, tokens: Readonly<Record<string, string | undefined>>,
): ChatTemplate | undefined {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) return new ChatTemplate(readText(file), file, tokens);
  const text = typeof field === 'string' ? field : field?.find(({ name }) => name === 'default')?.template;
  return text === undefined ? undefined : new ChatTemplate(text, join(folder, 'tokenizer_config.json'), tokens);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw readError(file, error);
  }
}

/** Python's strftime, in English whatever the machine speaks; a code that no template uses stays as it is. */
function strftime(date: Date, format: string): string {
  const name = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en', options).format(date);
  const two = (value: number) => String(value).padStart(2, '0');
  const codes: Record<string, string> = {
    '%Y': String(date.getFullYear()), '%m': two(date.getMonth() + 1), '%d': two(date.getDate()),
    '%H': two(date.getHours()), '%M': two(date.getMinutes()), '%S': two(date.getSeconds()),
    '%b': name({ month: 'short' }), '%B': name({ month: 'long' }),
    '%a': name({ weekday: 'short' }), '%A': name({ weekday: 'long' }), '%%': '%',
  };
  return format.replace(/%./g, (code) => codes[code] ?? code);
}
