"""A tiny random model of each family, as a Hugging Face folder, with what transformers makes of it.

pip install torch==2.13.0 transformers==5.18.0 safetensors
python tests/golden/families/make.py            (from the project's folder)

Each folder gets the model, and `reference.safetensors`: `ids` (2, 24), the second row 17 long and padded; `logits`
(2, 24, vocab) in fp32; `alone` (2, 16), what greedy `generate` adds to the first 13 tokens of the first row and to
the second row; `together`, the same in one batch, padded on the left; and `gradient`, that of the mean cross-entropy of
all next tokens with respect to the first layer's k_proj.
"""
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

HERE = Path(__file__).parent
LENGTHS = (24, 17)
PROMPTS = (13, 17)
NEW = 16

shape = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=None,
             eos_token_id=None, pad_token_id=None)


def rope(rope_type='default', rope_theta=10000.0, **rest):
    return {'rope_parameters': {'rope_type': rope_type, 'rope_theta': rope_theta, **rest}}


# Name: configuration, how the file stores it, and whether config.json is rewritten as transformers 4 had it.
VARIANTS = {
    'llama2': (LlamaConfig(**shape, **rope()), torch.float16, True),
    'llama3': (LlamaConfig(**shape, head_dim=16, tie_word_embeddings=True, **rope(
        'llama3', 100.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32,
    )), torch.bfloat16, False),
    'linear': (LlamaConfig(**{**shape, 'hidden_size': 24}, **rope('linear', factor=2.5)), torch.bfloat16, True),
    'dynamic': (LlamaConfig(**{**shape, 'max_position_embeddings': 16}, **rope('dynamic', factor=2.0)),
                torch.bfloat16, True),
    'biased': (LlamaConfig(**shape, attention_bias=True, mlp_bias=True, **rope()), torch.bfloat16, False),
    'mistral': (MistralConfig(**shape, sliding_window=7, **rope(rope_theta=1e6)), torch.bfloat16, True),
    'qwen2': (Qwen2Config(**shape, use_sliding_window=True, sliding_window=9, max_window_layers=1,
                          tie_word_embeddings=True, **rope(rope_theta=1e6)), torch.float32, False),
    'qwen3': (Qwen3Config(**shape, head_dim=10, tie_word_embeddings=True, **rope(rope_theta=1e6)),
              torch.bfloat16, False),
    # Of 8 pairs the first is kept, the last five are stretched, and two are between.
    'yarn': (Qwen3Config(**{**shape, 'max_position_embeddings': 128}, head_dim=16, tie_word_embeddings=True, **rope(
        'yarn', 100.0, factor=4.0, original_max_position_embeddings=32, beta_fast=4.0,
    )), torch.bfloat16, False),
}


def older(file):
    """rope_parameters as transformers 4 wrote them: rope_theta, and rope_scaling with `type`; torch_dtype for dtype."""
    config = json.loads(file.read_text())
    parameters = config.pop('rope_parameters')
    config['rope_theta'] = parameters.pop('rope_theta')
    kind = parameters.pop('rope_type')
    config['rope_scaling'] = None if kind == 'default' else {'type': kind, **parameters}
    config['torch_dtype'] = config.pop('dtype')
    file.write_text(json.dumps(config, indent=2) + '\n')


for seed, (name, (config, dtype, old)) in enumerate(VARIANTS.items()):
    torch.manual_seed(seed)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            parameter.copy_(1 + 0.3 * noise if 'norm' in parameter_name else 0.25 * noise)
    model.to(dtype).save_pretrained(folder, **({'max_shard_size': '32KB'} if dtype == torch.float32 else {}))
    (folder / 'generation_config.json').unlink()
    if old:
        older(folder / 'config.json')

    # Fresh for each: dynamic RoPE remembers the longest text it has seen.
    def fresh():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()

    ids = torch.zeros(2, max(LENGTHS), dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.randint(0, config.vocab_size, (length,))
    model = fresh()
    logits = model(ids).logits
    predicted = torch.cat([logits[row, :length - 1] for row, length in enumerate(LENGTHS)])
    targets = torch.cat([ids[row, 1:length] for row, length in enumerate(LENGTHS)])
    torch.nn.functional.cross_entropy(predicted, targets).backward()
    gradient = model.get_parameter('model.layers.0.self_attn.k_proj.weight').grad

    prompts = [ids[row, :length] for row, length in enumerate(PROMPTS)]
    greedy = dict(do_sample=False, max_new_tokens=NEW, min_new_tokens=NEW, pad_token_id=0)
    alone = [fresh().generate(prompt[None], attention_mask=torch.ones(1, len(prompt)), **greedy)[0, len(prompt):]
             for prompt in prompts]
    padding = max(PROMPTS) - PROMPTS[0]
    batch = torch.stack([torch.cat([torch.zeros(padding, dtype=torch.int64), prompts[0]]), prompts[1]])
    mask = torch.ones_like(batch)
    mask[0, :padding] = 0
    together = fresh().generate(batch, attention_mask=mask, **greedy)[:, max(PROMPTS):]
    save_file({'ids': ids.int(), 'logits': logits.detach(), 'gradient': gradient, 'alone': torch.stack(alone).int(),
               'together': together.int()}, folder / 'reference.safetensors')
    print(f'{name}: logits up to {logits.abs().max():.1f}; '
          f'{sum(file.stat().st_size for file in folder.iterdir()) / 1000:.0f} kB; '
          f'{"same" if torch.equal(together, torch.stack(alone)) else "other"} tokens in a batch')
