"""The points of an encoder at which its inner values are compared, from the first convolution to the head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aves_artifacts.bundle.outputs import FINAL
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.transformer import Depth

INPUT = ":input"  # a site with this ending is what goes into the module, not what comes out


@dataclass(frozen=True)
class Point:
    """One value on the way through the encoder, and the names that it has in each implementation."""

    site: str  # the module of torchaudio's wav2vec2_model that computes it, with ":input" what that module is given
    stage: str
    operator: str

    @property
    def is_output(self) -> bool:
        """Whether it is what a port returns."""
        return self.stage.startswith("output")


GROUP_NORM = "group norm"  # the operator over the whole clip
_NORM = {"group_norm": GROUP_NORM, "layer_norm": "layer norm"}
_PROJECTION = (
    ("encoder.feature_projection.layer_norm", "projection", "layer norm"),
    ("encoder.feature_projection.projection", "projection", "linear"),
)
_POSITIONS = (
    ("encoder.transformer.pos_conv_embed.conv", "positional convolution", "convolution"),
    ("encoder.transformer.pos_conv_embed", "positional convolution", "GELU"),
)
_LAYER = "encoder.transformer.layers.{}"
_ATTENTION = (
    (f"{_LAYER}.attention.q_proj", "query projection"),
    (f"{_LAYER}.attention.k_proj", "key projection"),
    (f"{_LAYER}.attention.v_proj", "value projection"),
    (f"{_LAYER}.attention.out_proj{INPUT}", "attention"),
    (f"{_LAYER}.attention.out_proj", "output projection"),
)
_FEED_FORWARD = (
    (f"{_LAYER}.feed_forward.intermediate_dense", "feed-forward, first linear"),
    (f"{_LAYER}.feed_forward.output_dense{INPUT}", "feed-forward, GELU"),
    (f"{_LAYER}.feed_forward.output_dense", "feed-forward, second linear"),
)
_POST_NORM = (
    *_ATTENTION,
    (f"{_LAYER}.layer_norm{INPUT}", "sum after attention"),
    (f"{_LAYER}.layer_norm", "layer norm after attention"),
    *_FEED_FORWARD,
    (f"{_LAYER}.final_layer_norm{INPUT}", "sum after feed-forward"),
    (f"{_LAYER}.final_layer_norm", "layer norm after feed-forward"),
)
_PRE_NORM = (
    (f"{_LAYER}.layer_norm", "layer norm before attention"),
    *_ATTENTION,
    (f"{_LAYER}.final_layer_norm{INPUT}", "sum after attention"),
    (f"{_LAYER}.final_layer_norm", "layer norm before feed-forward"),
    *_FEED_FORWARD,
    (_LAYER, "sum after feed-forward"),
)


def points(config: EncoderConfig, depth: Depth | None = None) -> tuple[Point, ...]:
    """List every point of an encoder of this geometry, in the order of computing; by default of all of it."""
    return tuple(Point(*row) for row in _rows(config, depth or Depth(config.encoder_num_layers, final=True)))


def output_points(names: Iterable[str]) -> tuple[Point, ...]:
    """List outputs beside the embeddings, each by the name under which a port returns it."""
    return tuple(Point(name, f"output {name}", "what is returned") for name in names)


def _rows(config: EncoderConfig, depth: Depth) -> Iterator[tuple[str, str, str]]:
    for i in range(len(config.extractor_conv_layer_config)):
        module, stage = f"feature_extractor.conv_layers.{i}", f"conv block {i}"
        yield f"{module}.conv", stage, "convolution"
        if i == 0 or config.extractor_mode == "layer_norm":
            yield f"{module}.layer_norm", stage, _NORM[config.extractor_mode]
        yield module, stage, "GELU"
    yield from _PROJECTION
    yield from _POSITIONS
    norm = "encoder.transformer.layer_norm"
    if config.encoder_layer_norm_first:
        yield f"{_LAYER.format(0)}.layer_norm{INPUT}", "positional convolution", "sum"
    else:
        yield f"{norm}{INPUT}", "positional convolution", "sum"
        yield norm, "positional convolution", "layer norm"
    for i in range(depth.layers):
        for site, operator in _PRE_NORM if config.encoder_layer_norm_first else _POST_NORM:
            yield site.format(i), f"layer {i}", operator
    if not depth.final:
        return
    if config.encoder_layer_norm_first:
        yield norm, "last layer norm", "layer norm"
    if config.aux_num_out is not None:
        yield "aux", "head", "linear"
    yield FINAL, "output", "embeddings"
