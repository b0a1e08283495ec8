import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import { alpacaPrompt } from '../../src/data/prompt.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { logits } from '../../src/model/llama.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import { AdaLora } from '../../src/peft/adalora.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { mergeAdapter } from '../../src/peft/merge.ts';
import { addAdapter } from '../../src/peft/methods.ts';
import type { AdapterOptions } from '../../src/peft/methods.ts';
import { Random } from '../../src/random.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { largestDifference } from './comparison.ts';
import type { Comparison } from './comparison.ts';

/**
 * Adapters on the embedded base: ours opened by PEFT, PEFT's by us, and ours merged into a model for transformers. Of
 * each kind its options, as we and as PEFT name them.
 */
const base = 'assets/model';
const kinds: Record<string, { options: AdapterOptions; peft: object }> = {
  'LoRA': { options: {}, peft: {} },
  'rsLoRA': { options: { useRslora: true }, peft: { use_rslora: true } },
  'DoRA': { options: { useDora: true }, peft: { use_dora: true } },
  'LoRA por partes': {
    options: {
      targetModules: String.raw`.*\.(q|v|down)_proj`, rankPattern: { q_proj: 3 }, alphaPattern: { '0.mlp.down_proj': 5 },
      modulesToSave: ['norm'],
    },
    peft: {
      target_modules: String.raw`.*\.(q|v|down)_proj`, rank_pattern: { q_proj: 3 }, alpha_pattern: { '0.mlp.down_proj': 5 },
      modules_to_save: ['norm'],
    },
  },
  'AdaLoRA': {
    options: { method: 'adalora', initR: 12 },
    peft: { peft_type: 'ADALORA', init_r: 9, target_r: 6, total_step: 10 },
  },
  'IA3': { options: { method: 'ia3' }, peft: { peft_type: 'IA3' } },
};

const tokenizer = loadTokenizer(base);
const ids = Int32Array.from([
  tokenizer.bosId!, ...tokenizer.encode(alpacaPrompt({ instruction: '¿Cuál es la capital de Perú?' })),
  ...tokenizer.encode('La capital de Perú es Lima.'),
]);
/** (tokens, vocabulary) */
const logitsOf = (model: LlamaModel) => valuesOf(() => logits(model, ids, 1));

export const adapters: Comparison = {
  async ours(folder) {
    writeFileSync(join(folder, 'adapters.json'), JSON.stringify({
      base, ids: [...ids], kinds: Object.entries(kinds).map(([kind, { peft }]) => [kind, peft]),
    }));
    const model = loadModel(base);
    const made: Record<string, Float32Array> = { base: logitsOf(model) };
    for (const [kind, { options }] of Object.entries(kinds)) {
      const adapted = addAdapter(model, { r: 8, alpha: 12, dropout: 0, ...options });
      const random = Random.for(1, kind);
      for (const { name, values } of adapted.parameters) {
        if (!name.includes('lora_A')) values.forEach((_, i) => (values[i]! += 0.05 * random.normal()));
      }
      if (adapted.adapter instanceof AdaLora) dropSome(adapted.adapter);
      saveAdapter(adapted, join(folder, 'ours', kind), { baseModel: base });
      made[kind] = logitsOf(model);
      merge(join(folder, 'ours', kind), join(folder, 'merged', kind));
      const merged = loadModel(join(folder, 'merged', kind));
      made[`merged.${kind}`] = logitsOf(merged);
      merged.dispose();
    }
    const shape = [ids.length, model.config.vocabSize];
    writeSafetensors(join(folder, 'ours.safetensors'), Object.fromEntries(
      Object.entries(made).map(([name, data]) => [name, { dtype: 'F32' as const, shape, data }])));
    model.dispose();
  },
  async compare(folder) {
    const ours = readSafetensors(join(folder, 'ours.safetensors'));
    const theirs = readSafetensors(join(folder, 'theirs.safetensors'));
    const row = (what: string, a: Float32Array, b: Float32Array) =>
      ({ what, limit: 1e-4, measured: largestDifference(a, b) });
    const model = loadModel(base);
    const rows = [row('base incluida: logits', ours.float32('base'), theirs.float32('base'))];
    for (const kind of Object.keys(kinds)) {
      loadAdapter(model, join(folder, 'theirs', kind));
      rows.push(
        row(`${kind} nuestro en PEFT: logits`, ours.float32(kind), theirs.float32(`ours.${kind}`)),
        row(`${kind} de PEFT aquí: logits`, logitsOf(model), theirs.float32(`theirs.${kind}`)),
        row(`${kind} fusionado aquí, en transformers: logits`,
          ours.float32(`merged.${kind}`), theirs.float32(`merged.${kind}`)),
      );
    }
    model.dispose();
    return rows;
  },
};

/** As training does: of each layer other triplets, their values zero. */
function dropSome({ masks, parameters }: AdaLora): void {
  [...masks].forEach(([path, mask], layer) => {
    const { values } = parameters.find(({ name }) => name === `${path}.lora_E`)!;
    mask.forEach((_, i) => {
      if ((i + layer) % 3 === 0) mask[i] = values[i] = 0;
    });
  });
}

function merge(adapter: string, output: string): void {
  const merging = mergeAdapter(base, adapter, output, { quant: {}, shardBytes: 1e6 });
  while (!merging.next().done);
}
