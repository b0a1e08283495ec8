import { charts } from '../../charts/index.ts';
import type { Experiment } from '../../runs/experiments.ts';
import { resultsOf } from '../../runs/schema.ts';
import { runLabel } from '../label.ts';
import { lineOf, progressOf } from '../lines.ts';
import type { ExperimentView } from '../state.ts';
import { button, element, scrollable, setText, whenIdle } from './dom.ts';

/** What a panel can ask for. */
export interface Actions {
  run(id: string, code?: string): void;
  stop(): void;
  open(id: string, open: boolean): void;
  page(id: string, page: number): void;
  /** Whether nothing is to be asked for here: then nothing offers it. */
  readonly looksOnly?: boolean;
  /** Only where programs can be run. */
  edit?(id: string, code: string): void;
  /** Only in a page that carries what its experiment needs. */
  train?(id: string): void;
}

/** The code in a panel: an editor, or text. */
export interface CodeView {
  readonly dom: HTMLElement;
  show(view: ExperimentView): void;
  /** Code that has been typed and not yet told. */
  pending(): string | undefined;
}

/** The panel of an experiment over its slide: code on one side; on the other what its run tells. */
export class Panel {
  private readonly buttons = {
    show: button('vivo-abrir', '▶ Ejecutar', 'Ejecuta el experimento (e) o muestra su panel (c)', () => this.begin()),
    run: button('vivo-ejecutar', '▶ Ejecutar', 'Ejecuta o detiene (e)', () => this.toggleRun()),
    trainThere: button('vivo-abrir vivo-entrenar', trains, trainsTitle, () => this.actions.train!(this.id)),
    train: button('', trains, trainsTitle, () => this.actions.train!(this.id)),
    restore: button('', 'Restaurar', 'Vuelve al código original', () => this.actions.edit?.(this.id, this.view!.original)),
    more: button('vivo-mas', 'Gráficas', 'Más gráficas (g)', () => this.turnPage()),
    close: button('', '✕', 'Cierra el panel (c)', () => this.actions.open(this.id, false)),
  };

  private readonly label = element('span', 'vivo-procedencia');
  private readonly reason = element('p', 'vivo-motivo');
  private readonly figures = element('div', 'vivo-figuras');
  private readonly lines = element('div', '');
  private readonly text = scrollable(element('div', 'vivo-texto', this.lines), 'Lo que cuenta la ejecución');
  private readonly problems = scrollable(element('ul', 'vivo-problemas'), 'Errores del código');
  private readonly progress = element('p', 'vivo-progreso');
  private readonly panel: HTMLElement;
  private view: ExperimentView | undefined;
  /** The button that had the focus as it opened. */
  private opener: HTMLElement | undefined;
  /** What each figure shows, the height that it wants for itself, in pixels, and the page that it is on. */
  private readonly drawn = new Map<string, {
    readonly html: string; readonly shape: string | undefined; readonly height: number; page: number;
  }>();

  private pages = 1;
  private laidOut = '';
  /** How many events of which run are in the text. */
  private written = { run: 0, events: 0 };

  constructor(
    readonly id: string, private readonly experiment: Experiment, private readonly code: CodeView,
    private readonly actions: Actions,
  ) {
    const { run, train, restore, more, close } = this.buttons;
    this.panel = element('aside', 'vivo',
      element('header', '', element('strong', '', experiment.title), this.label,
        element('span', 'vivo-botones', ...actions.looksOnly ? [] : [restore, train, run, close])),
      element('div', 'vivo-codigo', element('p', 'vivo-fichero', experiment.file), code.dom, this.problems,
        element('div', 'vivo-relato', this.text), this.progress),
      element('div', 'vivo-salida', this.reason, this.figures, more));
    this.panel.setAttribute('aria-label', experiment.title);
    this.panel.hidden = true;
    this.panel.tabIndex = -1;
    this.text.setAttribute('role', 'log');
    this.reason.setAttribute('role', 'alert');
    setInterval(() => { if (this.view?.run?.state === 'running') this.tick(); }, 200);
  }

  /** Puts the panel on a slide: again, when the slide has been drawn again. */
  mount(section: Element): void {
    const focused = document.activeElement as HTMLElement | null;
    const { trainThere, show } = this.buttons;
    section.append(...this.actions.train ? [trainThere] : [], ...this.actions.looksOnly ? [] : [show], this.panel);
    if (section.contains(focused)) focused!.focus(); // moving an element takes its focus away
    whenIdle(() => this.rehearse());
  }

  /** Laid out once before it is first opened, unseen: fonts are read and styles known when the first event comes. */
  private rehearse(): void {
    if (!this.panel.hidden) return;
    this.panel.style.visibility = 'hidden';
    this.panel.hidden = false;
    this.panel.getBoundingClientRect();
    this.panel.hidden = true;
    this.panel.style.visibility = '';
  }

  show(view: ExperimentView): void {
    this.view = view;
    const { run } = view;
    const running = run?.state === 'running';
    const focused = document.activeElement as HTMLElement | null; // once it is hidden, none has it
    this.open(view.open);
    this.panel.dataset.fuente = run?.source ?? '';
    this.panel.dataset.estado = run?.state ?? '';
    const asks = this.actions.edit === undefined ? '▶ Reproducir' : '▶ Ejecutar';
    setText(this.buttons.run, running ? '■ Detener' : asks);
    setText(this.buttons.show, running ? '● En marcha' : asks);
    this.buttons.train.hidden = running || !this.actions.train;
    this.buttons.restore.hidden = view.code === view.original;
    if (focused?.hidden && this.panel.contains(focused)) this.panel.focus();
    this.code.show(view);
    this.problems.replaceChildren(...view.problems.map(({ line, message }) => element('li', '', `línea ${line + 1}: ${message}`)));
    this.tick();
    setText(this.reason, run?.reason ?? '');
    this.reason.hidden = !run?.reason;
    this.writeLines();
    this.draw();
  }

  /** Who came to it without a mouse goes on in it, and then where they came from. */
  private open(open: boolean): void {
    if (open !== this.panel.hidden) return;
    const { trainThere, show } = this.buttons;
    const focused = document.activeElement;
    const within = this.panel.contains(focused) && focused!.matches(':focus-visible');
    this.panel.hidden = !open;
    if (!open && within) (this.opener ?? show).focus();
    if (!open) return;
    this.opener = [trainThere, show].find((one) => one === focused);
    if (this.opener) this.panel.focus();
  }

  toggleRun(): void {
    if (this.view?.run?.state === 'running') this.actions.stop();
    else this.actions.run(this.id, this.code.pending());
  }

  /** Of a run that goes on, its panel was closed: it is to be seen again, and not stopped. */
  private begin(): void {
    if (this.view?.run?.state === 'running') this.actions.open(this.id, true);
    else this.toggleRun();
  }

  toggleOpen(): void {
    this.actions.open(this.id, !this.view?.open);
  }

  /** The next page of its charts, and after the last one the first. */
  turnPage(): void {
    if (this.pages > 1) this.actions.page(this.id, (this.shownPage + 1) % this.pages);
  }

  get isOpen(): boolean {
    return this.view?.open ?? false;
  }

  private tick(): void {
    const run = this.view?.run;
    setText(this.label, run ? runLabel(run, Date.now()) : '');
  }

  private writeLines(): void {
    const { number = 0, events = [] } = this.view?.run ?? {};
    if (number !== this.written.run || events.length < this.written.events) {
      this.lines.replaceChildren();
      this.written = { run: number, events: 0 };
    }
    // Of a run that was stopped nothing is left to do.
    setText(this.progress, this.view?.run?.state === 'stopped' ? '' : progressOf(events));
    const fresh = events.slice(this.written.events);
    this.written.events = events.length;
    for (const event of fresh) {
      const line = lineOf(event);
      if (line) this.lines.append(element('p', event.type === 'text' && event.heading ? 'vivo-titulo' : '', line));
    }
    while (this.lines.childElementCount > 200) this.lines.firstElementChild!.remove();
  }

  /** Each chart as soon as the figures that it needs have come. */
  private draw(): void {
    if (!this.isOpen) return;
    const events = this.view?.run?.events ?? [];
    const record = { id: this.id, events: [...events], results: resultsOf(events) };
    const running = this.view?.run?.state === 'running';
    Object.entries(this.experiment.charts).forEach(([name, alt], i) => {
      const known = this.drawn.get(name);
      if (running && known && known.height > 0 && known.page !== this.shownPage) return; // until it is looked at
      let html = '';
      try {
        html = charts[this.id]?.[name]?.(record, alt) ?? '';
      } catch { /* figures that have not come yet */ }
      const figure = this.figures.children[i] as HTMLElement | undefined ?? this.figures.appendChild(element('figure', ''));
      figure.dataset.grafico = name;
      if (known?.html === html) return;
      figure.innerHTML = html;
      figure.hidden = html === '';
      const shape = shapeOf(figure);
      const height = shape !== undefined && shape === known?.shape ? known.height : this.measure(figure);
      this.drawn.set(name, { html, shape, height, page: known?.page ?? 0 });
    });
    this.layOut();
  }

  private measure(figure: HTMLElement): number {
    if (figure.hidden) return 0;
    return heightOf(figure, this.figures.clientHeight - 50); // the button of more charts may take that
  }

  private layOut(): void {
    const wanted = [this.view?.run?.reason, ...[...this.drawn.values()].map(({ height }) => height)].join();
    if (wanted !== this.laidOut) {
      this.laidOut = wanted;
      this.buttons.more.hidden = true;
      this.pages = this.fillPages();
      if (this.pages > 1) {
        this.buttons.more.hidden = false; // it takes some of the room
        this.pages = this.fillPages();
      }
    }
    for (const figure of this.figures.children as HTMLCollectionOf<HTMLElement>) {
      const { height, page } = this.drawn.get(figure.dataset.grafico!)!;
      figure.hidden = height === 0 || page !== this.shownPage;
      figure.style.minHeight = `${height}px`; // what gives way when room is short is the charts that have more
    }
    setText(this.buttons.more, `Gráficas ${this.shownPage + 1} de ${this.pages} ›`);
  }

  /** As many charts to a page as are readable together, in their order. @returns how many pages there are */
  private fillPages(): number {
    const room = this.figures.clientHeight;
    let [page, left] = [0, room];
    for (const figure of this.drawn.values()) {
      if (figure.height > left && left < room) [page, left] = [page + 1, room];
      figure.page = page;
      if (figure.height > 0) left -= figure.height + gap;
    }
    return page + 1;
  }

  private get shownPage(): number {
    return Math.min(this.view?.page ?? 0, this.pages - 1);
  }
}

const [trains, trainsTitle] = ['▶ Entrenar aquí', 'Ajusta el modelo que lleva esta página, en esta página'];

/** Between two charts, in pixels. */
const gap = 12;
/** A drawing is readable at this share of its natural size; smaller it is only where its column is too narrow. */
const least = 0.7;

/** What the height of a drawing hangs on: measuring it again makes the browser lay the page out within a frame. */
const shapeOf = (figure: HTMLElement): string | undefined => {
  const box = figure.querySelector(':scope > svg')?.getAttribute('viewBox');
  return box ? `${box} ${figure.querySelector('figcaption')?.textContent ?? ''}` : undefined;
};

/** What a figure needs to be read, in pixels. A drawing shrinks; of words only a table that would not fit alone. */
function heightOf(figure: HTMLElement, room: number): number {
  const drawing = figure.querySelector<SVGSVGElement>(':scope > svg');
  if (!drawing) {
    const table = figure.querySelector('table');
    const fit = table ? Math.min(figure.clientWidth / table.offsetWidth, room / figure.scrollHeight) : 1;
    if (fit < 1) table!.style.setProperty('zoom', String(fit));
    return figure.scrollHeight;
  }
  const { width, height } = drawing.viewBox.baseVal;
  const caption = figure.querySelector('figcaption');
  const below = caption ? caption.offsetHeight + parseFloat(getComputedStyle(caption).marginTop) : 0;
  return height * Math.min(least, figure.clientWidth / width) + below;
}
