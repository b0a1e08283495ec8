import { readFileSync } from 'node:fs';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { notesText, plansOf, readSlides } from '../../src/deck/slides.ts';
import { readAll, render } from './record.ts';

const deck = 'slides/modulo-2.md';
const slidesOf = (markdown: string) => render(markdown).html.join('');

/** The talk as it was first written: what each slide states and what is said beside it. Only misprints are mended. */
const talk: { title: string; states: string[]; note: string }[] = [
  {
    title: 'Optimización de Entrenamiento y Fine-tuning (20 min)',
    states: [
      'Objetivo: entender por qué PEFT funciona y cómo combinarlo con entrenamiento distribuido para afinar LLMs con poca VRAM sin perder calidad.',
      'Ítems: QLoRA • LoRA/AdaLoRA/IA3 • Mixture of Adapters • FSDP • DeepSpeed/ZeRO • Megatron-LM • Gradient Checkpointing • Demo QLoRA',
    ],
    note: 'Introducir la idea: mover el aprendizaje a unos pocos parámetros (adapters/LoRA) y usar técnicas de distribución/ahorro de memoria para escalar.',
  },
  {
    title: 'PEFT en contexto (¿por qué no full fine-tune?)',
    states: [
      'El full fine-tuning actualiza todos los pesos, lo que exige mucha VRAM y almacenamiento de checkpoints.',
      'PEFT (Parameter-Efficient Fine-Tuning) congela el modelo y entrena pequeños módulos adicionales (adapters, low-rank, escaladores)',
      'logrando precisión comparable con miles de veces menos parámetros entrenables y 3× menos memoria en casos reportados por LoRA.',
      '1,2 TB → 350 GB', 'Hu et al., 2021',
    ],
    note: 'Resaltar que PEFT reduce costo y acelera iteración; citaremos LoRA como base y QLoRA como evolución práctica.',
  },
  {
    title: 'LoRA (Low-Rank Adaptation) — la base',
    states: [
      'LoRA inserta matrices de bajo rango (B·A) en capas lineales del Transformer y solo entrena esas matrices.',
      'La intuición: la actualización óptima suele tener bajo «rango intrínseco», por lo que bastan pocos grados de libertad para adaptar el modelo.',
      'LoRA logra calidad on-par con full fine-tune con ~10\u202f000× menos parámetros entrenables y sin latencia extra en inferencia.',
      'Hu et al., 2021', '73,8 / 89,5', '73,4 / 91,7',
    ],
    note: 'Recomendar iniciar con r=8–16, target_modules=["q_proj","v_proj"] y ajustar según tarea.',
  },
  {
    title: 'QLoRA — LoRA + modelo base 4-bit (NF4)',
    states: [
      'QLoRA cuantiza el modelo base a 4-bit NF4 (normal-float) y entrena LoRA encima.',
      'Aporta double quantization (ahorra bits al cuantizador) y paged optimizers (evitan picos de memoria).',
      'Resultado: fine-tuning de modelos hasta 65B en 48 GB de VRAM manteniendo calidad cercana a 16-bit en benchmarks.',
      'Dettmers et al., 2023', '27,41 en NF4 + DQ',
      '5,0 MiB · 16 bits/parámetro', '1,3 MiB · 4,127 bits/parámetro', 'NF4', 'FP4', 'Int4',
    ],
    note: 'Señalar que NF4 modela bien distribuciones de pesos; los paged optimizers amortiguan memoria de estados del optimizador.',
  },
  {
    title: 'AdaLoRA e IA3 — refinar el presupuesto',
    states: [
      'AdaLoRA', 'Asigna rango LoRA dinámico por capa según importancia (medida con SVD/gradientes), usando mejor el presupuesto cuando r es bajo.',
      'IA3', 'No añade proyecciones sino vectores que escalan activaciones internas (inhibe/realza), reduciendo aún más parámetros y manteniendo estabilidad.',
      'Zhang et al., 2023', 'Liu et al., 2022',
    ],
    note: 'Pautas: probar IA3 cuando la VRAM es mínima; usar AdaLoRA si observas cuellos en capas específicas.',
  },
  {
    title: 'Mixture of Adapters (MoA)',
    states: [
      'En lugar de un único adapter, varios adapters especializados se combinan mediante enrutamiento estocástico o un router liviano.',
      'Así puedes multi-tarea/multi-dominio sin catastrophic forgetting, y fusionar adapters (merging) para despliegue ligero.',
      'Wang et al., 2022',
    ],
    note: 'Útil cuando tu organización tiene muchos verticales pequeños con datos propios.',
  },
  {
    title: 'Entrenamiento distribuido: el mapa',
    states: [
      'FSDP (PyTorch): sharding de parámetros/gradientes/estados → memoria lineal con el número de GPUs.',
      'DeepSpeed/ZeRO: particiona estados del optimizador (ZeRO-1/2/3), con opciones de offload a CPU/NVMe.',
      'Megatron-LM: tensor/pipeline parallel para escalar a decenas de GPUs manteniendo throughput.',
      'Rajbhandari et al., 2020', 'Zhao et al., 2023',
    ],
    note: 'Mezclar PEFT con ZeRO‑2 y gradient checkpointing suele dar el mejor “bang for the buck”.',
  },
  {
    title: 'Ahorro de memoria adicional',
    states: [
      'Gradient checkpointing: guarda activaciones clave y recomputa el resto en backward → reduce picos de VRAM.',
      'ZeRO optimizer: distribuye estados del optimizador y gradientes entre procesos → evita replicación.',
      'Precisión mixta: bf16/fp16 donde sea estable.',
      'Chen et al., 2016', '256,0 MiB', '16,0 MiB', 'lossAndGradients',
    ],
    note: 'Recordar ajustar grad_accumulation_steps para mantener effective batch size.',
  },
  {
    title: 'Prácticas y pitfalls',
    states: [
      'Ajusta r y lora_alpha con validación; empieza pequeño y sube.',
      'Target modules: q_proj/v_proj suelen bastar; añadir k_proj/o_proj si falta capacidad.',
      'Evita overfitting con dropout LoRA y early stopping.',
      'Mide en la tarea final (no solo perplexity).',
    ],
    note: 'Llevar registro de learning rate finders y sweeps pequeños.',
  },
  {
    title: 'Demo — QLoRA en Alpaca (10 min)',
    states: [
      'Carga checkpoint 7B 4-bit con load_in_4bit=True.',
      'Inserta LoRA (r=16, alpha=16, dropout=0.05).',
      'Entrena 1–2 épocas en subset (1k–3k ejemplos).',
      'Evalúa y guarda adaptadores para mezclar/servir.',
      'trainable params: 278,528', 'acierto exacto', '82,1 %', 'examen, después: 0,24',
    ],
    note: 'Mostrar model.print_trainable_parameters() y una comparación de métricas simples antes/después.',
  },
];

const plain = (text: string) => text.replaceAll('\u00a0', ' ').replaceAll(/[ \n]+/g, ' ');
const words = (html: string) => plain(parseHTML(`<html><body>${html}</body></html>`).document.querySelector('section')!.textContent);

describe('the talk', () => {
  const slides = readSlides(deck, readAll);

  it('has ten slides', () => {
    expect(slides.map(({ title }) => title)).toEqual(talk.map(({ title }) => title));
  });

  it.each(talk.map((slide, i) => ({ ...slide, i })))('states all that it stated: $title', ({ states, i }) => {
    const text = words(slides[i]!.html);
    expect(states.filter((statement) => !text.includes(statement))).toEqual([]);
    expect(text).not.toContain('Notas:');
  });

  it('keeps every note, word for word', () => {
    expect(slides.map(({ notes }) => notes)).toEqual(talk.map(({ note }) => [note]));
  });

  it('gives the talk its 20 minutes and the demo its 10', () => {
    const seconds = slides.map((slide) => slide.seconds ?? 0);
    expect(seconds.every((time) => time >= 60)).toBe(true);
    expect(seconds.slice(0, -1).reduce((sum, time) => sum + time, 0)).toBe(20 * 60);
    expect(seconds.at(-1)).toBe(10 * 60);
  });

  it('would miss a word', () => {
    expect(words(slides[8]!.html)).not.toContain('Ajusta r y lora_beta con validación');
  });

  it('writes no measured figure by hand', () => {
    const source = readFileSync(deck, 'utf8');
    for (const figure of ['278,528', '278\u202f528', '4,127', 'MiB', 's/paso', 'trainable params']) expect(source).not.toContain(figure);
  });

  it('cites a paper wherever it gives its figures, and its own runs wherever it gives theirs', () => {
    const cited = slides.map(({ html }) => /<blockquote>.*et al\./s.test(html));
    expect(cited).toEqual(slides.map((_, i) => i > 0 && i < slides.length - 1));
    const measured = slides.map(({ html }) => html.includes('class="procedencia"'));
    expect(measured).toEqual(slides.map((_, i) => i > 0));
  });
});

describe('the plan', () => {
  it('of a page has the title and the time of each slide', () => {
    const html = slidesOf('# Una & *otra*\n\n<!-- tiempo: 90s -->\n\n---\n\nTexto\n\n---\n\n## Tres\n\n<!-- tiempo: 1min -->');
    expect(plansOf(html)).toEqual([{ title: 'Una & otra', seconds: 90 }, { title: '' }, { title: 'Tres', seconds: 60 }]);
  });
});

describe('notes as text', () => {
  it('give each slide its number, its title and what to say', () => {
    const slide = (title: string, ...notes: string[]) => ({ title, notes, html: '' });
    expect(notesText([slide('Una', 'a', 'b'), slide('Otra', 'c')])).toBe('1. Una\n\na\n\nb\n\n\n2. Otra\n\nc\n');
  });
});

describe('a deck that cannot be read', () => {
  it('is told in a sentence', () => {
    expect(() => readSlides('slides/nada.md')).toThrow(UserError);
    expect(() => readSlides('slides/nada.md')).toThrow('No existe el archivo «slides/nada.md»');
  });
});
