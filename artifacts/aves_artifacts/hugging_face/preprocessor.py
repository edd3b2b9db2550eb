"""``preprocessor_config.json``: what transformers does with a waveform before the model gets it, written and read.

Source: transformers ``models/wav2vec2/feature_extraction_wav2vec2.py``. Its normalisation adds 1e-7 to the variance,
fairseq's (``layer_norm`` over the waveform) 1e-5: nothing in the file can change that, and quiet recordings differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted
from aves_artifacts.encoder import EncoderConfig

_TYPE = "Wav2Vec2FeatureExtractor"
_FASTEST = 768_000  # Hz; far above any recording of sound


@dataclass(frozen=True)
class Preprocessor:
    """What is done to waveforms: whether each is brought to mean 0 and variance 1, and whether padding is masked."""

    normalize: bool
    sample_rate: int  # in Hz
    mask: bool = False


def wants_mask(encoder: EncoderConfig) -> bool:
    """Whether an encoder is to be told which samples are padding: with a layer norm alone.

    Models with the group norm over the whole clip were trained without a mask, and transformers' documentation asks to
    give them none (``Wav2Vec2FeatureExtractor``, return_attention_mask).
    """
    return encoder.extractor_mode == "layer_norm"


def preprocessor_entries(preprocessor: Preprocessor, encoder: EncoderConfig) -> dict[str, Any]:
    """Write the entries of the file; whether there is a mask follows from the ``encoder``."""
    return {
        "feature_extractor_type": _TYPE,
        "do_normalize": preprocessor.normalize,
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": wants_mask(encoder),
        "sampling_rate": preprocessor.sample_rate,
    }


def read_preprocessor(entries: object, where: str) -> Preprocessor:
    """Read a file that was parsed; what is missing is as transformers has it. Raises InputError."""
    if not isinstance(entries, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(entries).__name__}")
    kind, normalize = entries.get("feature_extractor_type", _TYPE), entries.get("do_normalize", True)
    rate, size = entries.get("sampling_rate", 16_000), entries.get("feature_size", 1)
    problems = []
    if kind != _TYPE or size != 1 or isinstance(size, bool):
        problems.append(f"prepares another input than waveforms ({quoted(kind)}, feature_size {quoted(size)})")
    if not isinstance(normalize, bool):
        problems.append(f"do_normalize is {quoted(normalize)}, expected true or false")
    if not isinstance(rate, int) or isinstance(rate, bool) or not 0 < rate <= _FASTEST:
        problems.append(f"sampling_rate is {quoted(rate)}, expected Hz")
    for name, expected in (("padding_side", "right"), ("padding_value", 0)):
        if entries.get(name, expected) != expected:
            problems.append(f"{name} is {quoted(entries[name])}, expected {quoted(expected)}, as fairseq pads")
    mask = entries.get("return_attention_mask", False)
    if not isinstance(mask, bool):
        problems.append(f"return_attention_mask is {quoted(mask)}, expected true or false")
    if problems:
        raise InputError(*(f"{where}: {problem}" for problem in problems))
    return Preprocessor(normalize, rate, mask)
