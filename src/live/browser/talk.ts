import { experiments } from '../../runs/experiments.ts';
import type { ExperimentId } from '../../runs/experiments.ts';
import { apply } from '../state.ts';
import type { Message, TalkState, Told } from '../state.ts';
import { Clock } from './clock.ts';
import { Editor } from './editor.ts';
import { bindKeys, mountPanels } from './keys.ts';
import { Panel } from './panel.ts';
import { Planner } from './planner.ts';
import type { Actions } from './panel.ts';
import { redraw, remember, view } from './slides.ts';

/**
 * The talk in one of its windows: it shows the state that the server has, and asks the server for whatever is to
 * happen, so that all windows show the same and none loses anything when it is loaded again.
 */
const token = takeToken();
// The frames inside a window, of the next slide and of all of them, show slides alone.
if (view === '' || view === 'presenter') start();

/** The session's token comes in the address that the terminal shows; kept for this origin, and taken out of sight. */
function takeToken(): string {
  const address = new URL(location.href);
  const given = address.searchParams.get('clave');
  if (given !== null) {
    localStorage.setItem('clave', given);
    address.searchParams.delete('clave');
    history.replaceState(history.state, '', address);
  }
  return localStorage.getItem('clave') ?? '';
}

async function ask(path: string, body: object = {}): Promise<void> {
  await fetch(path, {
    method: 'POST', headers: { 'content-type': 'application/json', 'x-clave': token }, body: JSON.stringify(body),
  });
}

function start(): void {
  const actions: Actions = {
    run(id, code) {
      performance.mark('pulsado');
      void ask('run', { id, code });
    },
    stop: () => void ask('stop'),
    open: (id, open) => void ask('open', { id, open }),
    page: (id, page) => void ask('page', { id, page }),
    edit: (id, code) => void ask('edit', { id, code }),
  };
  const panels = (Object.keys(experiments) as ExperimentId[]).map((id): Panel => {
    const panel = new Panel(id, experiments[id], new Editor({
      readOnly: token === '', edited: (code) => actions.edit!(id, code), run: () => panel.toggleRun(),
    }), actions);
    return panel;
  });
  mountPanels(panels);
  const planner = new Planner(); // lies over the panels, and hears keys before them
  planner.mount();
  bindKeys(panels);
  const clock = view === 'presenter' ? new Clock({
    toggle: (runs, slide) => void ask('clock', { runs, slide }), turned: (slide) => void ask('slide', { slide }),
  }) : undefined;

  let state: TalkState | undefined;
  let waiting: Told[] = [];
  const changed = new Set<string>();
  const paint = () => {
    for (const panel of panels) {
      const view = state!.experiments[panel.id];
      if (view && changed.has(panel.id)) panel.show(view);
    }
    changed.clear();
    const painted = waiting;
    waiting = [];
    setTimeout(() => measure(painted)); // once this frame is on the screen
  };
  new EventSource('events').addEventListener('message', ({ data }: MessageEvent<string>) => {
    const message = JSON.parse(data) as Message;
    const known = state;
    state = message.type === 'state' ? message.state : apply(state!, message);
    if (changed.size === 0) requestAnimationFrame(paint);
    if (message.type === 'event') waiting.push(message);
    for (const id of 'id' in message ? [message.id] : Object.keys(state.experiments)) changed.add(id);
    clock?.set(state);
    if (!known) void remember();
    else if (known.deck !== state.deck) {
      void redraw().then((done) => {
        if (!done) return location.reload();
        mountPanels(panels);
        planner.mount();
      });
    }
  });
}

/** Latencies, in the browser's own timeline: from the key to the first event, and from each event to the screen. */
function measure(painted: readonly Told[]): void {
  const end = performance.now();
  for (const { sentAt } of painted) {
    performance.measure('suceso en pantalla', { start: sentAt - performance.timeOrigin, end });
  }
  if (painted.length === 0 || performance.getEntriesByName('pulsado').length === 0) return;
  performance.measure('primer suceso', 'pulsado');
  performance.clearMarks('pulsado');
}
