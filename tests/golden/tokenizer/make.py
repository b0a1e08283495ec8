"""Encodes sample texts with Hugging Face `tokenizers` (0.23.2) and the embedded tokenizer, as the reference for ours.

Run from the project's folder: python tests/golden/tokenizer/make.py
"""
import json

from tokenizers import Tokenizer

TEXTS = [
    'La capital de Perú es Lima.',
    'Lo contrario de «la calle es larga» es «la calle es corta».',
    '12 + 7 = 19. La suma de 12 y 7 es 19.',
    'A continuación hay una instrucción que describe una tarea.\n\n### Instrucción:\n¿Cuál es el plural de lápiz?\n\n### Respuesta:\n',
    'Se me permitirá que antes de referir el gran suceso de que fui testigo, diga algunas palabras sobre mi infancia.',
    "It's 3.14 in English; don't — 東京, naïve, ñandú 🙂  two  spaces\tand a tab \n",
    ' ',
]

tokenizer = Tokenizer.from_file('assets/model/tokenizer.json')
samples = [{'text': text, 'ids': tokenizer.encode(text, add_special_tokens=False).ids} for text in TEXTS]
for sample in samples:
    assert tokenizer.decode(sample['ids']) == sample['text'], sample
with open('tests/golden/tokenizer/ids.json', 'w', encoding='utf-8') as file:
    file.write('[\n' + ',\n'.join(json.dumps(sample, ensure_ascii=False) for sample in samples) + '\n]\n')
