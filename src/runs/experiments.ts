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
  peft: {
    title: 'Full fine-tuning, LoRA, QLoRA e IA3: qué cuesta cada uno',
    file: 'demo/peft.ts',
    region: 'peft',
    budget: 90,
    charts: {
      measured: 'Parámetros, optimizador, checkpoint, pico de memoria y acierto de cada forma de ajustar, medidos aquí',
      planned: 'Parámetros, optimizador, checkpoint y pico de memoria de un 7B, calculados de su configuración',
    },
  },
  lora: {
    title: 'LoRA por rangos, fusionado y sin fusionar',
    file: 'demo/lora.ts',
    region: 'lora',
    budget: 90,
    charts: {
      ranks: 'Pérdida de examen según el rango: LoRA y la actualización del full fine-tuning recortada a ese rango',
      spectrum: 'Parte de la actualización del full fine-tuning que conserva cada rango, junto a la de matrices al azar',
      latency: 'Latencia de la base, de LoRA fusionado y de LoRA sin fusionar',
      variants: 'LoRA, rsLoRA, DoRA y full fine-tuning: parámetros, pérdida y acierto',
    },
  },
  quantization: {
    title: 'Error y perplejidad de NF4, FP4 e Int4',
    file: 'demo/quantization.ts',
    region: 'error',
    budget: 90,
    charts: { errors: 'Error de los pesos en NF4, FP4 e Int4, en desviaciones típicas, y perplejidad del modelo' },
  },
  mixture: {
    title: 'Un adapter por tarea, y cómo tenerlos todos',
    file: 'demo/mixture.ts',
    region: 'mixture',
    budget: 120,
    charts: {
      matrix: 'Acierto de cada adapter en cada familia de preguntas',
      routing: 'Qué adapter pesa más en cada token, según el router',
    },
  },
  sharding: {
    title: 'Reparto entre rangos, paso a paso',
    file: 'demo/sharding.ts',
    region: 'sharding',
    budget: 90,
    charts: {
      schemes: 'Estados y tráfico por rango de cada reparto, medidos y según la fórmula, y diferencia de la pérdida',
      timeline: 'Qué hace cada etapa de la tubería en un paso, con GPipe y con 1F1B: los huecos son la burbuja',
      ranks: 'Qué hace cada rango en un paso, con DDP, ZeRO-3 y paralelismo de tensor: cálculo, y comunicación con espera',
    },
  },
  adalora: {
    title: 'AdaLoRA e IA3 frente a LoRA',
    file: 'demo/adalora.ts',
    region: 'adalora',
    budget: 60,
    charts: {
      losses: 'Pérdida de examen de AdaLoRA, LoRA e IA3, una marca por semilla, y sus parámetros',
      ranks: 'Rango con que acaba cada matriz en AdaLoRA, por capa y módulo',
    },
  },
  checkpointing: {
    title: 'Gradient checkpointing, precisión y acumulación',
    file: 'demo/checkpointing.ts',
    region: 'checkpointing',
    budget: 60,
    charts: {
      peak: 'Pico de memoria y tiempo de un paso, sin recomputar y recomputando',
      layers: 'Pico de memoria de un paso según las capas: guardándolo todo, cada √n capas y cada bloque',
      depths: 'Pico de memoria y tiempo de un paso según las capas, con cada forma de guardar',
      partition: 'Qué guarda cada uno de cuatro rangos con DDP y con ZeRO en cada etapa, según la fórmula',
      precision: 'Qué parte de los gradientes se pierde al redondearlos a bf16, a fp16 y a fp16 con la pérdida escalada',
      accumulation: 'Pico, tiempo y pérdida del mismo lote efectivo en más microlotes',
    },
  },
  practices: {
    title: 'Las prácticas, probadas',
    file: 'demo/practices.ts',
    region: 'practices',
    budget: 90,
    charts: {
      overfitting: 'Pérdida por paso con pocos ejemplos, con dropout y sin él, y dónde pararía el early stopping',
      metric: 'El paso que elige la perplejidad y el que elige la tarea, con las cifras de ambos',
      sweep: 'Pérdida de validación por r y alpha, en un mapa de calor',
      finder: 'Pérdida mientras sube la tasa de aprendizaje, y la tasa que se propone',
      modules: 'Parámetros, pérdida y acierto con q y v, con q, k, v y o, y con todas las capas lineales',
      accumulation: 'Pérdidas de un lote de 8 y de dos lotes de 4 acumulados',
    },
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
