import { withRecordings } from '../../live/recordings.ts';
import { readRun } from '../../runs/store.ts';
import { withTraining } from './embed.ts';

/** The page that is handed out: besides slides and player, the training and the recorded runs. */
export const completePage = async (html: string): Promise<string> => withRecordings(await withTraining(html), readRun);
