import { planChart } from '../charts/plan.ts';
import { knownConfig, knownModels } from '../distributed/known.ts';
import { plan, planDefaults } from '../distributed/planner.ts';
import { modelSize } from '../distributed/size.ts';
import type { ModelSize } from '../distributed/size.ts';
import { capacityOf, titleOf } from '../distributed/words.ts';
import type { PlanChoice } from '../distributed/words.ts';
import { UserError } from '../errors.ts';
import { figures } from './figures.ts';
import type { MarkdownIt } from './markdown.ts';

/** What a page carries in `<script type="application/json" class="planes">`, for its planner to start from. */
export interface PlannerData {
  readonly choice: PlanChoice;
  /** Of every model that can be chosen, by its name. */
  readonly sizes: Readonly<Record<string, ModelSize>>;
}

/** As wide as a slide's text: the picture is one bar across it. */
const width = 1136;

/**
 * `![alt text](plan:meta-llama/Llama-2-7b-hf)`: what QLoRA of a known model takes of each of two cards of 24 GiB. It
 * stands still on paper; in a browser `live/browser/planner.ts` opens the planner from it.
 */
export function plans(md: MarkdownIt): void {
  figures(md, 'plan', (model, alt) => {
    const sizes = Object.fromEntries(knownModels.map((name) => [name, modelSize(knownConfig(name)!)]));
    const size = sizes[model];
    if (!size) {
      throw new UserError(`La diapositiva pide «plan:${model}», que no es un modelo conocido; los hay: ${knownModels.join(', ')}.`);
    }
    const choice: PlanChoice = { model, gpuMemory: 24, options: { ...planDefaults, gpus: 2 } };
    const bar = { label: titleOf(choice), ...plan(size, choice.options) };
    const json = JSON.stringify({ choice, sizes } satisfies PlannerData).replaceAll('<', '\\u003c');
    const data = `<script type="application/json" class="planes">${json}</script>`;
    return { html: planChart([bar], capacityOf(choice), alt, width) + data };
  });
}
