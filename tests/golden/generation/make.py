"""The distributions that transformers samples from, for some logits and settings.

pip install torch==2.13.0 transformers==5.18.0 safetensors
python tests/golden/generation/make.py          (from the project's folder)

`sampling.safetensors` has the logits (rows, vocab), and for each setting, which is the tensor's name, the probabilities
after the warpers that `generate` would apply, in its order.
"""
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

SETTINGS = [
    {}, {'temperature': 0.5}, {'temperature': 1.7}, {'top_k': 1}, {'top_k': 5}, {'top_k': 100}, {'top_p': 0.9},
    {'top_p': 0.01}, {'temperature': 0.7, 'top_p': 0.8}, {'temperature': 1.5, 'top_k': 8, 'top_p': 0.6},
    {'top_k': 3, 'top_p': 0.5}, {'temperature': 0.1, 'top_k': 20, 'top_p': 0.95},
]

torch.manual_seed(1)
logits = torch.randn(6, 40) * torch.tensor([0.1, 0.5, 1, 2, 5, 20])[:, None]
logits[2, 7:12] = logits[2].max()  # five as likely as each other

model = LlamaForCausalLM(LlamaConfig(vocab_size=40, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                     num_attention_heads=1))
tensors = {'logits': logits}
for setting in SETTINGS:
    config = GenerationConfig(**{'do_sample': True, 'top_k': 0, **setting})
    warpers = model._get_logits_processor(config)
    tensors[json.dumps(setting)] = warpers(torch.zeros(6, 1, dtype=torch.int64), logits.clone()).softmax(-1)
    print(setting, [type(warper).__name__ for warper in warpers], (tensors[json.dumps(setting)] > 0).sum(-1).tolist())
save_file(tensors, Path(__file__).parent / 'sampling.safetensors')
