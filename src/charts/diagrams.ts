import { loraDiagram } from './lora.ts';
import { nf4Diagram } from './nf4.ts';
import { timelineDiagram } from './timeline.ts';

/** Every drawing that a slide can show as `diagrama:<name>`: they explain, or draw a paper's figures, never ours. */
export const diagrams: Record<string, (alt: string) => string> = {
  nf4: nf4Diagram,
  lora: loraDiagram,
  recomputar: timelineDiagram,
};
