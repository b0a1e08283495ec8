import { join } from 'node:path';
import { experimentIds } from '../runs/experiments.ts';
import { runsFolder, writeRun } from '../runs/store.ts';
import { backendOption } from './flags.ts';
import { runCommand } from './main.ts';
import { choice, optional } from './options.ts';
import { onScreen } from './screen.ts';
import { walk } from './walk.ts';

const options = {
  only: optional('only', 'ID', `mide solo uno: ${experimentIds.join(', ')}`, choice(...experimentIds), 'todos'),
  backend: backendOption,
};

/** `npm run record`: measures what the slides show, and leaves the records in `assets/runs/`. */
await runCommand({ name: 'npm run record', about: 'Mide lo que muestran las diapositivas.', options }, async (flags) => {
  await onScreen(async (screen) => {
    for await (const { id, record } of walk(flags.backend, (event) => screen.show(event), flags.only && [flags.only])) {
      writeRun(record);
      screen.line(`Guardado en «${join(runsFolder, id)}.json»\n`);
    }
  });
});
