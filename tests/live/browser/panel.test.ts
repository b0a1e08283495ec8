import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Actions, CodeView } from '../../../src/live/browser/panel.ts';
import type { ExperimentView, RunView } from '../../../src/live/state.ts';
import type { TimedEvent } from '../../../src/runs/events.ts';
import { experiments } from '../../../src/runs/experiments.ts';
import { openWindow } from './window.ts';

const { document, HTMLElement } = openWindow('<section></section>');
vi.stubGlobal('window', {});
vi.useFakeTimers(); // each panel keeps its time
afterAll(() => vi.useRealTimers());
const { Panel } = await import('../../../src/live/browser/panel.ts');

/** In pixels: what a figure with a table takes of its column, as high as 300. */
const sizes = { figure: 0 };
const layout = {
  clientHeight: () => 300, clientWidth: () => 500, offsetWidth: () => 400, scrollHeight: () => sizes.figure,
};
for (const [name, get] of Object.entries(layout)) {
  Object.defineProperty(HTMLElement.prototype, name, { configurable: true, get });
}
afterAll(() => { // other files have the same prototype
  for (const name of Object.keys(layout)) Reflect.deleteProperty(HTMLElement.prototype, name);
});

const section = document.querySelector('section')!;
const actions = () => ({
  run: vi.fn<Actions['run']>(), stop: vi.fn<Actions['stop']>(), open: vi.fn<Actions['open']>(), page: vi.fn<Actions['page']>(),
});
const code = { dom: document.createElement('pre'), show: vi.fn<CodeView['show']>(), pending: vi.fn<CodeView['pending']>() };

/** A panel on its slide, and what is seen of it. Its charts are tables: it takes a browser to measure a drawing. */
function mounted(given: Actions, id = 'qlora', charts: Readonly<Record<string, string>> = { evaluation: 'Una tabla' }) {
  section.replaceChildren();
  const panel = new Panel(id, { ...experiments.qlora, charts }, code, given);
  panel.mount(section);
  const whole = (selector: string) => section.querySelector<HTMLElement>(selector)!;
  const offered = () => [...section.querySelectorAll('button')].filter((one) => !one.hidden).map((one) => one.textContent);
  const press = (words: string) => [...section.querySelectorAll('button')].find((one) => one.textContent === words)!.click();
  const lines = () => [...section.querySelectorAll('.vivo-texto p')].map((one) => one.textContent);
  return { panel, whole, offered, press, lines };
}

const view = (changes: Partial<ExperimentView> = {}): ExperimentView =>
  ({ open: true, page: 0, code: 'uno();', original: 'uno();', problems: [], ...changes });
const run = (changes: Partial<RunView> = {}): RunView =>
  ({ number: 1, source: 'live', state: 'running', edited: false, startedAt: Date.now(), events: [], ...changes });
const said = (text: string, heading = false): TimedEvent => ({ type: 'text', text, heading, at: 0 });
const step: TimedEvent = {
  type: 'step', step: 3, epoch: 1, loss: 1, learningRate: 1, gradientNorm: 1, tokens: 1, tokensPerSecond: 5, seconds: 1, secondsLeft: 9,
  at: 0,
};

beforeEach(() => {
  vi.clearAllMocks();
  code.pending.mockReturnValue(undefined);
});

describe('what a panel offers', () => {
  it('is to run its program, or to stop it, and to close', () => {
    const { panel, offered } = mounted({ ...actions(), edit: vi.fn() });
    panel.show(view());
    expect(offered()).toEqual(['▶ Ejecutar', '▶ Ejecutar', '✕']);
    panel.show(view({ run: run() }));
    expect(offered()).toEqual(['● En marcha', '■ Detener', '✕']);
  });

  it('is to play a record back where no program can be edited, and to train where the page can, but not meanwhile', () => {
    const { panel, offered } = mounted({ ...actions(), train: vi.fn() });
    panel.show(view());
    expect(offered()).toEqual(['▶ Entrenar aquí', '▶ Reproducir', '▶ Entrenar aquí', '▶ Reproducir', '✕']);
    panel.show(view({ run: run() }));
    expect(offered()).toEqual(['▶ Entrenar aquí', '● En marcha', '■ Detener', '✕']);
  });

  it('is the original code, once it is another', () => {
    const edit = vi.fn<NonNullable<Actions['edit']>>();
    const { panel, offered, press } = mounted({ ...actions(), edit });
    panel.show(view({ code: 'dos();' }));
    expect(offered()).toContain('Restaurar');
    press('Restaurar');
    expect(edit.mock.calls).toEqual([['qlora', 'uno();']]);
  });

  it('is nothing to who only looks', () => {
    const { panel, offered } = mounted({ ...actions(), looksOnly: true });
    panel.show(view({ code: 'dos();', run: run() }));
    expect(offered()).toEqual([]);
  });
});

describe('a panel', () => {
  it('asks to run what has been typed, though it has not been told yet, and to stop what runs', () => {
    const asked = actions();
    const { panel } = mounted(asked);
    panel.show(view({ run: run({ state: 'finished' }) }));
    panel.toggleRun();
    code.pending.mockReturnValue('tres();');
    panel.toggleRun();
    expect(asked.run.mock.calls).toEqual([['qlora', undefined], ['qlora', 'tres();']]);
    expect(asked.stop).not.toHaveBeenCalled();
    panel.show(view({ run: run() }));
    panel.toggleRun();
    expect(asked.run).toHaveBeenCalledTimes(2);
    expect(asked.stop).toHaveBeenCalledOnce();
  });

  it('is opened where it is closed, and closed where it is open; its cross closes it', () => {
    const asked = actions();
    const { panel, whole, press } = mounted(asked);
    expect(panel.isOpen).toBe(false);
    panel.toggleOpen();
    panel.show(view());
    expect([panel.isOpen, whole('aside').hidden]).toEqual([true, false]);
    panel.toggleOpen();
    press('✕');
    panel.show(view({ open: false }));
    expect([panel.isOpen, whole('aside').hidden]).toEqual([false, true]);
    expect(asked.open.mock.calls).toEqual([['qlora', true], ['qlora', false], ['qlora', false]]);
  });

  it('stays shut while it is laid out unseen, before it is first opened, and is left open if it is', () => {
    const { panel, whole } = mounted(actions());
    const laidOut = vi.spyOn(whole('aside'), 'getBoundingClientRect');
    vi.advanceTimersByTime(100);
    expect(laidOut).toHaveBeenCalledOnce();
    expect([whole('aside').hidden, whole('aside').style.visibility]).toEqual([true, '']);
    panel.show(view());
    panel.mount(section);
    vi.advanceTimersByTime(100);
    expect(whole('aside').hidden).toBe(false);
  });

  it('does not turn the only page of its charts', () => {
    const asked = actions();
    const { panel, whole } = mounted(asked);
    panel.show(view({ page: 3 })); // of a window where they took more
    panel.turnPage();
    expect(asked.page).not.toHaveBeenCalled();
    expect(whole('.vivo-mas').hidden).toBe(true);
  });

  it('shows its charts as their figures come, as many to a page as fit, and turns its pages round', () => {
    const asked = actions();
    const { panel, whole, press } = mounted(asked, 'peft', experiments.peft.charts);
    const cost = { title: 'LoRA', parameters: 1, optimizerBytes: 1, checkpointBytes: 1, peakBytes: 1, exactMatch: 1 };
    const results = (...names: string[]): TimedEvent =>
      ({ type: 'result', results: Object.fromEntries(names.map((name) => [name, [cost]])), at: 0 });
    const seen = () => [...section.querySelectorAll<HTMLElement>('figure')].filter((one) => !one.hidden).map((one) => one.dataset.grafico);
    sizes.figure = 200;
    panel.show(view({ run: run({ events: [] }) }));
    expect(seen()).toEqual([]);
    panel.show(view({ run: run({ events: [results('at7B')] }) }));
    expect([seen(), whole('.vivo-mas').hidden]).toEqual([['planned'], true]);
    const both = run({ state: 'finished', events: [results('measured', 'at7B')] });
    panel.show(view({ run: both }));
    expect([seen(), whole('.vivo-mas').hidden, whole('.vivo-mas').textContent]).toEqual([['measured'], false, 'Gráficas 1 de 2 ›']);
    press('Gráficas 1 de 2 ›');
    panel.show(view({ page: 1, run: both }));
    expect([seen(), whole('.vivo-mas').textContent]).toEqual([['planned'], 'Gráficas 2 de 2 ›']);
    panel.turnPage();
    expect(asked.page.mock.calls).toEqual([['peft', 1], ['peft', 0]]);
    panel.show(view({ page: 7, run: both })); // of a window where they took more
    expect(seen()).toEqual(['planned']);
    for (const [height, together] of [[144, true], [145, false]] as const) { // two, and the gap between them, in 300
      sizes.figure = height;
      mounted(asked, 'peft', experiments.peft.charts).panel.show(view({ run: both }));
      expect(seen()).toEqual(together ? ['measured', 'planned'] : ['measured']);
    }
  });

  it('says what is wrong in the code by its lines, counted from 1', () => {
    const { panel, whole } = mounted(actions());
    const broken = view({ problems: [{ line: 1, column: 0, length: 1, message: 'no' }] });
    panel.show(broken);
    expect(code.show).toHaveBeenLastCalledWith(broken); // which marks them
    expect(whole('.vivo-problemas').textContent).toBe('línea 2: no');
    panel.show(view());
    expect(whole('.vivo-problemas').textContent).toBe('');
  });

  it('tells why a record is in the place of a run, and only then', () => {
    const { panel, whole } = mounted(actions());
    const reason = () => [whole('.vivo-motivo').textContent, whole('.vivo-motivo').hidden];
    panel.show(view({ run: run({ source: 'recorded', state: 'finished', reason: 'Ha muerto.' }) }));
    expect(reason()).toEqual(['Ha muerto.', false]);
    expect(whole('aside').dataset).toMatchObject({ fuente: 'recorded', estado: 'finished' });
    panel.show(view({ run: run({ number: 2 }) }));
    expect(reason()).toEqual(['', true]);
    expect(whole('aside').dataset).toMatchObject({ fuente: 'live', estado: 'running' });
  });

  it('counts the time of a run that goes on', () => {
    const { panel, whole } = mounted(actions());
    panel.show(view());
    expect(whole('.vivo-procedencia').textContent).toBe('');
    panel.show(view({ run: run() }));
    expect(whole('.vivo-procedencia').textContent).toBe('en vivo · 0 s');
    vi.advanceTimersByTime(2000);
    expect(whole('.vivo-procedencia').textContent).toBe('en vivo · 2 s');
    panel.show(view({ run: run({ state: 'finished', endedAt: Date.now() }) }));
  });
});

describe('what a run tells', () => {
  it('is written once, a line each, headings set off; those of another run in their place', () => {
    const { panel, whole, lines } = mounted(actions());
    panel.show(view({ run: run({ events: [said('1/2', true), said('uno')] }) }));
    const [first] = whole('.vivo-texto').querySelectorAll('p');
    panel.show(view({ run: run({ events: [said('1/2', true), said('uno'), said('dos'), step] }) }));
    expect(lines()).toEqual(['1/2', 'uno', 'dos']);
    expect(whole('.vivo-texto p')).toBe(first); // and not all over again
    expect([...section.querySelectorAll('.vivo-titulo')].map((one) => one.textContent)).toEqual(['1/2']);
    expect(whole('.vivo-progreso').textContent).toMatch(/^paso 3 /);
    panel.show(view({ run: run({ number: 2, events: [said('a'), said('b'), said('c'), said('d'), said('e')] }) }));
    expect(lines()).toEqual(['a', 'b', 'c', 'd', 'e']);
    panel.show(view({ run: run({ number: 2, source: 'recorded', events: [said('grabado')] }) })); // which takes its place
    expect(lines()).toEqual(['grabado']);
  });

  it('says nothing of what is left to do, once it is stopped', () => {
    const { panel, whole } = mounted(actions());
    panel.show(view({ run: run({ state: 'stopped', events: [step] }) }));
    expect(whole('.vivo-progreso').textContent).toBe('');
  });

  it('is the last two hundred lines of much', () => {
    const { panel, lines } = mounted(actions());
    panel.show(view({ run: run({ events: Array.from({ length: 203 }, (_, i) => said(`línea ${i}`)) }) }));
    expect([lines().length, lines()[0], lines().at(-1)]).toEqual([200, 'línea 3', 'línea 202']);
  });
});
