"""The peer of `npm run bench`: the same training steps in PyTorch, transformers and PEFT.

usage: peft_step.py '{"hiddenSize": 576, …, "sequence": 256, "batch": 1, "r": 16, "steps": 4, "dtype": "bfloat16", "device": "cpu"}'
Random weights, LoRA on every linear layer, gradient checkpointing, AdamW. On cuda the linear layers are held in NF4, double
quantised, where bitsandbytes is installed. Prints one line of JSON.
"""
import json
import resource
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

o = json.loads(sys.argv[1])
torch.manual_seed(0)
config = LlamaConfig(
    hidden_size=o["hiddenSize"], intermediate_size=o["intermediateSize"], num_hidden_layers=o["layers"],
    num_attention_heads=o["heads"], num_key_value_heads=o["kvHeads"], vocab_size=o["vocabSize"],
    tie_word_embeddings=o["tiedHead"], use_cache=False,
)
torch.set_default_dtype(getattr(torch, o["dtype"]))
model = LlamaForCausalLM(config)
mode = o["dtype"]
if o["device"] == "cuda":
    try:
        import bitsandbytes as bnb
    except ImportError:
        bnb = None
    if bnb is not None:
        mode = f"nf4, {mode}"
        for name, module in list(model.named_modules()):
            if isinstance(module, torch.nn.Linear) and "lm_head" not in name:
                four = bnb.nn.Linear4bit(
                    module.in_features, module.out_features, bias=False, compute_dtype=getattr(torch, o["dtype"]),
                    compress_statistics=True, quant_type="nf4")
                four.weight = bnb.nn.Params4bit(
                    module.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4", module=four)
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, four.to("cuda"))
    model.to("cuda")
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.enable_input_require_grads()
model = get_peft_model(model, LoraConfig(
    r=o["r"], lora_alpha=16, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM"))
model.train()
optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=2e-4)

seconds = []
for _ in range(o["steps"]):
    ids = torch.randint(0, o["vocabSize"], (o["batch"], o["sequence"])).to(o["device"])
    began = time.perf_counter()
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if o["device"] == "cuda":
        torch.cuda.synchronize()
    seconds.append(time.perf_counter() - began)
median = sorted(seconds[1:])[(len(seconds) - 1) // 2]  # the first warms up
print(json.dumps({
    "tokensPerSecond": o["batch"] * o["sequence"] / median,
    "peakResident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "peakDevice": torch.cuda.max_memory_allocated() if o["device"] == "cuda" else None,
    "mode": mode,
    "versions": f"torch {torch.__version__}",
}))
