"""The other side of `npm run test:interop`: what transformers and PEFT make of the same models, texts and adapters.

Called by main.ts with a folder; each function below works in the folder of its name there, which a file of that name
prepared.
"""
import json
import sys
from pathlib import Path

import torch
from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, get_cosine_schedule_with_warmup
from transformers.utils import logging


def load(folder):
    # Fresh for each use: dynamic RoPE remembers the longest text it has seen.
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()


@torch.no_grad()
def logits(model, ids):
    return model(torch.tensor([ids])).logits[0].contiguous()


def tokenizer(folder):
    encode = AutoTokenizer.from_pretrained('assets/model')
    texts = json.loads((folder / 'texts.json').read_text())
    ids = [encode(text, add_special_tokens=False)['input_ids'] for text in texts]
    (folder / 'theirs.json').write_text(json.dumps(ids))


def families(folder):
    given = json.loads((folder / 'families.json').read_text())
    ids, prompt, new = given['ids'], given['ids'][:given['promptLength']], given['newTokens']
    made, generated = {}, {}
    for model in map(Path, given['folders']):
        made[model.name] = logits(load(model), ids)
        answer = load(model).generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), do_sample=False,
                                      max_new_tokens=new, min_new_tokens=new, pad_token_id=0)
        generated[model.name] = answer[0, len(prompt):].tolist()
    save_file(made, folder / 'logits.safetensors')
    (folder / 'generated.json').write_text(json.dumps(generated))


def config_of(options):
    kind = options.get('peft_type')
    if kind == 'IA3':
        return IA3Config(task_type='CAUSAL_LM')
    lora = dict(task_type='CAUSAL_LM', lora_alpha=9, lora_dropout=0.0, **{'target_modules': 'all-linear', **options})
    return AdaLoraConfig(**lora) if kind == 'ADALORA' else LoraConfig(r=6, **lora)


def adapters(folder):
    given = json.loads((folder / 'adapters.json').read_text())
    made = {'base': logits(load(given['base']), given['ids'])}
    for kind, options in given['kinds']:
        made[f'ours.{kind}'] = logits(PeftModel.from_pretrained(load(given['base']), folder / 'ours' / kind), given['ids'])
        made[f'merged.{kind}'] = logits(load(folder / 'merged' / kind), given['ids'])
        torch.manual_seed(5)
        model = get_peft_model(load(given['base']), config_of(options))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad and 'lora_A' not in name:
                    parameter.add_(0.05 * torch.randn_like(parameter))
        made[f'theirs.{kind}'] = logits(model.eval(), given['ids'])
        model.save_pretrained(folder / 'theirs' / kind)
    save_file(made, folder / 'theirs.safetensors')


def training(folder):
    given = json.loads((folder / 'training.json').read_text())
    for variant in given['variants']:
        model = PeftModel.from_pretrained(load(folder / variant / 'base'), folder / variant / 'start', is_trainable=True)
        model.train()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=given['learningRate'], weight_decay=given['weightDecay'])
        schedule = get_cosine_schedule_with_warmup(optimizer, 0, given['steps'])
        losses = []
        for step in range(given['steps']):
            batch = given['examples'][step * given['batchSize']:(step + 1) * given['batchSize']]
            longest = max(len(example['tokens']) for example in batch)
            padded = [example['tokens'] + [0] * (longest - len(example['tokens'])) for example in batch]
            labels = [[token if example['promptLength'] <= at < len(example['tokens']) else -100
                       for at, token in enumerate(row)] for example, row in zip(batch, padded)]
            mask = [[int(at < len(example['tokens'])) for at in range(longest)] for example in batch]
            loss = model(torch.tensor(padded), attention_mask=torch.tensor(mask), labels=torch.tensor(labels)).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, given['clip'])
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        (folder / variant / 'theirs.json').write_text(json.dumps(losses))


if __name__ == '__main__':
    torch.set_num_threads(1)  # a small model: threads would wait for one another on a busy machine
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for part in (tokenizer, families, adapters, training):
        folder = Path(sys.argv[1]) / part.__name__
        if folder.exists():
            print('La de Python:', part.__name__, flush=True)
            part(folder)
