import { planChart } from '../../charts/plan.ts';
import type { PlannerData } from '../../deck/plan.ts';
import { advise } from '../../distributed/advice.ts';
import { plan, refusal } from '../../distributed/planner.ts';
import type { PlanOptions } from '../../distributed/planner.ts';
import {
  adviceOf, capacityOf, commandOf, outcomeOf, schemeNames, titleOf, trafficOf, verdictOf,
} from '../../distributed/words.ts';
import type { PlanChoice } from '../../distributed/words.ts';
import { formatNumber } from '../../format.ts';
import { button, element, setText, withOptions } from './dom.ts';
import { isTyping, keyOf } from './keys.ts';
import { currentSlide, slides } from './slides.ts';

type OptionName = keyof PlanOptions;

/** What is chosen from a list: the option, its label, and its values with their names. */
const lists: readonly (readonly [name: OptionName, label: string, values: Readonly<Record<string, string>>])[] = [
  ['method', 'Método', { full: 'todos los pesos', lora: 'LoRA', qlora: 'QLoRA' }],
  ['checkpointing', 'Recomputar', { none: 'nada', full: 'cada bloque', sqrt: 'cada √n bloques' }],
  ['optimizer', 'Optimizador', {
    'adamw': 'AdamW', 'adamw-8bit': 'AdamW de 8 bits', 'paged-adamw': 'AdamW paginado', 'paged-adamw-8bit': 'paginado de 8 bits',
  }],
  ['scheme', 'Reparto', schemeNames],
  ['offload', 'Offload', { none: 'ninguno', cpu: 'a la CPU', nvme: 'a NVMe' }],
];

/** 2 to the power of the first to that of the last. */
const powers = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i));

/** What a slider goes through: the option (the memory of a card is none), its label, its values and their unit. */
const sliders: readonly (readonly [name: OptionName | 'gpuMemory', label: string, values: readonly number[], unit: string])[] = [
  ['gpus', 'GPU', powers(0, 7), ''],
  ['gpuMemory', 'Memoria de cada una', [6, 8, 12, 16, 24, 32, 40, 48, 80, 96, 141, 192], ' GiB'],
  ['sequence', 'Secuencia', powers(7, 14), ' tokens'],
  ['batchSize', 'Lote por GPU', powers(0, 6), ''],
  ['accumulation', 'Microlotes', powers(0, 7), ''],
  ['tensorParallel', 'Tensor', powers(0, 3), ''],
  ['pipelineParallel', 'Tubería', powers(0, 4), ''],
];

/** What the windows of one browser tell one another. */
interface View {
  readonly open: boolean;
  readonly choice: PlanChoice;
}

/**
 * The memory planner over the slide that shows a plan: lists and sliders on one side; on the other what each card
 * holds, whether it fits and what to change first. The formulas are the terminal's, and run here. Key «m» opens it.
 */
export class Planner {
  private data: PlannerData | undefined;
  private choice!: PlanChoice;
  /** Its own key in lists, `model` for the model's. */
  private readonly selects = new Map<string, HTMLSelectElement>();
  private readonly ranges = new Map<string, { readonly input: HTMLInputElement; readonly output: HTMLElement }>();
  private readonly form = element('form', '');
  private readonly chart = element('figure', '');
  private readonly verdict = element('p', 'vivo-veredicto');
  private readonly advice = element('ol', 'vivo-consejos');
  private readonly outcome = element('p', '');
  private readonly traffic = element('p', '');
  private readonly command = element('code', '');
  private readonly show = button('vivo-abrir vivo-planificar', 'Planificar', 'Abre el planificador de memoria (m)', () => this.toggle());
  private readonly panel: HTMLElement;
  /** Whether its button had the focus as it opened: then that gets it back. */
  private fromButton = false;
  private readonly windows = new BroadcastChannel('planificador');

  constructor() {
    this.panel = element('aside', 'vivo vivo-plan',
      element('header', '', element('strong', '', '¿Cabe? Memoria de cada GPU, por fórmulas'),
        element('span', 'vivo-botones', button('', '✕', 'Cierra el planificador (m)', () => this.toggle()))),
      element('div', 'vivo-codigo', this.form, element('p', 'vivo-orden', this.command)),
      element('div', 'vivo-salida', this.chart, this.verdict, this.advice, this.outcome, this.traffic));
    this.panel.setAttribute('aria-label', 'Planificador de memoria');
    this.panel.hidden = true;
    this.panel.tabIndex = -1;
    this.verdict.setAttribute('role', 'status');
    this.form.addEventListener('submit', (event) => event.preventDefault());
    this.form.addEventListener('input', () => this.choose(this.chosen()));
    this.panel.addEventListener('keydown', (event) => {
      event.stopPropagation(); // arrows move sliders here, not slides
      if (!shuts(event)) return;
      event.preventDefault(); // or a list takes the letter for the beginning of a name
      this.toggle();
    });
    document.addEventListener('keydown', (event) => {
      if (isTyping(event) || !slides()[currentSlide()]?.contains(this.panel)) return;
      if (!shuts(event) || (event.key === 'Escape' && this.panel.hidden)) return;
      event.preventDefault(); // or the list that gets the focus takes the letter for the beginning of a model's name
      event.stopImmediatePropagation(); // Marp's player opens its overview at Escape; a panel beneath would close
      this.toggle();
    }, { capture: true });
    this.windows.addEventListener('message', ({ data }: MessageEvent<View | 'ask'>) => {
      if (!this.data) return;
      if (data !== 'ask') this.take(data);
      else if (!this.panel.hidden) this.tell();
    });
  }

  /** Puts it on the slide that shows a plan, if there is one: again, when the slide has been drawn again. */
  mount(): void {
    const json = document.querySelector('script.planes')?.textContent;
    if (json === undefined || json === null) return;
    document.querySelector('script.planes')!.closest('section')!.append(this.show, this.panel);
    if (this.data) return;
    this.data = JSON.parse(json) as PlannerData;
    this.choice = this.data.choice;
    this.fill(this.data);
    this.draw();
    this.windows.postMessage('ask'); // a window that is opened late
  }

  private fill({ sizes }: PlannerData): void {
    const models = Object.fromEntries(Object.keys(sizes).map((name) => [name, name.split('/').at(-1)!]));
    for (const [name, label, values] of [['model', 'Modelo', models] as const, ...lists]) {
      const select = element('select', '', ...Object.entries(values).map(([value, shown]) => new Option(shown, value)));
      this.selects.set(name, select);
      this.form.append(labelled(label, select), select);
    }
    for (const [name, label, values] of sliders) {
      const input = element('input', '');
      Object.assign(input, { type: 'range', min: '0', max: String(values.length - 1), step: '1' });
      const output = element('span', 'vivo-valor'); // said by the slider itself
      this.ranges.set(name, { input, output });
      this.form.append(labelled(label, input), element('span', 'vivo-deslizador', input, output));
    }
  }

  /** What the controls say; what has no control, or lies between two steps of a slider that was not moved, stays. */
  private chosen(): PlanChoice {
    const options: Record<string, unknown> = { ...this.choice.options };
    let { gpuMemory } = this.choice;
    for (const [name] of lists) options[name] = this.selects.get(name)!.value;
    for (const [name, , values] of sliders) {
      const now = name === 'gpuMemory' ? gpuMemory : this.choice.options[name] as number;
      const index = Number(this.ranges.get(name)!.input.value);
      const value = index === nearest(values, now) ? now : values[index]!;
      if (name === 'gpuMemory') gpuMemory = value;
      else options[name] = value;
    }
    return { model: this.selects.get('model')!.value, gpuMemory, options: options as unknown as PlanOptions };
  }

  private choose(choice: PlanChoice): void {
    this.choice = choice;
    this.draw();
    this.tell();
  }

  private toggle(): void {
    if (this.panel.hidden) this.fromButton = document.activeElement === this.show;
    this.open(this.panel.hidden !== false);
    if (!this.panel.hidden) this.selects.get('model')!.focus();
    this.tell();
  }

  /** Closed, it gives the keys back to the slides at once: by itself a list keeps the focus for a frame more. */
  private open(open: boolean): void {
    this.panel.hidden = !open;
    if (open || !this.panel.contains(document.activeElement)) return;
    if (this.fromButton) this.show.focus();
    else (document.activeElement as HTMLElement).blur();
  }

  private tell(): void {
    this.windows.postMessage({ open: !this.panel.hidden, choice: this.choice } satisfies View);
  }

  private take({ open, choice }: View): void {
    this.open(open);
    this.choice = choice;
    this.draw();
  }

  private draw(): void {
    const { model, options } = this.choice;
    const size = this.data!.sizes[model]!;
    this.selects.get('model')!.value = model;
    for (const [name] of lists) this.selects.get(name)!.value = String(options[name]);
    for (const [name, , values, unit] of sliders) {
      const { input, output } = this.ranges.get(name)!;
      const value = name === 'gpuMemory' ? this.choice.gpuMemory : options[name] as number;
      const shown = `${formatNumber(value)}${unit}`;
      input.value = String(nearest(values, value));
      input.setAttribute('aria-valuetext', shown);
      setText(output, shown);
    }
    this.command.replaceChildren(...withOptions(commandOf(this.choice)));
    const refused = refusal(options, size);
    this.panel.dataset.cabe = '';
    if (refused !== undefined) {
      this.chart.replaceChildren();
      this.advice.replaceChildren();
      for (const text of [this.outcome, this.traffic]) setText(text, '');
      this.verdict.replaceChildren(...withOptions(refused));
      return;
    }
    const capacity = capacityOf(this.choice);
    const planned = plan(size, options);
    const advice = advise(size, options, capacity);
    const last = advice.at(-1)?.plan;
    const verdict = verdictOf(planned, capacity);
    const bars = [{ label: 'así', ...planned }, ...(last ? [{ label: 'con los cambios', ...last }] : [])];
    this.panel.dataset.cabe = String(verdict.startsWith('Cabe'));
    this.chart.innerHTML = planChart(bars, capacity, `${titleOf(this.choice)}. ${verdict}`, 560);
    setText(this.verdict, `${verdict}${last ? ' Qué cambiar, por orden:' : ''}`);
    const advised = this.advice.contains(document.activeElement);
    this.advice.replaceChildren(...advice.map((one) => {
      const taken = button('', '', 'Cambia esto, y lo de antes', () => this.choose({ ...this.choice, options: one.options }));
      taken.append(...withOptions(adviceOf(one)));
      return element('li', '', taken);
    }));
    if (advised) this.panel.focus(); // the advice that had it is gone
    setText(this.outcome, last ? outcomeOf(last, capacity) : verdict.startsWith('Cabe') ? '' : outcomeOf(planned, capacity));
    setText(this.traffic, trafficOf(planned));
  }
}

/** Keys that close it; «m» opens it too. */
const shuts = (event: KeyboardEvent): boolean => ['m', 'escape'].includes(keyOf(event) ?? '');

/** The index of the value that is nearest. */
function nearest(values: readonly number[], value: number): number {
  return values.reduce((best, one, i) => (Math.abs(one - value) < Math.abs(values[best]! - value) ? i : best), 0);
}

function labelled(text: string, control: HTMLElement): HTMLLabelElement {
  control.id = `planificador-${text.toLowerCase().replaceAll(/\W+/g, '-')}`;
  const label = element('label', '', text);
  label.htmlFor = control.id;
  return label;
}
