import { existsSync, watch } from 'node:fs';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UserError } from '../errors.ts';

export interface Preview {
  readonly url: string;
  readonly close: () => void;
}

export interface PreviewOptions {
  /** The page of the deck as it is now. */
  readonly render: () => Promise<string>;
  /** Folders whose changes draw the deck again: those that are not there are passed over. */
  readonly folders: readonly string[];
  /** 0 takes any free port. */
  readonly port: number;
  /** Told each time that the deck has been drawn again, or the error that kept it from being. */
  readonly drawn: (error?: unknown) => void;
}

/** In the page: reloads it when the deck has been drawn again. The slide on show is in the address, and stays. */
const reload = '<script>new EventSource("cambios").onmessage = () => location.reload();</script>';

/**
 * Serves the deck on this machine alone, and tells open pages to reload when something that it is made of changes.
 * A deck that fails to draw leaves the last good one on show.
 * @throws UserError if the port is taken; whatever the first drawing throws
 */
export async function startPreview({ render, folders, port, drawn }: PreviewOptions): Promise<Preview> {
  let page = await render();
  const open = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    if (request.url === '/cambios') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.flushHeaders();
      open.add(response);
      response.on('close', () => open.delete(response));
    } else if (new URL(request.url ?? '', 'http://localhost').pathname === '/') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
      response.end(page + reload);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE'
      ? new UserError(`El puerto ${port} está ocupado: elige otro con --port.`)
      : error));
    server.listen(port, '127.0.0.1', resolve);
  });

  const redraw = async () => {
    try {
      page = await render();
      drawn();
      for (const response of open) response.write('data: redrawn\n\n');
    } catch (error) {
      drawn(error);
    }
  };
  let queue = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const changed = () => { // an editor saves in several steps: wait for the last, and draw one at a time
    clearTimeout(timer);
    timer = setTimeout(() => { queue = queue.then(redraw); }, 150);
  };
  const watchers = folders.filter((folder) => existsSync(folder)).map((folder) => watch(folder, changed));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close() {
      clearTimeout(timer);
      watchers.forEach((watcher) => watcher.close());
      server.close();
      server.closeAllConnections();
    },
  };
}
