import type { ReadRun } from '../deck/provenance.ts';
import { experiments } from '../runs/experiments.ts';
import type { ExperimentId } from '../runs/experiments.ts';
import type { Recordings } from './browser/replay.ts';
import { bundle } from './bundle.ts';
import { readRegion } from './source.ts';

/**
 * The page of a deck with the recorded runs of its experiments, which play back in their panels: from a file, without
 * a server or a network. An experiment without a recorded run has no panel.
 */
export async function withRecordings(html: string, read: ReadRun): Promise<string> {
  const recordings: { -readonly [Id in ExperimentId]?: Recordings[Id] } = {};
  for (const [, id] of html.matchAll(/<section[^>]* data-experimento="([\w-]+)"/g)) {
    const [experiment, record] = [id as ExperimentId, read(id!)];
    if (record) recordings[experiment] = { code: readRegion(experiments[experiment]), record };
  }
  const json = JSON.stringify(recordings).replaceAll('<', '\\u003c');
  const scripts = `<script type="application/json" id="grabaciones">${json}</script><script>${await bundle('replay')}</script>`;
  return html.replace('</body>', () => `${scripts}</body>`);
}
