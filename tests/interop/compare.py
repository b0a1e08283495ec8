"""The embedded base and the adapter that `npm run demo` left, opened by transformers and PEFT: are the logits ours?

pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0
npm run demo && python tests/interop/compare.py            (from the project's folder)

Exits with 1 if a logit differs by more than 1e-3, or the tokenizers do not agree.
"""
import subprocess
import sys
import tempfile

import numpy as np
import torch
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

base, adapter = (sys.argv[1:] + ['assets/model', 'out/qlora/adapter'][len(sys.argv) - 1:])[:2]
with tempfile.TemporaryDirectory() as folder:
    out = f'{folder}/logits.safetensors'
    subprocess.run(['node', '--import', 'tsx', 'tests/interop/logits.ts', base, adapter, out], check=True)
    ours = load_file(out)

ids = torch.tensor(ours['ids'].astype('int64'))
tokenizer = AutoTokenizer.from_pretrained(base)
same_ids = tokenizer(tokenizer.decode(ids[1:]), add_special_tokens=False)['input_ids'] == ids[1:].tolist()
print('same token ids:', same_ids)

worst = 0.0
with torch.no_grad():
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    plain = model(ids[None]).logits[0].numpy()
    adapted = PeftModel.from_pretrained(model, adapter)(ids[None]).logits[0].numpy()
for name, theirs in (('base', plain), ('adapter', adapted)):
    difference = np.abs(theirs - ours[name]).max()
    worst = max(worst, difference)
    print(f'{name}: largest difference {difference:.2e}, of logits up to {np.abs(theirs).max():.1f}')
print(f'the adapter moves a logit by up to {np.abs(adapted - plain).max():.1f}')
sys.exit(0 if same_ids and worst < 1e-3 else 1)
