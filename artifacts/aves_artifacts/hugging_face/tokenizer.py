"""``vocab.json`` and ``tokenizer_config.json``: the letters of a model with a CTC head, as transformers decodes them.

fairseq's dictionaries begin with ``<s>``, which its CTC takes as the blank, and ``<pad>``. In transformers the blank is
the padding token: so the two names change places. Source: transformers
``models/hubert/convert_hubert_original_pytorch_checkpoint_to_pytorch.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SWAPPED = {"<s>": "<pad>", "<pad>": "<s>"}


def vocabulary(symbols: Sequence[str]) -> dict[str, int]:
    """Number the symbols of fairseq's dictionary as the rows of the head are.

    >>> vocabulary(["<s>", "<pad>", "</s>", "<unk>", "|"])
    {'<pad>': 0, '<s>': 1, '</s>': 2, '<unk>': 3, '|': 4}
    """
    return {_SWAPPED.get(symbol, symbol): index for index, symbol in enumerate(symbols)}


def tokenizer_entries() -> dict[str, Any]:
    """Write the entries of ``tokenizer_config.json``."""
    return {
        "tokenizer_class": "Wav2Vec2CTCTokenizer",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "word_delimiter_token": "|",
        "replace_word_delimiter_char": " ",
        "do_lower_case": False,
    }
