"""The peer of `npm run bench`: the same training steps in PyTorch, transformers and PEFT.

usage: peft_step.py '{"hiddenSize": 576, …, "sequence": 256, "batch": 1, "r": 16, "steps": 4, "dtype": "bfloat16", "device": "cpu"}'
Random weights, LoRA on every linear layer, gradient checkpointing, AdamW. On cuda the linear layers are held in NF4: by
bitsandbytes, double quantised, or where that is not installed by `FourBit` below. Prints one line of JSON.
"""
import json
import resource
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

# The quantiles of NF4 (Dettmers et al., 2023), as bitsandbytes has them.
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]


@torch.compile(dynamic=False)
def wide(packed, absmax, codebook, dtype):
    """One kernel, as bitsandbytes' own: from 4 bits to (weights / 64, 64)."""
    both = torch.stack([codebook[(packed >> 4).long()], codebook[(packed & 15).long()]], -1)
    return (both.view(-1, 64) * absmax[:, None]).to(dtype)


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return x @ layer.matrix(x.dtype).T

    @staticmethod
    def backward(ctx, dy):
        return dy @ ctx.layer.matrix(dy.dtype), None


class FourBit(torch.nn.Linear):
    """A frozen linear layer in NF4, by blocks of 64, made wide for each product."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        blocks = linear.weight.data.to(o["device"]).float().reshape(-1, 64)
        absmax = blocks.abs().amax(1)
        codebook = torch.tensor(NF4, dtype=torch.float32, device=o["device"])
        codes = torch.bucketize(blocks / absmax[:, None], (codebook[1:] + codebook[:-1]) / 2).to(torch.uint8).reshape(-1, 2)
        self.weight = torch.nn.Parameter(codes[:, 0] << 4 | codes[:, 1], requires_grad=False)
        self.register_buffer("absmax", absmax)
        self.register_buffer("codebook", codebook)

    def matrix(self, dtype):
        return wide(self.weight, self.absmax, self.codebook, dtype).view(self.out_features, self.in_features)

    def forward(self, x):
        return Product.apply(x, self)


def bitsandbytes_linear(linear):
    four = bnb.nn.Linear4bit(
        linear.in_features, linear.out_features, bias=False, compute_dtype=getattr(torch, o["dtype"]),
        compress_statistics=True, quant_type="nf4")
    four.weight = bnb.nn.Params4bit(
        linear.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4", module=four)
    return four


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
    mode = f"nf4, {mode}" if bnb is not None else f"nf4 by torch.compile, {mode}"
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and "lm_head" not in name:
            parent, _, child = name.rpartition(".")
            four = bitsandbytes_linear(module) if bnb is not None else FourBit(module)
            setattr(model.get_submodule(parent), child, four.to(o["device"]))
    model.to(o["device"])
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
