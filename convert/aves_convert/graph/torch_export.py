"""The ordinary export, to compare with: ``torch.onnx.export`` of the TorchAudio model, as everybody makes it."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import torch
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line
from aves_artifacts.bundle.graph_contract import WAVEFORM
from aves_artifacts.bundle.outputs import Output
from aves_convert.graph.options import OnnxOptions
from aves_convert.weights.heads import NO_HEADS, Heads
from aves_convert.weights.model import load_model
from aves_convert.weights.torch_heads import TorchHeads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torchaudio.models import Wav2Vec2Model

    from aves_artifacts.encoder import EncoderConfig


class _Encoder(torch.nn.Module):
    """waveform [batch, samples] -> the outputs that are asked for, in their order."""

    def __init__(self, model: Wav2Vec2Model, outputs: Sequence[Output], heads: Heads) -> None:
        super().__init__()
        self.model, self.outputs, self.heads = model, outputs, TorchHeads(heads)
        self.needed = max((output.layer for output in outputs if output.layer is not None), default=-1) + 1
        if any(output.layer is None for output in outputs):
            self.needed = len(model.encoder.transformer.layers)

    def forward(self, waveform: torch.Tensor) -> tuple[torch.Tensor, ...]:
        waveform = waveform[:, 0] if waveform.ndim == 3 else waveform
        features, _ = self.model.feature_extractor(waveform, None)
        layers = self.model.encoder.extract_features(features, num_layers=self.needed)
        transformer = self.model.encoder.transformer
        # torchaudio hands Transformer the negation: False here means a pre-norm encoder, its last norm still to come
        final = layers[-1] if transformer.layer_norm_first else transformer.layer_norm(layers[-1])
        return tuple(self._output(each, final if each.layer is None else layers[each.layer]) for each in self.outputs)

    def _output(self, output: Output, x: torch.Tensor) -> torch.Tensor:
        if output.kind == "logits":
            logits: torch.Tensor = self.model.aux(x)
            return logits
        if output.kind == "projection":
            return self.heads.projected(x, output.label_set)
        if output.kind == "units":
            assert output.layer is not None  # noqa: S101 - units are a layer's
            return self.heads.units(x, output.layer)
        return x


def torch_export(
    config: EncoderConfig,
    state_dict: Mapping[str, NDArray[Any] | torch.Tensor],
    options: OnnxOptions,
    temporary: Path,
    heads: Heads = NO_HEADS,
) -> onnx.ModelProto:
    """Trace the TorchAudio model with this torch's exporter; ``temporary`` is a file that may be overwritten.

    The TorchScript-based exporter is used while torch has it: it is the one that published ONNX files were made with.
    """
    model = load_model(config, state_dict)
    convolution = model.encoder.transformer.pos_conv_embed.conv
    if hasattr(convolution, "parametrizations"):
        torch.nn.utils.parametrize.remove_parametrizations(convolution, "weight")
    else:  # torchaudio before 2.1
        torch.nn.utils.remove_weight_norm(convolution)
    outputs = options.graph_outputs(config, heads)
    encoder = _Encoder(model, outputs, heads).eval()
    names = [output.name for output in outputs]
    example = torch.zeros(options.fixed_shape or (2, config.receptive_field + 8 * config.hop))
    example = example[:, None] if options.channel_axis else example
    arguments: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        arguments["dynamo"] = False
    axes = {WAVEFORM: {0: "batch", example.ndim - 1: "samples"}} | {name: {0: "batch", 1: "frames"} for name in names}
    try:
        with _quiet(), torch.inference_mode():
            torch.onnx.export(
                encoder,
                (example,),
                str(temporary),
                input_names=[WAVEFORM],
                output_names=names,
                dynamic_axes=axes if options.fixed_shape is None else None,
                opset_version=options.opset,
                **arguments,
            )
    except RuntimeError as error:  # torch's own exporter errors are; torch 2.0 knows no scaled_dot_product_attention
        raise InputError(
            f"the exporter of torch {torch.__version__} fails on this model: {first_line(error)}; take another torch",
            hint="or the graph that aves-convert writes itself: {exporter} graph",
        ) from error
    return onnx.load(str(temporary))


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the exporter's warnings about tracing, which concern shapes that are dynamic on purpose."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
