"""An encoder's geometry: the keyword arguments of torchaudio's ``wav2vec2_model``, their JSON form, and its tensors."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aves_artifacts.base.errors import MOST_TOLD, InputError
from aves_artifacts.base.messages import listed, quoted, reason_of
from aves_artifacts.files.documents import parse_json, read_file

ExtractorMode = Literal["group_norm", "layer_norm"]

# Far above what was ever published (48 layers, 7 convolutions, 5120 features): configs are expanded to names.
MOST_LAYERS, MOST_CONVOLUTIONS, LARGEST = 1_000, 64, 2**20


@dataclass(frozen=True)
class EncoderConfig:
    """The geometry of one encoder, in the names and the order of ``torchaudio.models.wav2vec2_model``.

    Dropout and layer drop do nothing in evaluation; they are kept because users fine-tune from the config.
    Source: the signature of ``torchaudio.models.wav2vec2.model.wav2vec2_model``.
    """

    extractor_mode: ExtractorMode
    extractor_conv_layer_config: tuple[tuple[int, int, int], ...]  # (channels, kernel, stride) of each convolution
    extractor_conv_bias: bool
    encoder_embed_dim: int
    encoder_projection_dropout: float
    encoder_pos_conv_kernel: int
    encoder_pos_conv_groups: int
    encoder_num_layers: int
    encoder_num_heads: int
    encoder_attention_dropout: float
    encoder_ff_interm_features: int
    encoder_ff_interm_dropout: float
    encoder_dropout: float
    encoder_layer_norm_first: bool
    encoder_layer_drop: float
    aux_num_out: int | None = None

    def __post_init__(self) -> None:
        """Raise InputError with every problem of the geometry."""
        problems = list(_problems(self))
        if problems:
            raise InputError(*(f"unusable encoder configuration: {problem}" for problem in problems))

    @property
    def hop(self) -> int:
        """Samples from one frame to the next: the product of the strides (320 for AVES)."""
        hop = 1
        for _, _, stride in self.extractor_conv_layer_config:
            hop *= stride
        return hop

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees, which is also the shortest input that gives a frame (400 for AVES)."""
        field, hop = 1, 1
        for _, kernel, stride in self.extractor_conv_layer_config:
            field += (kernel - 1) * hop
            hop *= stride
        return field

    def frames(self, samples: int) -> int:
        """Frames that ``samples`` samples give; 0 when the input is shorter than the receptive field.

        Convolutions without padding, one after the other, round down together as they do one by one: of AVES, 16,000
        samples give 49 and 32,000 give 99.
        """
        return max(0, (samples - self.receptive_field) // self.hop + 1)

    @property
    def frame_rule(self) -> str:
        """How ``frames`` counts, as an expression in ``samples`` for people; it holds from the receptive field on."""
        return f"(samples - {self.receptive_field}) // {self.hop} + 1"

    def kwargs(self) -> dict[str, Any]:
        """Everything that ``wav2vec2_model`` takes, ``aux_num_out`` included."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def architecture_entries(self) -> dict[str, Any]:
        """The entries that decide what is computed in evaluation: all but dropout and layer drop."""
        return {name: value for name, value in self.kwargs().items() if not name.endswith(("dropout", "drop"))}

    def to_json(self) -> str:
        """The JSON config as the model's authors publish it: ``wav2vec2_model(**config, aux_num_out=None)``.

        ``aux_num_out`` is written only when the model has that head (fine-tuned CTC models).
        """
        return json.dumps(self.to_entries(), indent=2) + "\n"

    def to_entries(self) -> dict[str, Any]:
        """The config as a dict of plain values, which ``to_json`` writes."""
        kwargs = self.kwargs()
        if self.aux_num_out is None:
            del kwargs["aux_num_out"]
        return kwargs

    @classmethod
    def from_json(cls, text: str, *, where: str = "config") -> EncoderConfig:
        """Parse a JSON config. Raises InputError naming ``where`` and every wrong, missing or unknown entry."""
        try:
            entries = parse_json(text)
        except ValueError as error:
            raise InputError(f"{where}: not a JSON config: {reason_of(error)}") from None
        return cls.from_entries(entries, where=where)

    @classmethod
    def from_entries(cls, entries: object, *, where: str) -> EncoderConfig:
        """Make a config from a value that was parsed from JSON. Raises InputError as ``from_json`` does."""
        if not isinstance(entries, dict):
            raise InputError(
                f"{where}: expected a JSON object with the arguments of wav2vec2_model, found {type(entries).__name__}"
            )
        fields = {f.name: f for f in dataclasses.fields(cls)}
        unknown = [quoted(name) for name in entries if name not in fields]
        missing = [quoted(name) for name in fields if name not in entries and name != "aux_num_out"]
        if unknown or missing:
            wrong = {"unknown": unknown, "missing": missing}
            told = [f"{kind} entries: {listed(names, MOST_TOLD)}" for kind, names in wrong.items() if names]
            raise InputError(*(f"{where}: not a wav2vec2_model config: {problem}" for problem in told))
        if "aux_num_out" in entries and entries["aux_num_out"] is None:
            raise InputError(f"{where}: aux_num_out is null, and is given a second time by who loads it; leave it out")
        layers = entries["extractor_conv_layer_config"]
        if isinstance(layers, list):
            layers = tuple(tuple(x) if isinstance(x, list) else x for x in layers)
        try:
            return cls(**{**entries, "extractor_conv_layer_config": layers})
        except InputError as error:
            raise InputError(*(f"{where}: {problem}" for problem in error.problems)) from None

    @classmethod
    def read(cls, path: Path) -> EncoderConfig:
        """Read a JSON config from a file. Raises InputError."""
        try:
            return cls.from_json(read_file(path).decode("utf-8"), where=str(path))
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: not a JSON config: the file is binary; give the .model_config.json file"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: cannot read the config: {reason_of(error)}") from None


def _problems(config: EncoderConfig) -> list[str]:
    """Every reason why no model can be built from ``config``."""
    problems = []
    if config.extractor_mode not in ("group_norm", "layer_norm"):
        problems.append(f"extractor_mode is {quoted(config.extractor_mode)}, expected 'group_norm' or 'layer_norm'")
    layers = config.extractor_conv_layer_config
    if (
        not isinstance(layers, tuple)
        or not 1 <= len(layers) <= MOST_CONVOLUTIONS
        or not all(map(_is_conv_layer, layers))
    ):
        problems.append(
            f"extractor_conv_layer_config must be a list of 1 to {MOST_CONVOLUTIONS} [channels, kernel, stride] with "
            f"whole numbers from 1 to {LARGEST}"
        )
    integers = (
        "encoder_embed_dim",
        "encoder_pos_conv_kernel",
        "encoder_pos_conv_groups",
        "encoder_num_layers",
        "encoder_num_heads",
        "encoder_ff_interm_features",
    )
    names = integers if config.aux_num_out is None else (*integers, "aux_num_out")
    most = {name: MOST_LAYERS if name == "encoder_num_layers" else LARGEST for name in names}
    wrong = [name for name in names if not _is_count(getattr(config, name), most[name])]
    problems += [
        f"{name} is {quoted(getattr(config, name))}, expected a whole number from 1 to {most[name]}" for name in wrong
    ]
    for name in ("extractor_conv_bias", "encoder_layer_norm_first"):
        if not isinstance(getattr(config, name), bool):
            problems.append(f"{name} is {quoted(getattr(config, name))}, expected true or false")
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name.endswith(("dropout", "drop")) and not (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        ):
            problems.append(f"{field.name} is {quoted(value)}, expected a probability from 0 to 1")
    if not wrong:
        for name in ("encoder_num_heads", "encoder_pos_conv_groups"):
            if config.encoder_embed_dim % getattr(config, name):
                problems.append(
                    f"encoder_embed_dim {config.encoder_embed_dim} is not divisible by {name} {getattr(config, name)}"
                )
    return problems


def _is_count(value: object, most: int = LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most


def _is_conv_layer(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(map(_is_count, value))


def encoder_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of TorchAudio's model, in its order, named ``weight_g`` and ``weight_v``.

    Every torch from 2.0 on reads that dialect; only newer ones read ``parametrizations.weight.original0/1``.
    Source: torchaudio ``models/wav2vec2/components.py``.
    """
    dim, wide = config.encoder_embed_dim, config.encoder_ff_interm_features
    kernel, groups = config.encoder_pos_conv_kernel, config.encoder_pos_conv_groups
    shapes, channels = _extractor(config)
    shapes |= _norm("encoder.feature_projection.layer_norm", channels)
    shapes |= _linear("encoder.feature_projection.projection", dim, channels)
    positions = "encoder.transformer.pos_conv_embed.conv"
    shapes[f"{positions}.bias"] = (dim,)
    shapes[f"{positions}.weight_g"] = (1, 1, kernel)
    shapes[f"{positions}.weight_v"] = (dim, dim // groups, kernel)
    shapes |= _norm("encoder.transformer.layer_norm", dim)
    for layer in range(config.encoder_num_layers):
        stem = f"encoder.transformer.layers.{layer}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= _linear(f"{stem}.attention.{name}", dim, dim)
        shapes |= _norm(f"{stem}.layer_norm", dim)
        shapes |= _linear(f"{stem}.feed_forward.intermediate_dense", wide, dim)
        shapes |= _linear(f"{stem}.feed_forward.output_dense", dim, wide)
        shapes |= _norm(f"{stem}.final_layer_norm", dim)
    if config.aux_num_out is not None:
        shapes |= _linear("aux", config.aux_num_out, dim)
    return shapes


def _extractor(config: EncoderConfig) -> tuple[dict[str, tuple[int, ...]], int]:
    """The convolutions' tensors, and the channels that come out."""
    shapes: dict[str, tuple[int, ...]] = {}
    channels = 1
    for index, (width, kernel, _) in enumerate(config.extractor_conv_layer_config):
        stem = f"feature_extractor.conv_layers.{index}"
        if index == 0 or config.extractor_mode == "layer_norm":
            shapes |= _norm(f"{stem}.layer_norm", width)
        shapes[f"{stem}.conv.weight"] = (width, channels, kernel)
        if config.extractor_conv_bias:
            shapes[f"{stem}.conv.bias"] = (width,)
        channels = width
    return shapes, channels


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}
