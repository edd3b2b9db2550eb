"""The letters of a CTC head as transformers decodes them."""

import json
from pathlib import Path

import pytest
from tests.support.hugging_face import import_transformers

from aves_artifacts.hugging_face import names
from aves_artifacts.hugging_face.tokenizer import tokenizer_entries, vocabulary

SYMBOLS = ["<s>", "<pad>", "</s>", "<unk>", "|", "O", "W", "L"]


def test_every_symbol_keeps_its_row() -> None:
    assert list(vocabulary(SYMBOLS).values()) == list(range(len(SYMBOLS)))
    assert list(vocabulary(SYMBOLS)) == ["<pad>", "<s>", *SYMBOLS[2:]]


@pytest.mark.slow
def test_the_real_class_takes_the_blank_out(tmp_path: Path) -> None:
    (tmp_path / names.VOCABULARY).write_text(json.dumps(vocabulary(SYMBOLS)))
    (tmp_path / names.TOKENIZER).write_text(json.dumps(tokenizer_entries()))
    tokenizer = import_transformers().AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.pad_token_id == 0
    assert len(tokenizer) == len(SYMBOLS)
    assert tokenizer.decode([0, 5, 5, 0, 6, 7, 0, 7, 4, 5]) == "OWLL O"
