import { executable } from '../../src/check/browser.ts';

export { executable, launch } from '../../src/check/browser.ts';

/** What ends the title of tests that need it: the reporter tells it as the reason for skipping. */
export const why = executable ? '' : ' [sin Chromium: instálalo o di dónde está con CHROME_PATH]';
