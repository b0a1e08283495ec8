import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { filesId, orderId, pack, program } from '../../live/training.ts';
import type { TrainingOrder } from '../../live/training.ts';
import { quantizeModel } from '../../model/quantize.ts';
import { embedded, kernelBinaries, kernelFolder, wasmBinary } from './paths.ts';

/**
 * The page with all that a training in it needs: the model in the 4 bits that it is trained on, tokenizer, data, the
 * program, and the binaries that compute. Nothing is left to ask of a network. It comes before what plays runs back,
 * which looks for it; a deck without the experiment stays as it is.
 */
export async function withTraining(html: string, order: TrainingOrder = {}): Promise<string> {
  if (!html.includes('data-experimento="qlora"')) return html;
  const files = new Map<string, Uint8Array>([
    ...inFourBits(embedded.modelDir),
    ...[embedded.data, embedded.heldOut].map((path) => [path, readFileSync(path)] as const),
    ...kernelBinaries.map((path) => [`${kernelFolder}/${basename(path)}`, readFileSync(path)] as const),
    [wasmBinary, readFileSync(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')
      .replace(/[\\/]dist[\\/].*$/, `/dist/${wasmBinary.split('/').at(-1)!}`))],
    [program, await bundleWorker()],
  ]);
  const zipped = gzipSync(pack(files), { level: 9 }).toString('base64');
  return html.replace('</body>', () => `<script type="application/json" id="${orderId}">${JSON.stringify(order)}</script>`
    + `<script type="text/plain" id="${filesId}">${zipped}</script></body>`);
}

/** A model's folder as `npm run quantize` writes it: the bytes that loading it in 4 bits would make. */
function inFourBits(folder: string): [string, Uint8Array][] {
  const beside = mkdtempSync(join(tmpdir(), 'modulo-2-'));
  try {
    const output = join(beside, 'model');
    for (const _ of quantizeModel(folder, output, { quantType: 'nf4', doubleQuant: true, shardBytes: 2 ** 30 }));
    return readdirSync(output).filter((name) => !name.endsWith('.md'))
      .map((name) => [`${folder}/${name}`, readFileSync(join(output, name))]);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

/** The demo's own modules as one script for a worker; `node:` modules are those of this folder. */
async function bundleWorker(): Promise<Uint8Array> {
  const here = (name: string) => join(import.meta.dirname, name);
  const node = Object.fromEntries(['os', 'v8', 'path', 'crypto', 'buffer', 'worker_threads', 'url']
    .map((name) => [`node:${name}`, here('node.ts')]));
  const { outputFiles } = await build({
    entryPoints: [here('worker.ts')],
    bundle: true, minify: true, write: false, format: 'iife', platform: 'browser', target: 'es2022', charset: 'utf8',
    legalComments: 'none',
    alias: { 'node:fs': here('fs.ts'), ...node, 'hyparquet': here('node.ts'), '@tensorflow/tfjs': here('tfjs.ts') },
    inject: [here('globals.ts')],
    define: { 'import.meta.url': JSON.stringify(`file:///${kernelFolder}/module.js`) },
  });
  return outputFiles[0]!.contents;
}
