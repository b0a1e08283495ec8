"""Adapters of each kind as PEFT saves them, with the logits, losses and gradients that PEFT gives.

pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0
python tests/golden/adapters/make.py            (from the project's folder)

Writes beside itself: `base/`, a tiny untied Llama in float32 (and `tied.json`, its config with a tied head); a PEFT
folder for each kind, its B, magnitudes and whole modules moved away from where they start; and in each
`reference.safetensors`: `logits` of `ids`, `count` of parameters trained and in all, and for training `loss` (of `labels`, -100 where none) and the gradient of
every trainable parameter under its name in the adapter's file.
"""
import json
import shutil
from pathlib import Path

import torch
from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

here = Path(__file__).parent
shape = dict(
    vocab_size=24, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64,
)
q, v, everything = 'q_proj', 'v_proj', 'all-linear'
kinds = {
    'lora': dict(target_modules=everything),
    'rslora': dict(target_modules=[q, v], use_rslora=True),
    'dora': dict(target_modules=everything, use_dora=True),
    'rsdora': dict(target_modules=[v, 'mlp.down_proj'], use_dora=True, use_rslora=True),
    'patterns': dict(
        target_modules=everything, rank_pattern={r'layers\.1\..*proj': 2, 'q_proj': 1, r'^model\.layers\.0\.mlp\.up_proj': 5},
        alpha_pattern={'self_attn.v_proj': 3, r'.*\.0\.mlp\..*': 10},
    ),
    'regex': dict(target_modules=r'^(?!.*\.0\.mlp).*\.(?:[qk]|(?P<kind>up|down))_proj$', exclude_modules=r'.*\.1\..*down.*'),
    'names': dict(target_modules=['model.layers.1.mlp.up_proj', 'self_attn.q_proj', 'o_proj'], exclude_modules=['0.self_attn.o_proj']),
    'layers': dict(target_modules=[q, 'mlp.gate_proj'], layers_to_transform=[1], layers_pattern='layers'),
    'saved': dict(target_modules=[q, v], modules_to_save=['embed_tokens', 'lm_head', 'norm', '1.self_attn.v_proj']),
    'tied-embedding': dict(target_modules=[q], modules_to_save=['embed_tokens']),
    'tied-head': dict(target_modules=[q], modules_to_save=['lm_head']),
    'adalora': dict(target_modules=everything, init_r=4, target_r=2, total_step=10),
    'adalora-ranked': dict(target_modules=[q, 'down_proj'], init_r=5, target_r=2, total_step=10, modules_to_save=['norm']),
    'ia3': dict(target_modules=['k_proj', v, 'down_proj'], feedforward_modules=['down_proj']),
    'ia3-regex': dict(
        target_modules=r'.*(q_proj|1\.mlp\.(gate|up|down)_proj)', feedforward_modules=r'.*mlp.*', modules_to_save=['lm_head']),
}
# Which triplets of the initial 5 are left: one layer has none, one all.
rank_pattern = {
    '0.self_attn.q_proj': [True, False, True, False, False], '1.self_attn.q_proj': [True] * 5,
    '0.mlp.down_proj': [False] * 5, '1.mlp.down_proj': [False, False, False, False, True],
}


def config_of(name, options):
    if name.startswith('ia3'):
        return IA3Config(task_type='CAUSAL_LM', **options)
    if name.startswith('adalora'):
        return AdaLoraConfig(lora_alpha=6, lora_dropout=0.0, task_type='CAUSAL_LM', **options)
    return LoraConfig(r=3, lora_alpha=6, lora_dropout=0.0, task_type='CAUSAL_LM', **options)


torch.manual_seed(3)
base = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
for parameter in base.parameters():
    parameter.data = parameter.data + 0.2 * torch.randn_like(parameter)
base.save_pretrained(here / 'base')
(here / 'base/generation_config.json').unlink()
tied_config = LlamaConfig(**shape, tie_word_embeddings=True)
(here / 'tied.json').write_text(tied_config.to_json_string())

ids = torch.randint(0, shape['vocab_size'], (2, 9))
labels = ids.clone()
labels[0, :4] = -100
labels[1, :5] = -100
labels[1, 8:] = -100  # the end is padding

for name, options in kinds.items():
    tied = name.startswith('tied')
    model = LlamaForCausalLM(tied_config if tied else base.config)
    model.load_state_dict(base.state_dict(), strict=not tied)
    if tied:
        model.model.embed_tokens.weight.data = base.model.embed_tokens.weight.data.clone()
        model.tie_weights()
    model = get_peft_model(model, config_of(name, options))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn_like(parameter)
    if name == 'adalora-ranked':
        model.peft_config['default'].rank_pattern = {
            f'model.layers.{layer}.lora_E.default': mask for layer, mask in rank_pattern.items()}
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / 'README.md').unlink()
    config = json.loads((folder / 'adapter_config.json').read_text())
    for key, value in config.items():  # sets have no order
        if isinstance(value, list):
            config[key] = sorted(value)
    if config.get('rank_pattern') and name.startswith('adalora'):
        config['rank_pattern'] = dict(sorted(config['rank_pattern'].items()))
    (folder / 'adapter_config.json').write_text(json.dumps({**config, 'base_model_name_or_path': 'base'}, indent=2) + '\n')

    if name == 'adalora-ranked':  # the folder holds less than was trained: it is what is loaded from it that counts
        model = PeftModel.from_pretrained(model.unload(), folder)
        save_file({
            'ids': ids.int(), 'labels': labels.int(), 'logits': model(input_ids=ids).logits.detach(),
        }, folder / 'reference.safetensors')
        continue

    output = model(input_ids=ids, labels=labels)
    output.loss.backward()
    loss = output.loss.detach()
    if name == 'adalora':  # the gradients are those of the penalty too; the loss is without it
        model.peft_config['default'].orth_reg_weight = 0
        loss = model(input_ids=ids, labels=labels).loss.detach()
    # Parameters and gradients in the same order; get_peft_model_state_dict gives them their names in the file.
    gradients = get_peft_model_state_dict(model, state_dict={
        key: parameter.grad for key, parameter in model.named_parameters() if parameter.requires_grad
    })
    trained, all_parameters = model.get_nb_trainable_parameters()
    ranknums = sum('ranknum' in key for key, _ in model.named_parameters())  # AdaLoRA's constants, held as parameters
    save_file({
        'count': torch.tensor([trained, all_parameters - ranknums]).int(),
        'ids': ids.int(), 'labels': labels.int(), 'loss': loss, 'logits': output.logits.detach(),
        **{f'gradient.{key}': value for key, value in gradients.items()},
    }, folder / 'reference.safetensors')
    print(name, trained, float(loss))
