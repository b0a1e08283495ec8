import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

/** The browser that prints the deck, if there is one. */
export const executable = [process.env.CHROME_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  .find((path) => path !== undefined && existsSync(path));

/** What ends the title of tests that need it: the reporter tells it as the reason for skipping. */
export const why = executable ? '' : ' [sin Chromium: instálalo o di dónde está con CHROME_PATH]';

/** Without a word to the network of its own. */
export const launch = (): Promise<Browser> => chromium.launch({
  executablePath: executable,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
