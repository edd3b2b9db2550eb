"""The choices that there are when an ONNX graph is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import printable
from aves_artifacts.bundle.outputs import EMBEDDINGS, FORMS, LOGITS, Output, layer_name
from aves_artifacts.encoder import EncoderConfig

if TYPE_CHECKING:  # the options are read where not even numpy is installed
    from aves_convert.weights.heads import Heads

Layers = Literal["last", "all"]
Exporter = Literal["graph", "torch"]
Attention = Literal["standard", "fused"]
Precision = Literal["float32", "mixed", "float16", "int8"]
Weights = Literal["float32", "float16"]


REDUCED: tuple[Precision, ...] = ("float16", "int8")  # precisions that cost more than rounding


@dataclass(frozen=True)
class OnnxOptions:
    """How an ONNX graph is written; the defaults are those of the commands.

    ``layers``: whether the last layer alone is an output, or all are. ``outputs``: names of those that are wanted, in
    their order, instead; see ``Output``. ``opset``: the version of the operators; from 23
    on attention is one of them. ``exporter``: written from the weights, or traced with ``torch.onnx.export``.
    ``attention``: ``fused`` runs on ONNX Runtime alone and takes less memory; ``standard`` wherever the opset does.
    ``precision``: ``float32`` for every runtime; ``mixed`` has sums and norms in float64, for runtimes that compute it;
    ``float16`` has products in half precision and ``int8`` the transformer's in eight bits, but those of the modules
    that are named in ``wide``. ``weights``: how large ones lie in the file, ``float16`` is half as long and computes in
    float32 with the rounded values.
    ``channel_axis``: waveforms have an axis for their only channel, [batch, 1, samples], as some tools give them.
    ``fixed_shape``: a graph for so many waveforms of so many samples alone, [batch, samples], with no size unknown.
    """

    layers: Layers = "last"
    opset: int = 17
    exporter: Exporter = "graph"
    attention: Attention = "standard"
    precision: Precision = "float32"
    fixed_shape: tuple[int, int] | None = None
    channel_axis: bool = False
    outputs: tuple[str, ...] = ()
    weights: Weights = "float32"
    wide: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise InputError for outputs of no known name, and for one that is named twice."""
        unknown = [printable(name) for name in self.outputs if Output.of(name) is None]
        raise_if_any(
            [f"{name or '(nothing)'}, expected {FORMS}" for name in unknown], "there is no output of this name"
        )
        if self.wide and self.precision not in REDUCED:
            raise InputError(
                f"products that stay in float32, in a graph whose precision is {self.precision}",
                hint="add {precision} int8, or leave {wide} out",
            )
        twice = [name for i, name in enumerate(self.outputs) if name in self.outputs[:i]]
        raise_if_any(twice, "an output is named twice")
        if self.outputs and self.layers == "all":
            raise InputError(
                "layers all and outputs by name both say what the graph gives", hint="give {outputs} alone"
            )

    @property
    def is_reduced(self) -> bool:
        """Whether the graph computes something else than the original, and is held to what that may cost."""
        return self.weights != "float32" or self.precision in REDUCED

    @property
    def stores_half(self) -> bool:
        """Whether large weights lie in the file in half precision."""
        return self.weights == "float16" or self.precision == "float16"

    def precision_of(self, module: str) -> Precision:
        """What a module's product is computed in."""
        return "float32" if module in self.wide else self.precision

    @property
    def units(self) -> tuple[int, ...]:
        """The layers of which units are wanted."""
        found = (Output.of(name) for name in self.outputs)
        return tuple(each.layer for each in found if each and each.kind == "units" and each.layer is not None)

    def graph_outputs(self, config: EncoderConfig, heads: Heads | None = None) -> tuple[Output, ...]:
        """The graph's outputs in order. A projection of several label sets is one output for each.

        By default the final embeddings are first, then layers, then the CTC head. Raises InputError for what this
        encoder has not.
        """
        if not self.outputs:
            layers = range(config.encoder_num_layers) if self.layers == "all" else ()
            head = (Output("logits"),) if config.aux_num_out is not None else ()
            return (Output("features"), *(Output("features", i) for i in layers), *head)
        from aves_convert.weights.heads import NO_HEADS

        heads = NO_HEADS if heads is None else heads
        asked = [output for name in self.outputs if (output := Output.of(name)) is not None]
        problems = [problem for output in asked if (problem := _problem(output, config, heads))]
        lacks_centroids = any(output.kind == "units" and not heads.has(output) for output in asked)
        hint = "give them with {centroids} layer.N=FILE" if lacks_centroids else ""
        raise_if_any(problems, "no graph with these outputs", hint=hint)
        given: list[Output] = []
        for output in asked:
            several = output.kind == "projection" and output.label_set is None
            given += heads.projections_of(output.layer) if several else [output]
        return tuple(dict.fromkeys(given))


def _problem(output: Output, config: EncoderConfig, heads: Heads) -> str:
    """Why an encoder has no such output; empty where it has."""
    count, name = config.encoder_num_layers, output.name
    if output.layer is not None and output.layer >= count:
        return (
            f"{name}: this encoder has the layers 0 to {count - 1}, counted from 0: "
            f"what others call layer {count} is {layer_name(count - 1)}"
        )
    if output.kind == "logits" and config.aux_num_out is None:
        return f"{LOGITS}: this encoder was not fine-tuned and has no head; it has {EMBEDDINGS} and layers"
    if output.kind == "projection" and not heads.projections:
        return (
            f"{name}: there is no final_proj: fairseq takes it away before it fine-tunes, and TorchAudio weights have "
            "no place for it: take the pretrained checkpoint, or give NAME.heads.safetensors with the weights"
        )
    if output.kind == "projection" and (output.label_set or 0) >= heads.projections:
        return f"{name}: there are projections of {heads.projections} label sets, counted from 0"
    if output.kind == "units" and output.layer not in heads.centroids:
        return f"{name}: units need the centroids of that layer"
    return ""
