"""``config.json``: the geometry of an encoder in transformers' words, written and read.

What ``HubertModel`` can compute otherwise than fairseq is refused by name when it is read; what is written leaves
nothing to a class's defaults. Sources: transformers ``models/hubert/configuration_hubert.py`` and
``models/wav2vec2/configuration_wav2vec2.py``, whose defaults stand for entries that are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import quoted
from aves_artifacts.encoder import MOST_CONVOLUTIONS, EncoderConfig

MODEL_TYPES = ("hubert", "wav2vec2")
# No class of transformers: tools of voice conversion define it, each for itself and all alike.
WITH_PROJECTION = "HubertModelWithFinalProj"
# class -> whether its encoder's names begin with the model type; a head for letters is the only one that is ported
_CLASSES = {
    "hubert": {
        "HubertModel": False,
        WITH_PROJECTION: False,
        "HubertForCTC": True,
        "HubertForSequenceClassification": True,
    },
    "wav2vec2": {
        "Wav2Vec2Model": False,
        "Wav2Vec2ForCTC": True,
        "Wav2Vec2ForPreTraining": True,
        "Wav2Vec2ForSequenceClassification": True,
    },
}
# Models whose folders look like these.
_FOREIGN = {
    "wavlm": "WavLM, whose attention has gated relative positions",
    "data2vec-audio": "data2vec, whose positions come from a stack of convolutions",
    "unispeech": "UniSpeech",
    "unispeech-sat": "UniSpeech-SAT",
    "sew": "SEW, whose transformer works on squeezed frames",
    "sew-d": "SEW-D, whose transformer works on squeezed frames",
    "wav2vec2-bert": "w2v-BERT, whose input is a spectrogram",
    "wav2vec2-conformer": "wav2vec 2.0 with conformer layers",
    "whisper": "Whisper",
}
# entry -> the only value with which the model is fairseq's, and what another one makes of it
_FIXED: dict[str, tuple[object, str]] = {
    "hidden_act": ("gelu", "another activation in its feed-forward layers"),
    "feat_extract_activation": ("gelu", "another activation after its convolutions"),
    "layer_norm_eps": (1e-5, "norms with another epsilon"),
    "conv_pos_batch_norm": (False, "a batch-norm positional convolution"),
    "feat_proj_layer_norm": (True, "no layer norm before its projection, as DistilHuBERT"),
    "add_adapter": (False, "an adapter behind its encoder"),
}
# The same of entries that are not written, as they are no settings of these classes or say what is so anyway.
_UNWRITTEN: dict[str, tuple[object, str]] = {
    "adapter_attn_dim": (None, "adapters in its layers, as MMS has"),
    "quantization_config": (None, "quantised weights"),
    "auto_map": (None, "code of its own, which is not run"),
    "transformers_weights": (None, "weights in a file of another name"),
    "pruned_heads": ({}, "heads that were taken out"),
    "return_dict": (True, "outputs in another form"),
}
_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_dropout": 0.1,
    "activation_dropout": 0.1,
    "attention_dropout": 0.1,
    "feat_proj_dropout": 0.0,
    "layerdrop": 0.1,
    "feat_extract_norm": "group",
    "conv_dim": [512] * 7,
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_bias": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
}
# Of fine-tuning, with the values that the classes have by default: what fairseq masked in pretraining is no advice.
_MASKING = {
    "apply_spec_augment": True,
    "mask_time_prob": 0.05,
    "mask_time_length": 10,
    "mask_time_min_masks": 2,
    "mask_feature_prob": 0.0,
    "mask_feature_length": 10,
    "mask_feature_min_masks": 0,
}
_SMALLEST_VOCABULARY = 32  # the classes' own, where there is no head
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # of CTC: pad is the blank, which fairseq has first


@dataclass(frozen=True)
class FolderConfig:
    """What a ``config.json`` says of a model: its type and class, and the geometry of its encoder."""

    model_type: str  # "hubert" or "wav2vec2"
    model_class: str  # transformers', such as HubertModel
    encoder: EncoderConfig
    dtype: str = "float32"  # what users of newer versions compute in
    blank: int = 0  # the row of the head that CTC takes for no letter

    @property
    def prefix(self) -> str:
        """What stands before the names of the encoder's tensors."""
        return f"{self.model_type}." if _CLASSES[self.model_type][self.model_class] else ""


def model_type_of(model_class: str) -> str:
    """Tell transformers' model type of a class, by fairseq's name for it or by transformers'.

    >>> model_type_of("wav2vec_ctc"), model_type_of("Wav2Vec2Model"), model_type_of("contentvec")
    ('wav2vec2', 'wav2vec2', 'hubert')
    """
    return "wav2vec2" if model_class.lower().startswith("wav2vec") else "hubert"


def folder_config(encoder: EncoderConfig, model_type: str) -> FolderConfig:
    """Choose the class for an encoder of this type: one for CTC where it has a head."""
    stem = "Hubert" if model_type == "hubert" else "Wav2Vec2"
    return FolderConfig(model_type, f"{stem}Model" if encoder.aux_num_out is None else f"{stem}ForCTC", encoder)


def config_entries(config: FolderConfig, *, masked: bool, projection: int | None = None) -> dict[str, Any]:
    """Write the entries of ``config.json``.

    ``masked``: whether there is an embedding for masked frames, without which the classes must not ask for one.
    ``projection``: how many numbers a ``final_proj`` gives that lies in the folder too.
    """
    encoder = config.encoder
    channels, kernels, strides = map(list, zip(*encoder.extractor_conv_layer_config, strict=True))
    fixed = {name: value for name, (value, _) in _FIXED.items()}
    if config.model_type == "hubert":
        del fixed["add_adapter"]
    else:
        del fixed["feat_proj_layer_norm"], fixed["conv_pos_batch_norm"]
    masking = _MASKING if masked else {**_MASKING, "apply_spec_augment": False, "mask_time_prob": 0.0}
    entries = {
        "architectures": [config.model_class],
        "model_type": config.model_type,
        "torch_dtype": "float32",
        "hidden_size": encoder.encoder_embed_dim,
        "num_hidden_layers": encoder.encoder_num_layers,
        "num_attention_heads": encoder.encoder_num_heads,
        "intermediate_size": encoder.encoder_ff_interm_features,
        "hidden_dropout": encoder.encoder_dropout,
        "activation_dropout": encoder.encoder_ff_interm_dropout,
        "attention_dropout": encoder.encoder_attention_dropout,
        "feat_proj_dropout": encoder.encoder_projection_dropout,
        "final_dropout": 0.0,
        "layerdrop": encoder.encoder_layer_drop,
        "feat_extract_norm": encoder.extractor_mode.removesuffix("_norm"),
        "conv_dim": channels,
        "conv_stride": strides,
        "conv_kernel": kernels,
        "conv_bias": encoder.extractor_conv_bias,
        "num_feat_extract_layers": len(channels),
        "num_conv_pos_embeddings": encoder.encoder_pos_conv_kernel,
        "num_conv_pos_embedding_groups": encoder.encoder_pos_conv_groups,
        "do_stable_layer_norm": encoder.encoder_layer_norm_first,
        "initializer_range": 0.02,
        "vocab_size": encoder.aux_num_out or _SMALLEST_VOCABULARY,
        "ctc_loss_reduction": "sum",
        "ctc_zero_infinity": False,
    }
    sizes = {} if projection is None else {"classifier_proj_size": projection}
    return {**entries, **fixed, **masking, **_TOKENS, **sizes}


def read_config(entries: object, where: str) -> FolderConfig:
    """Read a ``config.json`` that was parsed. Raises InputError naming every entry that makes it another model."""
    if not isinstance(entries, dict):
        raise InputError(f"{where}: expected a JSON object with a model's settings, found {type(entries).__name__}")
    model_type, model_class = _model(entries, where)
    problems = [
        f"it has {what} ({name} {quoted(entries[name])}), which fairseq's model and its ports have not"
        for name, (value, what) in {**_FIXED, **_UNWRITTEN}.items()
        if entries.get(name) is not None and not _same(entries[name], value)
    ]
    merged = {**_DEFAULTS, **{name: entries[name] for name in _DEFAULTS if name in entries}}
    problems += _extractor_problems(merged, entries)
    letters = entries.get("vocab_size", _SMALLEST_VOCABULARY) if model_class.endswith("ForCTC") else None
    if model_class.endswith("ForCTC") and letters is None:
        problems.append("vocab_size is None, expected the number of letters that its head has")
    if problems:
        raise InputError(*(f"{where}: {problem}" for problem in problems))
    convolutions = zip(merged["conv_dim"], merged["conv_kernel"], merged["conv_stride"], strict=True)
    try:
        encoder = EncoderConfig(
            extractor_mode=f"{merged['feat_extract_norm']}_norm",  # type: ignore[arg-type]  # was looked at
            extractor_conv_layer_config=tuple(convolutions),
            extractor_conv_bias=merged["conv_bias"],
            encoder_embed_dim=merged["hidden_size"],
            encoder_projection_dropout=merged["feat_proj_dropout"],
            encoder_pos_conv_kernel=merged["num_conv_pos_embeddings"],
            encoder_pos_conv_groups=merged["num_conv_pos_embedding_groups"],
            encoder_num_layers=merged["num_hidden_layers"],
            encoder_num_heads=merged["num_attention_heads"],
            encoder_attention_dropout=merged["attention_dropout"],
            encoder_ff_interm_features=merged["intermediate_size"],
            encoder_ff_interm_dropout=merged["activation_dropout"],
            encoder_dropout=merged["hidden_dropout"],
            encoder_layer_norm_first=merged["do_stable_layer_norm"],
            encoder_layer_drop=merged["layerdrop"],
            aux_num_out=letters,
        )
    except InputError as error:
        raise InputError(*(f"{where}: {problem}" for problem in error.problems)) from None
    dtype, blank = entries.get("dtype") or entries.get("torch_dtype"), entries.get("pad_token_id", 0)
    return FolderConfig(
        model_type,
        model_class,
        encoder,
        dtype=dtype if isinstance(dtype, str) else "float32",
        blank=blank if isinstance(blank, int) else -1,
    )


def _model(entries: Mapping[str, Any], where: str) -> tuple[str, str]:
    """The model's type and class. Raises InputError for another model, saying what it is."""
    model_type, named = entries.get("model_type"), entries.get("architectures")
    if model_type not in MODEL_TYPES:
        known = f" ({_FOREIGN[model_type]})" if isinstance(model_type, str) and model_type in _FOREIGN else ""
        raise InputError(
            f"{where}: a model of type {quoted(model_type)}{known}; expected one of {', '.join(MODEL_TYPES)}"
        )
    classes = _CLASSES[model_type]
    if not named:  # as those who write such files by hand leave it out
        return model_type, next(iter(classes))
    first = named[0] if isinstance(named, list) else named
    if not isinstance(first, str) or first not in classes:
        raise InputError(f"{where}: a model of class {quoted(first)}; expected one of {', '.join(classes)}")
    return model_type, first


def _extractor_problems(merged: Mapping[str, Any], entries: Mapping[str, Any]) -> list[str]:
    """What is wrong with the lists that describe the convolutions."""
    lists = {name: merged[name] for name in ("conv_dim", "conv_kernel", "conv_stride")}
    for name, value in lists.items():
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_CONVOLUTIONS:
            return [f"{name} is {quoted(value)}, expected a list of 1 to {MOST_CONVOLUTIONS} numbers"]
    counts = {name: len(value) for name, value in lists.items()}
    counts |= {"num_feat_extract_layers": entries.get("num_feat_extract_layers", counts["conv_dim"])}
    problems = []
    if len({quoted(count) for count in counts.values()}) > 1:
        told = ", ".join(f"{name} {quoted(count)}" for name, count in counts.items())
        problems.append(f"its convolutions are counted differently: {told}")
    if merged["feat_extract_norm"] not in ("group", "layer"):
        problems.append(f"feat_extract_norm is {quoted(merged['feat_extract_norm'])}, expected 'group' or 'layer'")
    return problems


def _same(found: object, expected: object) -> bool:
    return found == expected and isinstance(found, bool) == isinstance(expected, bool)
