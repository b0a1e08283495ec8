import * as tf from '@tensorflow/tfjs';
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import { alpacaPrompt } from '../../src/data/prompt.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { loadModel } from '../../src/model/load.ts';
import { logits } from '../../src/model/llama.ts';
import { loadAdapter } from '../../src/peft/folder.ts';
import { useBackend } from '../../src/tensor/backend.ts';

/** Our logits of one text, by the base alone and with the adapter, for `compare.py`. Arguments: BASE ADAPTER OUT. */
const [base, adapter, out] = process.argv.slice(2) as [string, string, string];
await useBackend('wasm');
const tokenizer = loadTokenizer(base);
const question = alpacaPrompt({ instruction: '¿Cuál es la capital de Perú?' });
const ids = Int32Array.from([
  tokenizer.bosId!, ...tokenizer.encode(question), ...tokenizer.encode('La capital de Perú es Lima.'),
]);
const model = loadModel(base);
const run = () => tf.tidy(() => logits(model, ids, 1).dataSync<'float32'>()); // (ids, vocabulary)
const plain = run();
loadAdapter(model, adapter);
const shape = [ids.length, model.config.vocabSize];
writeSafetensors(out, {
  ids: { dtype: 'F32', shape: [ids.length], data: Float32Array.from(ids) },
  base: { dtype: 'F32', shape, data: plain },
  adapter: { dtype: 'F32', shape, data: run() },
}, {});
