import { experiments } from '../../runs/experiments.ts';
import type { ExperimentId } from '../../runs/experiments.ts';
import { apply } from '../state.ts';
import type { ExperimentView, Message, TalkState, Told } from '../state.ts';
import { Clock } from './clock.ts';
import { Editor } from './editor.ts';
import { Follower, Leader } from './follow.ts';
import { bindKeys, mountPanels } from './keys.ts';
import { Notice } from './notice.ts';
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

const looksOnly = 'Esta ventana solo mira: para manejar la charla, abre la dirección de «npm run talk».';
/** Whoever only looks has no terminal, and may have lost the network alone. */
const offline = token === '' ? 'Sin conexión con la charla: vuelve sola en cuanto la haya.'
  : 'Sin conexión con «npm run talk»: inícialo otra vez en su terminal.';
/** Why the server does not do what it is asked, by its status. */
const refusals: Readonly<Record<number, string>> = {
  403: looksOnly, // its token is of an earlier session
  409: 'Ya hay una ejecución en marcha: espera a que acabe, o detenla.',
  413: 'El código pasa de 64 KiB: ni se guarda ni se ejecuta.',
};

function start(): void {
  const notice = new Notice();
  const ask = async (path: string, body: object = {}): Promise<void> => {
    if (token === '') return notice.say(looksOnly);
    const answer = await fetch(path, {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-clave': token }, body: JSON.stringify(body),
    }).catch(() => undefined); // gone: the stream of events says it
    if (!answer || answer.ok) return;
    notice.say(refusals[answer.status] ?? (await answer.text() || `El servidor no lo hace: ${answer.status}.`));
  };
  const actions: Actions = {
    looksOnly: token === '',
    run(id, code) {
      const { experiments: all = {} } = state ?? {};
      const other = Object.keys(all).find((one) => one !== id && isRunning(all[one]!));
      if (other !== undefined && token !== '') {
        const { title } = experiments[other as ExperimentId];
        return notice.say(`Ya hay una ejecución en marcha, «${title}»: detenla en su diapositiva.`);
      }
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
    toggle: (runs, slide) => void ask('clock', { runs, slide }),
  }) : undefined;
  const shown = token === '' ? new Follower() : new Leader((slide) => void ask('slide', { slide }));

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
  const stream = new EventSource('events');
  stream.addEventListener('open', () => notice.clear());
  stream.addEventListener('error', () => {
    notice.say(offline, true);
    for (const [id, view] of Object.entries(state?.experiments ?? {})) {
      if (!isRunning(view)) continue;
      const lost = { ...view, run: { ...view.run!, state: 'stopped', endedAt: Date.now() } as const };
      state = apply(state!, { type: 'experiment', id, view: lost });
      changed.add(id);
    }
    if (state) requestAnimationFrame(paint);
  });
  stream.addEventListener('message', ({ data }: MessageEvent<string>) => {
    const message = JSON.parse(data) as Message;
    const known = state;
    state = message.type === 'state' ? message.state : apply(state!, message);
    if (changed.size === 0) requestAnimationFrame(paint);
    if (message.type === 'event') waiting.push(message);
    for (const id of 'id' in message ? [message.id] : Object.keys(state.experiments)) changed.add(id);
    clock?.set(state);
    if (message.type === 'state' || message.type === 'slide') shown.set(state.slide);
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

const isRunning = ({ run }: ExperimentView): boolean => run?.state === 'running';

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
