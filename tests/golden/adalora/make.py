"""AdaLoRA's masks over whole schedules, as PEFT's RankAllocator sets them.

pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0
python tests/golden/adalora/make.py            (from the project's folder, after adapters/make.py)

Writes `schedules.json`: for each schedule its options, and after each of 100 steps, once there are masks, those of all
layers one after another (in the model's order, a digit a triplet), and at the end the singular values. The
parameters' first values and the gradients are given by a formula, `number` below, which the test has too; torch's
AdamW takes the steps, so that masked triplets come back and go again as they do in training.
"""
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from peft import AdaLoraConfig, get_peft_model
from transformers import LlamaForCausalLM

here = Path(__file__).parent
STEPS, RATE = 100, 0.01
schedules = [
    dict(init_r=6, target_r=3, tinit=10, tfinal=30, deltaT=1),
    dict(init_r=6, target_r=1, tinit=0, tfinal=0, deltaT=7, beta1=0.5, beta2=0.9),
    dict(init_r=5, target_r=4, tinit=40, tfinal=45, deltaT=10),
]


def number(parameter, step, shape):
    """The same for all steps, and something of the step's own: floats of 32 bits, from integers."""
    i = np.arange(np.prod(shape), dtype=np.int64)
    own = (i * 104729 + parameter * 7919) % 65521 / 65521 - 0.5
    turn = (i * 15485863 + parameter * 32452843 + step * 49979687) % 65521 / 65521 - 0.5
    return torch.tensor(np.float32((own + 0.5 * turn) * (1 + parameter % 5))).reshape(shape)


def inner(name):
    return name.removeprefix('base_model.model.')


def run(options):
    base = LlamaForCausalLM.from_pretrained(here.parent / 'adapters/base', dtype=torch.float32)
    model = get_peft_model(base, AdaLoraConfig(
        target_modules='all-linear', total_step=STEPS, task_type='CAUSAL_LM', lora_dropout=0.0, **options))
    allocator = model.base_model.rankallocator
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    # As here: layer by layer, A, E and B of each module in turn.
    part = {'A': 0, 'E': 1, 'B': 2}
    modules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
    def place(item):
        words = item[0].split('.')
        return (int(words[words.index('layers') + 1]), modules.index(words[-3]), part[words[-2][-1]])
    trained.sort(key=place)
    singular = [(name, p) for name, p in trained if 'lora_E' in name]
    for i, (name, p) in enumerate(trained):
        p.data = torch.zeros_like(p) if 'lora_E' in name else 0.05 * number(i, 0, p.shape)
    optimizer = torch.optim.AdamW([p for _, p in trained], lr=RATE, weight_decay=0)
    masks, narrowest = {}, 1.0
    mask_to_budget = allocator.mask_to_budget

    def watched(module, budget):
        nonlocal narrowest
        pattern = mask_to_budget(module, budget)
        scores = []
        for name, _ in singular:
            e, a, b = (allocator._element_score(inner(name).replace('lora_E', part)) for part in ('lora_E', 'lora_A', 'lora_B'))
            scores.append(e.view(-1) + a.mean(1) + b.mean(0))
        scores = torch.cat(scores).sort().values
        k = allocator.init_bgt - budget
        narrowest = min(narrowest, float((scores[k] - scores[k - 1]) / scores[k]))
        return pattern

    allocator.mask_to_budget = watched
    for step in range(1, STEPS + 1):
        for i, (_, p) in enumerate(trained):
            p.grad = number(i, step, p.shape)
        optimizer.step()
        model.base_model.update_and_allocate(step)
        pattern = model.peft_config['default'].rank_pattern
        if pattern:
            found = [pattern[inner(name)] for name, _ in singular]
            masks[step] = ''.join(str(int(kept)) for mask in found for kept in mask)
    # Two scores that lay closer than rounding would decide nothing.
    print(options, len(masks), f'narrowest margin {narrowest:.1e}', masks[STEPS].count('1'))
    return {'options': options, 'masks': masks, 'singular': [float(f'{v:.9g}') for _, e in singular for v in e.data.view(-1)]}


warnings.simplefilter('ignore')
(here / 'schedules.json').write_text('[\n' + ',\n'.join(json.dumps(run(options)) for options in schedules) + '\n]\n')
