import { existsSync, readFileSync } from 'node:fs';
import Module from 'node:module';

/*
 * For each memory of WebAssembly V8 reserves 10 GB of addresses: for those of tsx, Node, the backend and ours. Under a
 * limit that has no room for them Node dies where nothing of ours could say why.
 */
const [limits, least] = ['/proc/self/limits', 96e9];
const unguarded = [...process.execArgv, process.env.NODE_OPTIONS].some((given) => given?.includes('disable-wasm-trap-handler'));
const limit = existsSync(limits) && /^Max address space +(\d+)/m.exec(readFileSync(limits, 'utf8'))?.[1];
if (limit && Number(limit) < least && !unguarded) {
  process.stderr.write('El límite de memoria virtual de este terminal («ulimit -v») no deja sitio a WebAssembly: quítalo con '
    + '«ulimit -v unlimited», o déjalo en 24 GB o más y pon NODE_OPTIONS=--disable-wasm-trap-handler, que es más lento.\n');
  process.exit(1);
}
await import('tsx');

/*
 * What every program starts by: TypeScript as it is, through tsx. That turns source maps on, for our own errors to tell
 * the line, and with them Node reads and keeps the map of every file that has one: TensorFlow.js's alone takes 40 MB
 * of each process and half a second. Packages are compiled without.
 */
const { _compile: compile } = Module.prototype;

Module.prototype._compile = function (content, file, ...rest) {
  const ofPackage = file.includes('node_modules');
  if (ofPackage) process.setSourceMapsEnabled(false);
  try {
    return compile.call(this, content, file, ...rest);
  } finally {
    if (ofPackage) process.setSourceMapsEnabled(true);
  }
};
