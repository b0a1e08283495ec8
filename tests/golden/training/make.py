"""LoRA on the tiny Llama of golden/families/llama2, by PyTorch and PEFT: gradients, and ten steps of AdamW.

pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0
python tests/golden/training/make.py            (from the project's folder)

`adapter/` is where training starts, as PEFT saves it. In `reference.safetensors`: the texts (`tokens` end to end, `lengths`
and `promptLengths` of each), `gradient.*` of the mean loss of all answer tokens at the start, `trained.*` after the ten
steps, each of which takes all the texts at once, and of every step `losses`, `norms` (before clipping) and `rates`.
"""
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

HERE = Path(__file__).parent
STEPS, WARMUP, RATE, DECAY, CLIP = 10, 3, 0.02, 0.1, 2.0
LENGTHS = torch.tensor([5, 7, 12, 9, 16, 6, 11, 8])
PROMPTS = torch.tensor([2, 4, 9, 3, 6, 1, 10, 5])

torch.manual_seed(3)
base = AutoModelForCausalLM.from_pretrained('tests/golden/families/llama2', dtype=torch.float32)
model = get_peft_model(base, LoraConfig(
    task_type='CAUSAL_LM', r=4, lora_alpha=8, lora_dropout=0.0,
    target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if 'lora_B' in name:
            parameter.normal_(0, 0.1)  # from zero, A would have no gradient
model.save_pretrained(HERE / 'adapter')
(HERE / 'adapter/README.md').unlink()
model.train()

rows, width = len(LENGTHS), int(LENGTHS.max())
tokens = torch.randint(0, base.config.vocab_size, (rows, width))
position = torch.arange(width)
real = position < LENGTHS[:, None]
answer = real & (position >= PROMPTS[:, None])


def loss_of_all():
    logits = model(tokens.where(real, 0), attention_mask=real.long()).logits
    labels = tokens.where(answer, -100)
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


trained = {name.replace('.default', ''): p for name, p in model.named_parameters() if p.requires_grad}
loss_of_all().backward()
tensors = {f'gradient.{name}': p.grad.clone() for name, p in trained.items()}

optimizer = torch.optim.AdamW(trained.values(), lr=RATE, weight_decay=DECAY)
schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS).lr_lambdas[0]
losses, norms, rates = [], [], []
for step in range(1, STEPS + 1):
    optimizer.zero_grad()
    loss = loss_of_all()
    loss.backward()
    norms.append(torch.nn.utils.clip_grad_norm_(trained.values(), CLIP).item())
    # transformers' climb begins at 0, with a step that changes nothing; ours is one step ahead, up to the peak.
    rates.append(RATE * schedule(step if step <= WARMUP else step - 1))
    optimizer.param_groups[0]['lr'] = rates[-1]
    optimizer.step()
    losses.append(loss.item())
print('losses', losses, 'norms', norms, sep='\n')

save_file({
    **tensors,
    **{f'trained.{name}': p.detach() for name, p in trained.items()},
    'tokens': tokens[real].int(), 'lengths': LENGTHS.int(), 'promptLengths': PROMPTS.int(),
    'losses': torch.tensor(losses), 'norms': torch.tensor(norms), 'rates': torch.tensor(rates),
}, HERE / 'reference.safetensors')
