import { join } from 'node:path';
import { build } from 'esbuild';

/**
 * The program of the page as one script: `talk`, for a window of a talk, or `replay`, for a deck in a file.
 * @returns text without `</script>`, which may stand in a page
 */
export async function bundle(entry: 'talk' | 'replay'): Promise<string> {
  const browser = join(import.meta.dirname, 'browser');
  const { outputFiles } = await build({
    entryPoints: [join(browser, `${entry}.ts`)],
    bundle: true, minify: true, write: false, format: 'iife', target: 'es2022', charset: 'utf8', legalComments: 'none',
    alias: { linkedom: join(browser, 'document.ts') },
  });
  return outputFiles[0]!.text.replaceAll('</script', '<\\/script');
}
