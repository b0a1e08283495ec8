"""Adapters merged into one by PEFT's `add_weighted_adapter`, in each of its ways.

pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0
python tests/golden/combinations/make.py        (from the project's folder, after adapters/make.py)

Writes beside itself the adapters `a`, `b` (r = 3) and `c` (r = 3, rsLoRA, fewer layers), `d` (r = 2), and
`reference.safetensors`: under `<case>.<layer>.lora_A` and `lora_B` what PEFT makes of them; and under
`<case>.mask.<layer>.<tensor>.<adapter>`, in bytes, what DARE kept of each, in the order in which it drew.
"""
import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import merge_utils
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

here = Path(__file__).parent
base_folder = here.parent / 'adapters/base'
load_base = lambda: LlamaForCausalLM.from_pretrained(base_folder)
kinds = {
    'a': dict(r=3, lora_alpha=6, target_modules=['q_proj', 'down_proj']),
    'b': dict(r=3, lora_alpha=4, target_modules=['q_proj', 'down_proj']),
    'c': dict(r=3, lora_alpha=3, target_modules=['q_proj'], use_rslora=True),
    'd': dict(r=2, lora_alpha=2, target_modules=['q_proj', 'up_proj']),
}
torch.manual_seed(11)
for name, options in kinds.items():
    model = get_peft_model(load_base(), LoraConfig(lora_dropout=0.0, task_type='CAUSAL_LM', **options))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn_like(parameter)
    shutil.rmtree(here / name, ignore_errors=True)
    model.save_pretrained(here / name)
    (here / name / 'README.md').unlink()
    file = here / name / 'adapter_config.json'
    config = json.loads(file.read_text())
    config = {key: sorted(value) if isinstance(value, list) else value for key, value in config.items()}  # sets have no order
    file.write_text(json.dumps({**config, 'base_model_name_or_path': 'base'}, indent=2) + '\n')

model = PeftModel.from_pretrained(load_base(), here / 'a', adapter_name='a')
for name in 'bcd':
    model.load_adapter(here / name, adapter_name=name)

drawn = []
bernoulli = torch.bernoulli
def recorded(probabilities):
    drawn.append(bernoulli(probabilities))
    return drawn[-1]
merge_utils.torch.bernoulli = recorded

three, weights = ['a', 'b', 'c'], [0.7, -0.4, 1.1]
cases = {
    'cat': dict(adapters=['a', 'd', 'c'], weights=weights),
    'svd': dict(adapters=['a', 'd', 'c'], weights=weights),
    'svd_rank': dict(combination_type='svd', svd_rank=5, adapters=['a', 'd', 'c'], weights=weights),
    'linear': {}, 'ties': {}, 'ties_frequency': dict(combination_type='ties', majority_sign_method='frequency'),
    'ties_svd': {}, 'dare_linear': {}, 'dare_ties': {}, 'dare_linear_svd': {}, 'dare_ties_svd': {},
    'magnitude_prune': {}, 'magnitude_prune_svd': {},
}
reference = {}
for case, options in cases.items():
    options = dict(combination_type=case, adapters=three, weights=weights, density=0.6) | options
    drawn.clear()
    model.add_weighted_adapter(adapter_name=case, **options)
    masks = iter(drawn)
    for path, layer in model.named_modules():
        if case not in getattr(layer, 'lora_A', {}):
            continue
        path = path.removeprefix('base_model.model.')
        reference[f'{case}.{path}.lora_A'] = layer.lora_A[case].weight.detach().clone().contiguous()
        reference[f'{case}.{path}.lora_B'] = layer.lora_B[case].weight.detach().clone().contiguous()
        if case.startswith('dare'):
            for tensor in ['delta'] if case.endswith('svd') else ['lora_A', 'lora_B']:
                for adapter in options['adapters']:
                    if adapter in layer.lora_A:
                        reference[f'{case}.mask.{path}.{tensor}.{adapter}'] = next(masks).to(torch.uint8)
    assert next(masks, None) is None
save_file(reference, here / 'reference.safetensors')
print(len(reference), sum(value.nbytes for value in reference.values()))
