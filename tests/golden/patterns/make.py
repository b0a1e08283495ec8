"""What Python's `re.fullmatch` says of expressions that name modules, beside itself in `matches.json`.

python tests/golden/patterns/make.py            (from the project's folder; Python 3.11 or newer)
"""
import json
import re
from pathlib import Path

texts = [
    'lm_head', 'model.norm', 'model.embed_tokens',
    *(f'model.layers.{layer}.{name}' for layer in (0, 1, 10, 31) for name in (
        'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj',
        'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj', 'input_layernorm',
    )),
    '', 'a', 'aaa', 'ab-1', 'A.B', 'q proj', 'x{2}', ']^-\\',
]
patterns = [
    'q_proj', '.*', '.*q_proj', r'.*\.q_proj', r'.*\.[qv]_proj', r'.*\.(q|k|v)_proj', r'.*(self_attn|mlp).*',
    r'model\.layers\.\d+\.self_attn\.(q|v)_proj', r'model\.layers\.(0|1|31)\..*_proj', r'model\.layers\.[0-9]\..*',
    r'model\.layers\.[1-3]\d\.mlp\.(?:up|down)_proj', r'^model\..*proj$', r'\Amodel\..*proj\Z',
    r'^(?!.*lm_head).*_proj$', r'^(?!.*\.0\.)(?!.*mlp).*proj', r'^(model)(?!.*(lm_head|output|emb|norm)).*',
    r'(?=.*\.1\.).*proj', r'.*(?<=\.q)_proj', r'.*(?<!q)_proj', r'.*(?<!attn\.q)_proj',
    r'(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn)\.(?:(?:q_proj|k_proj|v_proj)))',
    r'(?:.*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)|(?:\bmodel\.norm\b)', r'.*?\.\d{2}\..*', r'.*\.\d{1}\..*',
    r'.*\.\d{2,}\..*', r'.*\.\d{,1}\..*', r'a{3}', r'a{2,}', r'a{,2}', r'a{1,2}', 'a+', 'a+?', 'a*?', 'a??', 'x{2}', 'a{b',
    r'x\{2\}', '[]^\\\\-]+', '[^]]+', r'[\w.]+', r'[\W]*', r'\w+', r'[a-z]+', r'[-a]+', r'[a-]+', r'[a\-b1]+', r'\S+', r'.*\s.*',
    '(?i)a\\.b', '(?i:A)\\.B', '(?i:a).b', '(?i)MODEL\\.NORM', '(?i)[A-M]ODEL.norm', '(?-i:A)\\.B', '(?P<x>q|k)(?P<y>.*)',
    '(?#how).*q_proj', 'model(?#a comment)\\.norm', '(|a)+', '(a|aa)*', '(a*)*', '((a*)*)*', '(a|b|ab)*-1', '()', '', '|a', 'a|',
    r'\x61+', r'\u0061', r'.*\Bproj', r'.*\bproj', r'.*_\Bproj', r'[\d]+', r'(^a|^aa)a*$', r'(a$)', r'$^', r'.*(k_proj|\.0\..*)$',
    r'layers\.1\..*', r'(.*\.)?(q_proj)$', r'(.*\.)?(layers\.1\..*proj)$', r'(^|.*\.)norm($|\..*)', r'.*[^\d\W]_proj', r'model.norm',
]
matches = {pattern: ''.join('1' if re.fullmatch(pattern, text) else '0' for text in texts) for pattern in patterns}
(Path(__file__).parent / 'matches.json').write_text(json.dumps({'texts': texts, 'matches': matches}, indent=1) + '\n')
print(len(patterns), 'expressions,', sum(row.count('1') for row in matches.values()), 'matches')
