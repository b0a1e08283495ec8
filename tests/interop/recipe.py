"""A recipe for real, on two CPU ranks over gloo, and back: is our examination of its adapter transformers' own?

pip install -r requirements.txt of the recipe (out/recipe-ENGINE), which this writes with `npm run recipe`
python tests/interop/recipe.py ENGINE [FOLDER]   (from the project's folder; ENGINE: fsdp or trl; FOLDER: a recipe of it
                                                 that has been run already)

Exits with 1 if the share of questions answered word for word differs by more than a point, if the two ranks did not
share the examples, under FSDP if they did not hold shards, or if nothing was learnt. Two minutes on two idle cores.
"""
import json
import os
import re
import subprocess
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = 'assets/model'
engine = sys.argv[1]
folder = sys.argv[2] if len(sys.argv) > 2 else f'out/recipe-{engine}'
adapter = f'{folder}/adapter'


def npm(*arguments):
    return subprocess.run(['npm', 'run', '--silent', *arguments], check=True, capture_output=True, text=True).stdout


def timed(what, action):
    began = time.time()
    result = action()
    print(f'{what}: {time.time() - began:.0f} s', flush=True)
    return result


def train():
    npm('recipe', '--', '--engine', engine, '--cpu', '--out', folder, '--examples', '400', '--batch-size', '4')
    if engine == 'fsdp':  # each rank says what of the model it holds once FSDP has wrapped it
        with open(f'{folder}/train.py', 'a') as file:
            file.write("held = sum(p.numel() for p in trainer.model_wrapped.parameters())\n"
                       "print(type(trainer.model_wrapped).__name__, 'holds', held, flush=True)\n")
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'HF_HUB_OFFLINE': '1',
                   'PATH': f'{os.path.dirname(sys.executable)}:{os.environ["PATH"]}'}
    run = subprocess.run(['bash', f'{folder}/launch.sh'], env=environment, check=True, capture_output=True, text=True)
    assert re.search(r'\b50/50 ', run.stderr), 'not 400 examples by two ranks of 4: the progress should end at step 50'
    if engine != 'fsdp':
        return
    held = [line for line in run.stdout.splitlines() if ' holds ' in line]
    print(*held, sep='\n')
    whole = sum(p.numel() for p in PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).parameters())
    assert len(held) == 2 and all(line.startswith('FullyShardedDataParallel') for line in held), 'no FSDP'
    assert sum(int(line.split()[-1]) for line in held) < 1.02 * whole, 'the ranks hold more than one model between them'


def examine():
    """Greedy answers of transformers and PEFT to the questions set apart."""
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side='left')
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, adapter).eval()
    rows = [json.loads(line) for line in open(f'{folder}/data/test.jsonl')]
    right = 0
    for start in range(0, len(rows), 52):
        batch = rows[start:start + 52]
        prompts = [[token for token, kept in zip(row['input_ids'], row['completion_mask']) if not kept] for row in batch]
        answers = [[token for token, kept in zip(row['input_ids'], row['completion_mask']) if kept] for row in batch]
        longest = max(map(len, prompts))
        ids = torch.tensor([[tokenizer.pad_token_id] * (longest - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        with torch.no_grad():
            generated = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=48)
        for tokens, answer in zip(generated[:, longest:].tolist(), answers):
            said = tokenizer.decode(tokens, skip_special_tokens=True).strip()
            right += said == tokenizer.decode(answer, skip_special_tokens=True).strip()
    return right / len(rows)


if not os.path.exists(adapter):
    timed('recipe written and trained', train)
theirs = timed('examined by transformers', examine)
ours = timed('examined here', lambda: json.loads(npm(
    'evaluate', '--', '--model', base, '--adapter', adapter, '--held-out', f'{folder}/heldout.json', '--json')))
before = json.loads(npm('evaluate', '--', '--model', base, '--held-out', f'{folder}/heldout.json', '--json'))
print(f'word for word, of {ours["count"]}: transformers {theirs:.1%}, here {ours["exactMatch"]:.1%}; '
      f'the base alone {before["exactMatch"]:.1%}')
sys.exit(0 if abs(theirs - ours['exactMatch']) <= 0.01 and ours['exactMatch'] > before['exactMatch'] + 0.1 else 1)
