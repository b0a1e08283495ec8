import { loadModel } from '../../src/model/load.ts';
import { useBackend } from '../../src/tensor/backend.ts';

/** Loads the folder that it is given in 4 bits, in a process of its own, and tells what that took. */
await useBackend('wasm');
const before = process.memoryUsage().rss;
const model = loadModel(process.argv[2]!, { loadIn4bit: true });
const peak = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ before, peak, held: model.bytes }));
