import { dirname, join } from 'node:path';
import type { Look } from '../deck/look.ts';
import { experiments } from '../runs/experiments.ts';
import { recordOf } from '../runs/schema.ts';
import type { RunRecord } from '../runs/schema.ts';
import { runsFolder, saveRun } from '../runs/store.ts';
import { bundle } from './bundle.ts';
import { timesOf } from './clock.ts';
import type { Clock, TalkTimes } from './clock.ts';
import { PageMaker } from './page.ts';
import { latestRuns } from './runs.ts';
import type { Limits } from './runner.ts';
import { serve } from './server.ts';
import { removeEdited } from './source.ts';
import { Talk } from './talk.ts';
import { TypeChecker } from './types.ts';
import { watchFolders, watchRuns } from './watch.ts';

/** What a talk that was cut short needs to go on as it was: its windows keep their key, and the clock its time. */
export interface Session {
  readonly token: string;
  readonly clock?: Clock | undefined;
}

export interface StartOptions {
  /** The deck, in Markdown. */
  readonly deck: string;
  readonly look?: Look;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Where runs leave their records, each in a folder of its own. */
  readonly output: string;
  /** Arguments of Node that start the process of a run. */
  readonly command: readonly string[];
  readonly limits: (id: string, record: RunRecord | undefined) => Limits;
  /** Plays recorded runs back at this speed, and computes nothing. */
  readonly replaySpeed?: number | undefined;
  /** What each slide took the last time. */
  readonly before?: TalkTimes | undefined;
  /** That of a talk that goes on. */
  readonly session?: Session | undefined;
  /** Told the session as it begins, and whenever it changes. */
  readonly keep?: (session: Session) => void;
  /** Told what each slide has taken, at each turn and when the presenter's clock is stopped. */
  readonly timed?: (times: TalkTimes, stopped: boolean) => void;
  /** Told what keeps the deck from being drawn again, or a file from being written or watched: the talk goes on. */
  readonly failed: (error: unknown) => void;
}

export interface StartedTalk {
  /** To be opened by the presenter. */
  readonly url: string;
  /** For who looks from another machine, if any can. */
  readonly lookUrls: readonly string[];
  readonly talk: Talk;
  readonly close: () => Promise<void>;
}

/**
 * Starts a talk: its server, the process of the next run, and the watch over what the deck is made of.
 * @throws UserError if the deck cannot be drawn, or the port is taken
 */
export async function startTalk(
  { deck, look, host, port, output, command, limits, replaySpeed, before, session, keep, timed, failed }: StartOptions,
): Promise<StartedTalk> {
  const programs = [...new Set(Object.values(experiments).map(({ file }) => dirname(file)))];
  const attempt = (action: () => void) => {
    try {
      action();
    } catch (error) {
      failed(error);
    }
  };
  const cleanUp = () => programs.forEach((folder) => attempt(() => removeEdited(folder)));
  cleanUp();
  const read = latestRuns(output);
  const pages = new PageMaker(deck, { read, look });
  let page = await pages.draw();
  const script = await bundle('talk');
  const checker = new TypeChecker();
  let served = false; // before that, what goes on is perhaps another talk's, which has the port
  const talk = new Talk({
    experiments, checker, read, command, replaySpeed,
    limits: (id) => limits(id, read(id)),
    finished(id, { header, events }) {
      if (header) attempt(() => saveRun(join(output, id, 'run.json'), recordOf(header, events)));
    },
    before,
    clock: session?.clock,
    timed(clock, stopped) {
      const times = timesOf(page.plans, clock, clock.since);
      if (served) attempt(() => timed?.(times, stopped));
      return times;
    },
  });

  const serving = serve({ talk, page: () => page, script, host, port, token: session?.token, failed });
  const server = await serving.catch(async (error: unknown) => {
    await talk.close();
    throw error;
  });

  served = true;
  const kept = () => attempt(() => keep?.({ token: server.token, clock: talk.state.clock }));
  kept();
  talk.subscribe(({ type }) => {
    if (type === 'clock') kept();
  });

  let drawing = Promise.resolve();
  const redraw = () => {
    drawing = drawing.then(async () => {
      page = await pages.draw();
      talk.drawn();
    }).catch(failed); // the last good one stays on show
  };
  const stopWatching = [
    watchFolders([dirname(deck), 'assets/theme', 'assets/fonts', runsFolder], redraw, failed),
    watchFolders(programs, () => {
      talk.sourcesChanged();
      redraw();
    }, failed),
    watchRuns(output, redraw),
  ];
  return {
    url: server.url,
    lookUrls: server.lookUrls,
    talk,
    async close() {
      stopWatching.forEach((stop) => stop());
      await Promise.all([server.close(), talk.close(), checker.close()]);
      cleanUp();
    },
  };
}
