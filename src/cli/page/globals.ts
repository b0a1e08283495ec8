/** The globals of Node that the modules of a training use; esbuild puts them in where they are named. */
export const process = {
  env: {},
  memoryUsage: () => ({ rss: 0 }), // a page is not told what its process takes
  on: (): void => undefined,
  off: (): void => undefined,
};

/** A turn of the event loop. */
export const setImmediate = (action: () => void): unknown => setTimeout(action);
