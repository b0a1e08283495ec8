import { executable } from '../../src/deck/chromium.ts';

export { executable, launch } from '../../src/deck/chromium.ts';

/** What ends the title of tests that need it: the reporter tells it as the reason for skipping. */
export const why = executable ? '' : ' [sin Chromium: instálalo o di dónde está con CHROME_PATH]';
