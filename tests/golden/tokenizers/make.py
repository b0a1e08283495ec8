"""Small tokenizers of the kinds that real models ship, with chat templates in their style.

pip install transformers==5.18.0 tokenizers jinja2
python tests/golden/tokenizers/make.py          (from the project's folder)

Each folder gets the tokenizer's files, and `reference.json` with what transformers makes of some texts and chats.
"""
import datetime
import json
import shutil
from pathlib import Path

import transformers.utils.chat_template_utils as chat_template_utils
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent

CORPUS = ('El cigüeñal gira mientras la niña lee; ¿cuántas páginas quedan? Quedan 120, o quizá 3,5. '
          'The quick brown fox jumps over the lazy dog, and doesn\'t look back. '
          'La capital de Perú es Lima. La respuesta es: sí. Hola, ¿qué tal? Write a response. ') * 4

TEXTS = [
    'Hola, ¿qué tal?', 'El cigüeñal de la niña: ¡ñandú!', ' un espacio delante', 'dos  espacios   y tres',
    'línea\n\notra\r\n\ttabulada ', '1234567 y 3,14', 'emoji 👩‍🚀🇪🇸 y 日本語', 'doesn\'t WE\'LL I\'m', '', ' ', '\n',
    'e\u0301 compuesta y é', '<s>etiqueta</s> suelta', 'a<|im_end|>b <|eot_id|> c', '[INST] hola [/INST]', '▁barra', '\u00a0',
    'La capital de Perú es Lima .', 'x' * 40,
]

CHATS = [
    [{'role': 'user', 'content': '¿Cuál es la capital de Perú?'}],
    [{'role': 'user', 'content': ' Hola '}, {'role': 'assistant', 'content': ' Lima,\n«sí». '}],
    [{'role': 'system', 'content': 'Responde "corto" & <bien>.'}, {'role': 'user', 'content': 'Hola'},
     {'role': 'assistant', 'content': 'Buenas'}, {'role': 'user', 'content': 'Adiós'}],
]

LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}\
{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}\
{% set system_message = false %}{% endif %}{% for message in loop_messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if loop.index0 == 0 and system_message != false %}\
{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}\
{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}\
{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}\
{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{#- This block extracts the system message, so we can slot it into the right place. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

CHATML = """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant") %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if message.role == "assistant" and loop.last and enable_thinking is defined and not enable_thinking %}
            {{- '<think>\\n\\n</think>\\n\\n' }}
        {%- endif %}
        {{- message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] | tojson + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""


def sentence_piece(metaspace):
    """Llama 2 and Mistral: whole texts with ▁ for spaces, unknown characters by bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme='always', split=True)
    specials = ['<unk>', '<s>', '</s>']
    bytes_ = [f'<0x{byte:02X}>' for byte in range(256)]
    tokenizer.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=420, special_tokens=specials + bytes_, show_progress=False))
    fields = json.loads(tokenizer.to_str())  # bytes are tokens like others
    fields['added_tokens'] = fields['added_tokens'][:3]
    tokenizer = Tokenizer.from_str(json.dumps(fields))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme='first', split=False)
    else:
        tokenizer.pre_tokenizer = None
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing('<s> $A', '<s> $A <s> $B', [('<s>', 1)])
    return tokenizer


def byte_level(pattern, specials, *, normalizer=None, split=None, ignore_merges=False):
    """Llama 3, Qwen and SmolLM2: bytes written as letters, after a cut by a regular expression."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    first = [pre_tokenizers.Split(Regex(pattern), 'isolated')] if pattern else split
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*first, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)])
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return tokenizer


def llama3():
    tokenizer = byte_level(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ['<|begin_of_text|>', '<|end_of_text|>', '<|finetune_right_pad_id|>', '<|start_header_id|>', '<|end_header_id|>',
         '<|eom_id|>', '<|eot_id|>'], ignore_merges=True)
    start = tokenizer.token_to_id('<|begin_of_text|>')
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
        '<|begin_of_text|> $A', '<|begin_of_text|> $A <|begin_of_text|> $B', [('<|begin_of_text|>', start)])])
    return tokenizer


def qwen():
    tokenizer = byte_level(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ['<|endoftext|>', '<|im_start|>', '<|im_end|>'], normalizer=normalizers.NFC())
    tokenizer.add_tokens([AddedToken('<think>', special=False, normalized=False),
                          AddedToken('</think>', special=False, normalized=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def smollm2():
    return byte_level(None, ['<|endoftext|>', '<|im_start|>', '<|im_end|>'],
                      split=[pre_tokenizers.Digits(individual_digits=True)])


# Name: tokenizer, chat template, tokenizer_config.json, special_tokens_map.json, generation_config.json.
KINDS = {
    'llama2': (sentence_piece(metaspace=False), LLAMA2, {
        'bos_token': {'__type': 'AddedToken', 'content': '<s>', 'lstrip': False}, 'unk_token': '<unk>',
        'eos_token': {'__type': 'AddedToken', 'content': '</s>', 'lstrip': False}, 'chat_template': LLAMA2,
    }, None, {'eos_token_id': 2, 'pad_token_id': 0}),
    'llama3': (llama3(), LLAMA3, {
        'bos_token': '<|begin_of_text|>', 'eos_token': '<|eot_id|>', 'clean_up_tokenization_spaces': True,
    }, None, {'eos_token_id': ['<|end_of_text|>', '<|eom_id|>', '<|eot_id|>']}),
    'qwen': (qwen(), CHATML, {
        'bos_token': None, 'eos_token': '<|im_end|>', 'pad_token': '<|endoftext|>', 'add_bos_token': False,
        'chat_template': [{'name': 'tool_use', 'template': '{{ raise_exception("not this one") }}'},
                          {'name': 'default', 'template': CHATML}],
    }, None, {'bos_token_id': '<|endoftext|>', 'eos_token_id': ['<|im_end|>', '<|endoftext|>'],
              'pad_token_id': '<|endoftext|>'}),
    'zephyr': (sentence_piece(metaspace=True), ZEPHYR, {'chat_template': ZEPHYR}, {
        'bos_token': '<s>', 'eos_token': {'content': '</s>', 'lstrip': False}, 'unk_token': '<unk>',
    }, {'eos_token_id': 2}),
    'smollm2': (smollm2(), None, {'bos_token': '<|endoftext|>', 'eos_token': '<|endoftext|>'}, None, None),
}


class Today(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 8, 3, 9, 5)


chat_template_utils.datetime = Today

for name, (tokenizer, template, config, special, generation) in KINDS.items():
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    def write(file, value):
        (folder / file).write_text(json.dumps(value, ensure_ascii=False, indent=1) + '\n')

    compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(',', ':'))
    (folder / 'tokenizer.json').write_text(compact + '\n')
    write('tokenizer_config.json', {'tokenizer_class': 'PreTrainedTokenizerFast', **config})
    if special:
        write('special_tokens_map.json', special)
    if generation:
        id_of = lambda value: tokenizer.token_to_id(value) if isinstance(value, str) else value
        write('generation_config.json', {key: [id_of(item) for item in value] if isinstance(value, list) else id_of(value)
                                         for key, value in generation.items()})
    if template and 'chat_template' not in config:
        (folder / 'chat_template.jinja').write_text(template)

    names = {key: value['content'] if isinstance(value, dict) else value
             for key, value in {**config, **(special or {})}.items() if key.endswith('_token')}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    write('reference.json', {
        'texts': [{'text': text, 'ids': fast(text, add_special_tokens=False)['input_ids'],
                   'special': fast(text)['input_ids'],
                   'decoded': fast.decode(fast(text)['input_ids'], skip_special_tokens=True)} for text in TEXTS],
        'chats': [{'messages': chat, 'opening': opening,
                   'text': fast.apply_chat_template(chat, chat_template=template, add_generation_prompt=opening,
                                                    enable_thinking=False, tokenize=False),
                   'ids': fast.apply_chat_template(chat, chat_template=template, add_generation_prompt=opening,
                                                   enable_thinking=False)['input_ids']}
                  for chat in CHATS for opening in (False, True)] if template else [],
    })
    print(name, len(fast), sum(file.stat().st_size for file in folder.iterdir()) // 1000, 'kB')
