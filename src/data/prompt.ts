/** The Alpaca prompt (Taori et al., 2023), in a short Spanish rendering and in the original English. */
export type PromptTemplate = 'es' | 'en';

const TEMPLATES = {
  es: {
    plain: 'A continuación hay una instrucción que describe una tarea. Escribe una respuesta que la complete.',
    withInput: 'A continuación hay una instrucción que describe una tarea, junto con una entrada. '
      + 'Escribe una respuesta que la complete.',
    instruction: 'Instrucción',
    input: 'Entrada',
    response: 'Respuesta',
  },
  en: {
    plain: 'Below is an instruction that describes a task. '
      + 'Write a response that appropriately completes the request.',
    withInput: 'Below is an instruction that describes a task, paired with an input that provides further context. '
      + 'Write a response that appropriately completes the request.',
    instruction: 'Instruction',
    input: 'Input',
    response: 'Response',
  },
} as const;

/** Everything up to where the answer begins; it ends in a line break. */
export function alpacaPrompt(
  { instruction, input = '' }: { instruction: string; input?: string },
  template: PromptTemplate = 'es',
): string {
  const words = TEMPLATES[template];
  const sections = input === ''
    ? [words.plain, `### ${words.instruction}:\n${instruction}`]
    : [words.withInput, `### ${words.instruction}:\n${instruction}`, `### ${words.input}:\n${input}`];
  return [...sections, `### ${words.response}:\n`].join('\n\n');
}
