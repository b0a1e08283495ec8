"""The 16-bit weights that bitsandbytes quantised for this checkpoint: original.safetensors.

They were drawn in float32 with seed 7 over a Llama as transformers initialises it, then rounded to bfloat16.
That these are the ones, the tensors that the checkpoint left wide tell: they are equal to the last bit.
Kept are the three matrices of the second layer that show what there is to see: five and one of whose scales
bitsandbytes' native library rounds to a neighbouring code, and one where all are equal.
Run: python tests/golden/bnb-4bit-tiny/original.py   (torch 2.13, transformers 5.18, safetensors)
"""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
KEPT = ['mlp.down_proj', 'mlp.gate_proj', 'self_attn.k_proj']
FIELDS = ['vocab_size', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads',
          'num_key_value_heads', 'max_position_embeddings', 'rms_norm_eps', 'tie_word_embeddings']

config = json.loads((HERE / 'config.json').read_text())
torch.manual_seed(7)
model = LlamaForCausalLM(LlamaConfig(**{field: config[field] for field in FIELDS}))
for parameter in model.parameters():
    if parameter.dim() > 1:
        parameter.data.normal_(0, 0.05)
weights = model.to(torch.bfloat16).state_dict()

saved = load_file(HERE / 'model.safetensors')
for name in weights:
    if saved[name].dtype == torch.bfloat16:
        assert torch.equal(saved[name], weights[name]), name
names = [f'model.layers.1.{kept}.weight' for kept in KEPT]
save_file({name: weights[name].contiguous() for name in names}, HERE / 'original.safetensors')
