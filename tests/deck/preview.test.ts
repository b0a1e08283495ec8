import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startPreview } from '../../src/deck/preview.ts';
import type { Preview } from '../../src/deck/preview.ts';

describe('preview', () => {
  const folder = mkdtempSync(join(tmpdir(), 'preview-'));
  let preview: Preview | undefined;
  afterEach(() => preview?.close());

  const start = async (render: () => Promise<string>, drawn: (error?: unknown) => void = () => {}) => {
    preview = await startPreview({ render, folders: [folder, join(folder, 'nowhere')], port: 0, drawn });
    return preview.url;
  };
  const text = async (url: string) => (await fetch(url)).text();

  it('serves the page on loopback, and nothing else', async () => {
    const url = await start(async () => '<html>uno</html>');
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    expect(await text(url)).toContain('uno');
    expect((await fetch(`${url}package.json`)).status).toBe(404);
  });

  it('draws again when a file changes, and tells the open page', async () => {
    let drawings = 0;
    const url = await start(async () => `dibujo ${++drawings}`);
    const events = (await fetch(`${url}cambios`)).body!.getReader();
    writeFileSync(join(folder, 'a.md'), 'x');
    expect(new TextDecoder().decode((await events.read()).value)).toMatch(/^data: \S+\n\n$/); // an empty one is not heard
    expect(await text(url)).toContain('dibujo 2');
  });

  it('keeps the last good page when the deck fails to draw', async () => {
    let broken = false;
    const failed = new Promise((resolve) => {
      void start(async () => {
        if (broken) throw new Error('rota');
        return 'buena';
      }, resolve).then(() => {
        broken = true;
        writeFileSync(join(folder, 'a.md'), 'y');
      });
    });
    expect(await failed).toMatchObject({ message: 'rota' });
    expect(await text(preview!.url)).toContain('buena');
  });

  it('says that a port is taken', async () => {
    const url = await start(async () => '');
    const taken = startPreview({ render: async () => '', folders: [], port: Number(new URL(url).port), drawn: () => {} });
    await expect(taken).rejects.toThrow(/El puerto \d+ está ocupado/);
    rmSync(folder, { recursive: true });
  });
});
