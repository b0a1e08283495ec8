import { beginFolder } from '../checkpoint/files.ts';
import { openModel } from '../model/load.ts';
import type { PeftModel } from './adapter.ts';
import { checkOptions, combineAdapters } from './combine.ts';
import type { CombineOptions, Combination } from './combine.ts';
import { loadLora, saveAdapter } from './folder.ts';
import type { Lora } from './lora.ts';
import { storedModel } from './merge.ts';

/**
 * `combineAdapters` of adapters in folders, written as a PEFT folder that appears when it is whole. Of their base only
 * the configuration is read.
 *
 * @param baseModel what the adapter calls its base
 * @throws UserError also when one of them cannot be read, or the output is there already
 */
export function combineFolders(
  modelFolder: string, baseModel: string, folders: readonly string[], output: string, combination: Combination,
  options: CombineOptions,
): PeftModel<Lora> {
  checkOptions(folders.length, options);
  const pending = beginFolder(output);
  try {
    const base = storedModel(openModel(modelFolder), modelFolder);
    const adapters = folders.map((folder) => loadLora(base, folder));
    const model = combineAdapters(base, adapters, combination, options);
    saveAdapter(model, pending.path, { baseModel });
    pending.commit();
    return model;
  } finally {
    pending.discard();
  }
}
