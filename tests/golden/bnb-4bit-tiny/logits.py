"""Logits of the tiny 4-bit checkpoint by NumPy in float64, independent of this project: logits.safetensors.

reference.safetensors was made with bitsandbytes' native CPU library, and differs by up to 0.43 from what
the file says, for three reasons that this script reproduces one by one and asserts to explain all of it:

1. That library takes the scale of element (row, column) from row * (columns // 64) + column // 64. For
   down_proj, whose 352 columns are no multiple of 64, that is another block than the one it was packed with.
   (Every block of 64 in row-major order holds a code of -1 or 1, so row-major is how it was packed.)
2. The dequantised weights were rounded to bfloat16, the recorded dtype.
3. The rotary frequencies were rounded to bfloat16.

logits.safetensors has none of the three: row-major blocks, no rounding, exact frequencies.
Run: python tests/golden/bnb-4bit-tiny/logits.py   (NumPy only)
"""
import json
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
HEADS, KV_HEADS, HEAD_DIM, LAYERS = 4, 2, 32, 2


def bfloat16(x):
    bits = np.ascontiguousarray(x, dtype='f4').view('u4')
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype('u4').view('f4')


def read(path):
    data = path.read_bytes()
    (length,) = struct.unpack('<Q', data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == '__metadata__':
            continue
        start, end = (8 + length + offset for offset in entry['data_offsets'])
        raw = data[start:end]
        if entry['dtype'] == 'BF16':
            values = (np.frombuffer(raw, '<u2').astype('u4') << 16).view('f4')
        else:
            values = np.frombuffer(raw, {'F32': '<f4', 'I32': '<i4', 'U8': 'u1'}[entry['dtype']])
        tensors[name] = values.reshape(entry['shape'])
    return tensors


def weight(tensors, name, native_blocks, rounded):
    state = tensors.get(name + '.quant_state.bitsandbytes__nf4')
    if state is None:
        return tensors[name].astype('f8')
    state = json.loads(state.tobytes())
    absmax = tensors[name + '.nested_quant_map'][tensors[name + '.absmax']]
    absmax = absmax * tensors[name + '.nested_absmax'][np.arange(absmax.size) // 256] + np.float32(state['nested_offset'])
    packed = tensors[name].ravel()
    codes = tensors[name + '.quant_map'][np.stack([packed >> 4, packed & 15], 1).ravel()]
    rows, columns = state['shape']
    block = np.arange(codes.size) // 64
    if native_blocks:
        row, column = np.divmod(np.arange(codes.size), columns)
        block = row * (columns // 64) + column // 64
    values = (codes * absmax[block]).astype('f4').reshape(rows, columns)
    return (bfloat16(values) if rounded else values).astype('f8')


def rms_norm(x, gain):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * gain


def forward(tensors, ids, native_blocks=False, rounded=False, rounded_rotary=False):
    w = lambda name: weight(tensors, name, native_blocks, rounded)
    frequencies = 10000.0 ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    if rounded_rotary:
        frequencies = bfloat16(frequencies)
    angles = np.outer(np.arange(len(ids)), frequencies)
    cos, sin = np.cos(angles), np.sin(angles)

    def rotate(v):
        first, second = np.split(v, 2, -1)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)

    split = lambda v, heads: v.reshape(len(ids), heads, HEAD_DIM).transpose(1, 0, 2)
    x = w('model.embed_tokens.weight')[ids]
    for i in range(LAYERS):
        layer = lambda name: w(f'model.layers.{i}.{name}.weight')
        h = rms_norm(x, layer('input_layernorm'))
        q = rotate(split(h @ layer('self_attn.q_proj').T, HEADS))
        k = rotate(split(h @ layer('self_attn.k_proj').T, KV_HEADS)).repeat(HEADS // KV_HEADS, 0)
        v = split(h @ layer('self_attn.v_proj').T, KV_HEADS).repeat(HEADS // KV_HEADS, 0)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(HEAD_DIM)
        scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        x = x + (scores @ v).transpose(1, 0, 2).reshape(len(ids), -1) @ layer('self_attn.o_proj').T
        h = rms_norm(x, layer('post_attention_layernorm'))
        gate = h @ layer('mlp.gate_proj').T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ layer('mlp.up_proj').T)) @ layer('mlp.down_proj').T
    return rms_norm(x, w('model.norm.weight')) @ w('lm_head.weight').T


if __name__ == '__main__':
    tensors = read(HERE / 'model.safetensors')
    reference = read(HERE / 'reference.safetensors')
    for quirks in ({}, {'native_blocks': True}, {'native_blocks': True, 'rounded': True},
                   {'native_blocks': True, 'rounded': True, 'rounded_rotary': True}):
        worst = np.abs(forward(tensors, reference['input_ids'], **quirks) - reference['logits']).max()
        print(f'{worst:.2e}', ', '.join(quirks) or 'as the file says')
    assert worst < 5e-6, 'the three quirks no longer explain the reference'

    logits = forward(tensors, reference['input_ids']).astype('<f4')
    header = json.dumps({'logits': {'dtype': 'F32', 'shape': logits.shape, 'data_offsets': [0, logits.nbytes]}}).encode()
    header += b' ' * (-len(header) % 8)
    (HERE / 'logits.safetensors').write_bytes(struct.pack('<Q', len(header)) + header + logits.tobytes())
