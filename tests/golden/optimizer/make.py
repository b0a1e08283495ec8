"""Ten AdamW steps: in 32 bits by torch.optim.AdamW, in 8 bits by bitsandbytes' rule.

pip install torch==2.13.0 safetensors
python tests/golden/optimizer/make.py            (from the project's folder)

bitsandbytes itself has 8-bit optimizers on GPUs only, and is not to be had where this was made. `adamw_8bit` below is
written after its CUDA kernel (csrc: kOptimizerStatic8bit2StateBlockwise, and kOptimizer32bit2State for the tensors under
4,096 elements) and its `create_dynamic_map`: one operation at a time, in float32.
"""
import torch
from safetensors.torch import save_file

STEPS, RATE, DECAY = 10, 0.01, 0.1
BETA1, BETA2, EPS, BLOCK = 0.9, 0.999, 1e-8, 256
OUT = 'tests/golden/optimizer/steps.safetensors'


def values(n, t):
    """Exact in float32, so that the test makes the same: gradients of step t, or for t = 0 the parameters."""
    i = torch.arange(n)
    return ((i * i * 31 + t * t * 7919 + i * t * 104729) % 1009 - 504).float() / 512 * 2.0 ** -((i // 64) % 12).float()


def dynamic_map(signed):
    data = [0.0, 1.0]
    for i in range(7):
        boundaries = torch.linspace(0.1, 1, 2 ** (i if signed else i + 1) + 1)
        means = 10 ** (i - 6) * (boundaries[:-1] + boundaries[1:]) / 2
        data += means.tolist() + ((-means).tolist() if signed else [])
    assert len(data) == 256
    return torch.tensor(sorted(data))


def quantize(x, code, keep_sign):
    """Blocks of 256, the last one shorter, to the nearest code."""
    codes, absmax = [], []
    for block in x.split(BLOCK):
        absmax.append(block.abs().max())
        scaled = block / absmax[-1] if absmax[-1] > 0 else block
        nearest = (scaled[:, None] - code).abs().argmin(1)
        if keep_sign:
            nearest[(block < 0) & (code[nearest] == 0)] -= 1
        codes.append(nearest)
    return torch.cat(codes).to(torch.uint8), torch.stack(absmax)


def dequantize(codes, absmax, code):
    return code[codes.long()] * absmax.repeat_interleave(BLOCK)[:len(codes)]


def adamw_8bit(n):
    signed, unsigned = dynamic_map(True), dynamic_map(False)
    wide = n < 4096
    p, m, v = values(n, 0), torch.zeros(n), torch.zeros(n)
    for t in range(1, STEPS + 1):
        g = values(n, t)
        m = m * BETA1 + (1 - BETA1) * g
        v = v * BETA2 + (1 - BETA2) * g * g
        c1, c2 = 1 - BETA1 ** t, (1 - BETA2 ** t) ** 0.5
        p = p + (-RATE * c2 / c1) * (m / (v.sqrt() + c2 * EPS))
        p = p * (1 - RATE * DECAY)
        if not wide:
            m_codes, m_absmax = quantize(m, signed, True)
            v_codes, v_absmax = quantize(v, unsigned, False)
            m, v = dequantize(m_codes, m_absmax, signed), dequantize(v_codes, v_absmax, unsigned)
    if wide:
        return {'p': p, 'm': m, 'v': v}
    return {'p': p, 'm': m_codes, 'm.absmax': m_absmax, 'v': v_codes, 'v.absmax': v_absmax}


def adamw_32bit(n):
    p = torch.nn.Parameter(values(n, 0))
    optimizer = torch.optim.AdamW([p], lr=RATE, betas=(BETA1, BETA2), eps=EPS, weight_decay=DECAY)
    steps = []
    for t in range(1, STEPS + 1):
        p.grad = values(n, t)
        optimizer.step()
        steps.append(p.detach().clone())
    state = optimizer.state[p]
    return {'p': torch.stack(steps), 'm': state['exp_avg'], 'v': state['exp_avg_sq']}


tensors = {'map.signed': dynamic_map(True), 'map.unsigned': dynamic_map(False)}
tensors |= {f'32bit.{name}': tensor for name, tensor in adamw_32bit(150).items()}
for n in (300, 4396):  # wide moments; and 17 blocks with one of 44
    tensors |= {f'8bit.{n}.{name}': tensor for name, tensor in adamw_8bit(n).items()}
save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, OUT)
