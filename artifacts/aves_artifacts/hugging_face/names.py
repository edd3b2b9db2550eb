"""The names of a folder's files and tensors: TorchAudio's names and transformers', in one table for both directions.

Sources: transformers ``models/hubert/modeling_hubert.py`` and ``models/wav2vec2/modeling_wav2vec2.py``; torchaudio
``models/wav2vec2/components.py``.
"""

from __future__ import annotations

from collections.abc import Collection

from aves_artifacts.encoder import EncoderConfig, encoder_shapes

CONFIG, WEIGHTS, PREPROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
PROCESSOR = "processor_config.json"  # in newer folders the settings of the preprocessor are a part of it
ADAPTER = "adapter_config.json"  # with it the weights of another folder are loaded, where its library is installed
VOCABULARY, TOKENIZER = "vocab.json", "tokenizer_config.json"  # of a model with a head for letters alone

MASK = "masked_spec_embed"  # fairseq's mask_emb
PROJECTION = "final_proj"  # by fairseq's own name, as voice conversion's HubertModelWithFinalProj has it

# Where TorchAudio's name begins so, transformers' begins so, and the rest is the same; the longest that fits counts.
_BEGINNINGS = {
    "feature_extractor.": "feature_extractor.",
    "encoder.feature_projection.": "feature_projection.",
    "encoder.transformer.": "encoder.",
    "encoder.transformer.pos_conv_embed.conv.weight_g": "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    "encoder.transformer.pos_conv_embed.conv.weight_v": "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
}
_HEAD = ("aux.", "lm_head.")  # outside of the encoder, whose names have the model type in front where there is a head
# How files from before torch 2.1 spell the weight norm; transformers reads both.
_OLD_SPELLING = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


def transformers_name(name: str, prefix: str = "") -> str:
    """Translate TorchAudio's name of a tensor; ``prefix`` stands before those of the encoder, such as ``hubert.``.

    >>> transformers_name("encoder.transformer.layers.0.attention.k_proj.weight", "hubert.")
    'hubert.encoder.layers.0.attention.k_proj.weight'
    """
    ours, theirs = _HEAD
    if name.startswith(ours):
        return theirs + name.removeprefix(ours)
    beginning = max((each for each in _BEGINNINGS if name.startswith(each)), key=len)
    return prefix + _BEGINNINGS[beginning] + name.removeprefix(beginning)


def torchaudio_names(config: EncoderConfig, prefix: str = "", there: Collection[str] = ()) -> dict[str, str]:
    """Map transformers' name of every tensor of this geometry to TorchAudio's.

    Weight norm is spelled as in the names that are ``there``, and as torch does today where they do not tell.
    """
    names = {transformers_name(name, prefix): name for name in encoder_shapes(config)}
    return {name if name in there else _as_there(name, there): target for name, target in names.items()}


def _as_there(name: str, there: Collection[str]) -> str:
    for new, old in _OLD_SPELLING.items():
        if name.endswith(new) and name.removesuffix(new) + old in there:
            return name.removesuffix(new) + old
    return name
