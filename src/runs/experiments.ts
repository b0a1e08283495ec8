/** A program of `demo/` that a slide can run: what there is to know of it without running it. */
export interface Experiment {
  readonly title: string;
  /** The program, and the region of it that the slide shows and that can be edited. */
  readonly file: string;
  readonly region: string;
  /** Seconds that a live run may take; after them the recorded one takes its place. */
  readonly budget: number;
  /** What is drawn of it, of the charts of its runs: name to alternative text, the most telling first. */
  readonly charts: Readonly<Record<string, string>>;
}

/**
 * Every experiment, by the id of its runs: a slide asks for one with `<!-- experimento: qlora -->`. To add one, name it
 * here and say in `src/cli/experiments.ts` how it is called; the compiler asks for the second.
 */
export const experiments = {
  quantization: {
    title: 'Error y perplejidad de NF4, FP4 e Int4',
    file: 'demo/quantization.ts',
    region: 'error',
    budget: 90,
    charts: { errors: 'Error de los pesos en NF4, FP4 e Int4, en desviaciones típicas, y perplejidad del modelo' },
  },
  sharding: {
    title: 'Reparto entre rangos, paso a paso',
    file: 'demo/sharding.ts',
    region: 'sharding',
    budget: 90,
    charts: {
      schemes: 'Estados y tráfico por rango de cada reparto, medidos y según la fórmula, y diferencia de la pérdida',
      timeline: 'Qué hace cada etapa de la tubería en un paso, con GPipe y con 1F1B: los huecos son la burbuja',
    },
  },
  checkpointing: {
    title: 'Un paso con y sin gradient checkpointing',
    file: 'demo/checkpointing.ts',
    region: 'checkpointing',
    budget: 60,
    charts: { peak: 'Pico de memoria y tiempo de un paso, sin recomputar y recomputando' },
  },
  qlora: {
    title: 'QLoRA en Alpaca',
    file: 'demo/qlora.ts',
    region: 'qlora',
    budget: 300,
    charts: {
      loss: 'Pérdida de entrenamiento por paso, y de examen antes y después',
      memory: 'Memoria del entrenamiento: base, adaptador, optimizador, entradas de bloque y el resto del pico',
      evaluation: 'Acierto, pérdida y perplejidad en las preguntas de examen, antes y después',
    },
  },
} as const satisfies Record<string, Experiment>;

export type ExperimentId = keyof typeof experiments;

export const experimentIds = Object.keys(experiments) as ExperimentId[];
