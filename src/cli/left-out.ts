import type { InstructionData } from '../data/load.ts';
import { formatCount } from '../format.ts';

/** What of the data is not used, and why: a sentence for each reason. */
export function leftOut(
  { dropped, unanswered, repeated }: Pick<InstructionData, 'dropped' | 'unanswered' | 'repeated'>, maxLength: number,
): string[] {
  return [
    dropped > 0 && `Quedan fuera, sin sitio para la respuesta en --max-length ${maxLength}: ${formatCount(dropped, 'ejemplo')}.`,
    unanswered > 0 && `Quedan fuera, con la respuesta vacía: ${formatCount(unanswered, 'registro')}.`,
    repeated > 0 && `Quedan fuera del entrenamiento, por repetir una pregunta de examen: ${formatCount(repeated, 'registro')}.`,
  ].filter((line) => line !== false);
}
