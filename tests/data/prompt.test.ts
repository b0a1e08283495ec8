import { expect, it } from 'vitest';
import { alpacaPrompt } from '../../src/data/prompt.ts';

it('is the original Alpaca prompt in English', () => {
  expect(alpacaPrompt({ instruction: 'Say hello.' }, 'en')).toBe(
    'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n'
    + '### Instruction:\nSay hello.\n\n### Response:\n');
  expect(alpacaPrompt({ instruction: 'Translate.', input: 'hola' }, 'en')).toBe(
    'Below is an instruction that describes a task, paired with an input that provides further context. '
    + 'Write a response that appropriately completes the request.\n\n'
    + '### Instruction:\nTranslate.\n\n### Input:\nhola\n\n### Response:\n');
});

it('is in Spanish unless told otherwise', () => {
  expect(alpacaPrompt({ instruction: 'Di hola.', input: '' })).toBe(
    'A continuación hay una instrucción que describe una tarea. Escribe una respuesta que la complete.\n\n'
    + '### Instrucción:\nDi hola.\n\n### Respuesta:\n');
  expect(alpacaPrompt({ instruction: 'Traduce.', input: 'hola' })).toContain('\n\n### Entrada:\nhola\n\n### Respuesta:\n');
});
