import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { adalora, adaloraSetting } from '../../demo/adalora.ts';
import { checkpointing } from '../../demo/checkpointing.ts';
import { lora, loraSetting } from '../../demo/lora.ts';
import { mixture, mixtureDefaults } from '../../demo/mixture.ts';
import { peft, peftSetting } from '../../demo/peft.ts';
import { practices, practicesSetting } from '../../demo/practices.ts';
import { qlora } from '../../demo/qlora.ts';
import { quantization, quantizationInputs } from '../../demo/quantization.ts';
import { sharding, shardingInputs } from '../../demo/sharding.ts';
import { silent } from '../checkpoint/download.ts';
import type { DataOptions } from '../data/load.ts';
import type { ExperimentId } from '../runs/experiments.ts';
import type { Recorder } from '../runs/recorder.ts';
import { dataOptions } from './flags.ts';
import type { DemoFlags } from './flags.ts';
import { runQlora } from './qlora-run.ts';
import { findSources } from './sources.ts';

const programs = { adalora, checkpointing, lora, mixture, peft, practices, qlora, quantization, sharding };

/** Calls the program, which may be an edited one, with the demo's options, and tells the recorder what it does. */
type Call = (program: typeof programs, recorder: Recorder, demo: DemoFlags) => Promise<unknown>;

/** How each experiment is run. */
const calls: Record<ExperimentId, Call> = {
  peft: ({ peft }, recorder, demo) => compare(peft, peftSetting, 100, recorder, demo),
  lora: ({ lora }, recorder, demo) => compare(lora, loraSetting, 64, recorder, demo),
  async practices({ practices }, recorder, demo) {
    const keep = join('out', 'practices', 'sweep.json'); // a run that was stopped goes on; one that ended begins anew
    await compare((given, tell) => practices({ ...given, keep }, tell), practicesSetting, 64, recorder, demo);
    rmSync(keep, { force: true });
  },
  async quantization({ quantization }, recorder, demo) {
    const data = dataOptions(demo);
    recorder.origin(quantizationInputs(demo.model, data), { model: demo.model, doubleQuant: true });
    recorder.result(await quantization(demo.model, data, (line) => recorder.line(line)));
  },
  async adalora({ adalora }, recorder, demo) {
    const { model, data, heldOut } = demo;
    recorder.origin([join(model, 'config.json'), data, heldOut!], { model, ...adaloraSetting });
    // The first of the examination: half a minute less for five seeds.
    const questions = { ...dataOptions(demo), heldOut: 64 };
    await adalora({ modelDir: model, data: questions, ...adaloraSetting }, recorder);
  },
  async mixture({ mixture }, recorder, { model }) {
    recorder.origin(['model.safetensors', 'tokenizer.json'].map((file) => join(model, file)), {
      model, ...mixtureDefaults, families: [...mixtureDefaults.families],
    });
    recorder.result(await mixture(model, mixtureDefaults, (line) => recorder.line(line)));
  },
  async checkpointing({ checkpointing }, recorder, demo) {
    const { model, batchSize } = demo;
    recorder.origin([join(model, 'config.json'), demo.data], { model, batchSize });
    recorder.result(await checkpointing(model, dataOptions(demo), { batchSize }, (line) => recorder.line(line)));
  },
  async sharding({ sharding }, recorder, demo) {
    const { model, batchSize } = demo;
    const data = dataOptions(demo);
    recorder.origin(shardingInputs(model, data), { model, batchSize });
    recorder.result(await sharding(model, data, { batchSize }, (line) => recorder.line(line)));
  },
  qlora: async ({ qlora }, recorder, demo) => runQlora(demo, await findSources(demo, silent), qlora, recorder),
};

/** Trainings side by side, each examined with the same questions: the fewer, the more often it is. */
async function compare<Setting extends object>(
  program: (given: Setting & { modelDir: string; data: DataOptions }, recorder: Recorder) => Promise<void>,
  setting: Setting, questions: number, recorder: Recorder, demo: DemoFlags,
): Promise<void> {
  const data = { ...dataOptions(demo), heldOut: questions };
  recorder.origin(
    [join(demo.model, 'model.safetensors'), join(demo.model, 'tokenizer.json'), demo.data, ...data.heldOutFiles ?? []],
    { model: demo.model, ...setting },
  );
  await program({ ...setting, modelDir: demo.model, data }, recorder);
}

/** The command that does it again. */
export const commandOf = (id: ExperimentId): string => (id === 'qlora' ? 'npm run demo' : 'npm run record');

/**
 * Runs an experiment.
 * @param edited exports of an edited program, which take the place of its own
 */
export async function runExperiment(
  id: ExperimentId, recorder: Recorder, demo: DemoFlags, edited: object = {},
): Promise<void> {
  await calls[id]({ ...programs, ...edited }, recorder, demo);
}
