import { experiments } from '../../runs/experiments.ts';
import type { ExperimentId } from '../../runs/experiments.ts';
import { toldBy } from '../../runs/schema.ts';
import type { RunRecord } from '../../runs/schema.ts';
import { replay } from '../replay.ts';
import type { ExperimentView, RunView } from '../state.ts';
import { element, scrollable } from './dom.ts';
import { bindKeys, mountPanels } from './keys.ts';
import { Panel } from './panel.ts';
import { Planner } from './planner.ts';
import { view } from './slides.ts';
import { canTrain, trainHere } from './training.ts';

/** What the page carries in `<script type="application/json" id="grabaciones">`. */
export type Recordings = Readonly<Partial<Record<ExperimentId, { readonly code: string; readonly record: RunRecord }>>>;

/** Faster than they ran: a reader does not wait a minute and a half. */
const speed = 8;

/**
 * The deck in a file: the recorded runs that it carries are played back in their panels, without a server; the last
 * slide's can also be done here.
 */
if (view === '' || view === 'presenter') start();

function start(): void {
  const recordings = JSON.parse(document.getElementById('grabaciones')!.textContent) as Recordings;
  const panels = Object.entries(recordings).map(([id, recording]) => playable(id as ExperimentId, recording));
  mountPanels(panels);
  new Planner().mount(); // lies over the panels, and hears keys before them
  bindKeys(panels);
}

function playable(id: ExperimentId, { code, record }: Required<Recordings>[ExperimentId] & object): Panel {
  const { header, events } = toldBy(record);
  let stop = (): void => {};
  let state: ExperimentView = { open: false, page: 0, code, original: code, problems: [] };
  const change = (changes: Partial<ExperimentView>): void => panel.show(state = { ...state, ...changes });
  const play = async (number: number) => {
    const abort = new AbortController();
    stop = () => abort.abort();
    let run: RunView = { number, source: 'replay', state: 'running', edited: false, startedAt: Date.now(), header, events: [] };
    change({ open: true, page: 0, run });
    for await (const event of replay(events, speed, abort.signal)) {
      run = { ...run, events: [...run.events, event] };
      change({ run });
    }
    change({ run: { ...run, state: abort.signal.aborted ? 'stopped' : 'finished' } });
  };
  const train = (number: number) => {
    let run: RunView = {
      number, source: 'live', where: 'en esta página', state: 'running', edited: false, startedAt: Date.now(), events: [],
    };
    const update = (changes: Partial<RunView>) => change({ run: run = { ...run, ...changes } });
    change({ open: true, page: 0, run });
    const ended = (state: RunView['state'], reason?: string) => update({ state, endedAt: Date.now(), reason });
    const end = trainHere((message) => {
      if (message.type === 'event') update({ events: [...run.events, message.event] });
      else if (message.type === 'finished') ended('finished');
      else ended('stopped', message.reason);
    });
    stop = () => {
      end();
      ended('stopped');
    };
  };
  const shown = scrollable(element('pre', 'vivo-editor', code), 'Código del experimento');
  const panel: Panel = new Panel(id, experiments[id], { dom: shown, show() {}, pending: () => undefined }, {
    run: () => void play((state.run?.number ?? 0) + 1),
    stop: () => stop(),
    ...id === 'qlora' && canTrain() && { train: () => train((state.run?.number ?? 0) + 1) },
    open: (_id, open) => change({ open }),
    page: (_id, page) => change({ page }),
  });
  panel.show(state);
  return panel;
}
