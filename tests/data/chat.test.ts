import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodeRecords } from '../../src/data/batches.ts';
import { ChatTemplate, loadChatTemplate } from '../../src/data/chat.ts';
import type { ChatMessage } from '../../src/data/chat.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import type { Tokenizer } from '../../src/data/tokenizer.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const kinds = ['llama2', 'llama3', 'qwen', 'zephyr'];
const folderOf = (kind: string) => join(import.meta.dirname, '../golden/tokenizers', kind);

interface Chat {
  messages: ChatMessage[];
  opening: boolean;
  text: string;
  ids: number[];
}
const chatsOf = (kind: string) =>
  (JSON.parse(readFileSync(join(folderOf(kind), 'reference.json'), 'utf8')) as { chats: Chat[] }).chats;

// Llama 3's template tells the model what day it is.
beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: new Date(2026, 7, 3, 9, 5) }));
afterEach(() => vi.useRealTimers());

describe.each(kinds)('a chat template in the style of %s', (kind) => {
  const tokenizer = loadTokenizer(folderOf(kind));
  const chats = chatsOf(kind);

  it('writes conversations as transformers does, to the letter and to the token', () => {
    expect(chats).toHaveLength(6);
    for (const { messages, opening, text, ids } of chats) {
      expect(tokenizer.chat!.render(messages, opening)).toBe(text);
      expect(tokenizer.encode(text)).toEqual(ids);
    }
  });

  it('makes an example of a record: asked as the user, answered by the assistant', () => {
    const [question, answer] = ['¿Cuál es la capital de Perú?', 'Lima.'];
    const { examples, dropped } = encodeRecords(
      [{ instruction: '¿Cuál es la capital', input: 'de Perú?', output: answer }], tokenizer,
      { template: 'es', maxLength: 500 },
    );
    expect(dropped).toBe(0);
    const { tokens, promptLength } = examples[0]!;
    const messages: ChatMessage[] = [{ role: 'user', content: question.replace(' de', '\n\nde') }];
    expect([...tokens.subarray(0, promptLength)]).toEqual(tokenizer.encode(tokenizer.chat!.render(messages, true)));
    const whole = tokenizer.chat!.render([...messages, { role: 'assistant', content: answer }], false);
    expect([...tokens]).toEqual(tokenizer.encode(whole));
    expect(tokenizer.decode([...tokens.subarray(promptLength)]).trim()).toBe(answer);
    expect([...tokens.subarray(promptLength)].filter((id) => tokenizer.eosIds.includes(id))).toHaveLength(1);
  });
});

it.each([
  ['spaces before its first block', '  {% if true %}a{% endif %}', 'a'],
  ['a tab and a comment', '\t{# nothing #}\n\ta', '\ta'],
  ['a line break first', '\n\na', '\n\na'],
  ['spaces before what is no block', '  a', '  a'],
  ['line ends of Windows', 'a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n', 'a\nb\nc'],
  ['characters to strip, as Qwen 3 has', "{{ '\\n a \\n'.lstrip('\\n') }}|{{ '\\n a \\n'.split('b')[-1].rstrip('\\n') }}|{{ 'xaxyx'.strip('xy') }}|{{ 'x'.rstrip('x') }}",
    ' a \n|\n a |a|'],
  ['spaces to strip', "{{ ' a '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}", 'a|a | a'],
])('a template with %s is written as Jinja does', (_what, template, text) => {
  expect(new ChatTemplate(template, 'file', {}).render([], false)).toBe(text);
});

describe('an answer', () => {
  it('is encoded with what comes before it, unless a token would span the two: then by itself', () => {
    // Letters are tokens, and so is «ab».
    const encode = (text: string) => [...text.replaceAll('ab', 'Z')].map((letter) => letter.codePointAt(0)!);
    const encoded = (prompt: string, answer: string) => {
      const chat = { exchange: () => ({ prompt, answer }) } as unknown as ChatTemplate;
      const tokenizer = { encode, chat, eosId: 0, eosIds: [0] } as unknown as Tokenizer;
      const record = { instruction: '', input: '', output: '' };
      const { examples } = encodeRecords([record], tokenizer, { template: 'es', maxLength: 99 });
      const { tokens, promptLength } = examples[0]!;
      const text = String.fromCodePoint(...tokens);
      return [text.slice(0, promptLength), text.slice(promptLength)];
    };
    expect(encoded('xy', 'abc')).toEqual(['xy', 'Zc\0']);
    expect(encoded('xa', 'bc')).toEqual(['xa', 'bc\0']);
  });

  it('that the template does not close with an end token gets one', () => {
    const chat = new ChatTemplate('{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}'
      + '{% if add_generation_prompt %}assistant:{% endif %}', 'chat_template.jinja', {});
    const tokenizer = { ...loadTokenizer(folderOf('smollm2')), chat };
    const record = { instruction: 'Hola', input: '', output: 'Buenas' };
    const [example] = encodeRecords([record], tokenizer, { template: 'es', maxLength: 100 }).examples;
    expect(tokenizer.decode([...example!.tokens])).toBe('user: Hola\nassistant: Buenas\n');
    expect(example!.tokens.at(-1)).toBe(tokenizer.eosId);
  });
});

describe('a folder', () => {
  const at = temporaryFolder();
  const field = [{ name: 'default', template: 'from the field' }, { name: 'rag', template: 'another' }];

  it('has its template in a file of its own, or in tokenizer_config.json, by itself or among others', () => {
    const text = (...args: Parameters<typeof loadChatTemplate>) => loadChatTemplate(...args)?.render([], false);
    expect(text(at(), 'alone', {})).toBe('alone');
    expect(text(at(), field, {})).toBe('from the field');
    expect(text(at(), field.slice(1), {})).toBeUndefined();
    expect(text(at(), undefined, {})).toBeUndefined();
    writeFileSync(at('chat_template.jinja'), 'from the file');
    expect(text(at(), field, {})).toBe('from the file');
  });

  it('whose template is broken is refused in one sentence that names the file', () => {
    cpSync(folderOf('llama3'), at('model'), { recursive: true });
    const file = at('model', 'chat_template.jinja');
    for (const broken of ['{% for %}', '{{ messages', '{% if x %}']) {
      writeFileSync(file, broken);
      expect(userErrorOf(() => loadTokenizer(at('model')), file)).toContain('plantilla de chat');
    }
    rmSync(file);
    writeFileSync(at('model', 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|eot_id|>', chat_template: '{% for %}' }));
    userErrorOf(() => loadTokenizer(at('model')), at('model', 'tokenizer_config.json'));
    writeFileSync(at('model', 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|eot_id|>', chat_template: 3 }));
    expect(userErrorOf(() => loadTokenizer(at('model')), at('model', 'tokenizer_config.json'))).toContain('chat_template');
  });

  it.each([
    ['refuses the conversation', '{{ raise_exception("Solo hablo yo") }}', 'Solo hablo yo'],
    ['calls what is not there', '{{ nothing() }}', 'plantilla de chat'],
    ['writes a question otherwise once it is answered', '{{ messages | length }}', 'no empieza'],
    ['writes no answer', '{{ messages[0].content }}', 'no escribe la respuesta'],
    ['is empty', '', 'no escribe la respuesta'],
  ])('whose template %s is refused when it is used', (_what, template, says) => {
    const chat = new ChatTemplate(template, 'somewhere/chat_template.jinja', {});
    expect(userErrorOf(() => chat.exchange('Hola', 'Buenas'), 'somewhere/chat_template.jinja')).toContain(says);
  });
});

describe('a date in a template', () => {
  it('is written as Python writes it, in English', () => {
    const chat = new ChatTemplate('{{ strftime_now("%A %a %d %B %b %Y-%m, %H:%M:%S 100%% %Q") }}', 'file', {});
    expect(chat.render([], false)).toBe('Monday Mon 03 August Aug 2026-08, 09:05:00 100% %Q');
  });
});
