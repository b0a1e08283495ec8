import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import type { PlannerData } from '../../src/deck/plan.ts';
import { knownModels } from '../../src/distributed/known.ts';
import { plan } from '../../src/distributed/planner.ts';
import { formatBytes } from '../../src/format.ts';
import { render } from './record.ts';

describe('the plan of a slide', () => {
  it('stands still, and carries what the planner starts from: the sizes of every known model', () => {
    const { document } = parseHTML(render('![Un plan](plan:meta-llama/Llama-2-7b-hf)').html[0]!);
    const figure = document.querySelector('figure')!;
    expect(figure.querySelector('svg')!.getAttribute('aria-label')).toMatch(/^Un plan\. .*optimizador 305 MiB.*de 24 GiB\.$/);
    const { choice, sizes } = JSON.parse(figure.querySelector('script.planes')!.textContent) as PlannerData;
    expect(Object.keys(sizes)).toEqual(knownModels);
    expect(figure.querySelector('svg')!.textContent).toContain('meta-llama/Llama-2-7b-hf: QLoRA r = 16; 2 GPU de 24 GiB');
    const { total } = plan(sizes[choice.model]!, choice.options);
    expect(figure.querySelector('svg')!.textContent).toContain(`${formatBytes(total)} de 24 GiB`);
  });

  it('is refused of a model whose shape is not known', () => {
    expect(() => render('![Un plan](plan:nadie/nada)'))
      .toThrow(/^La diapositiva pide «plan:nadie\/nada», que no es un modelo conocido; los hay: huggyllama.*\.$/);
  });
});
