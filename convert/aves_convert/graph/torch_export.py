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
from aves_convert.graph.options import OnnxOptions
from aves_convert.weights.model import load_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchaudio.models import Wav2Vec2Model

    from aves_artifacts.encoder import EncoderConfig


class _Encoder(torch.nn.Module):
    """waveform [batch, samples] -> final embeddings [batch, frames, dim], every layer's, and the head's logits."""

    def __init__(self, model: Wav2Vec2Model, *, all_layers: bool) -> None:
        super().__init__()
        self.model = model
        self.all_layers = all_layers

    def forward(self, waveform: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features, _ = self.model.feature_extractor(waveform, None)
        layers = self.model.encoder.extract_features(features)
        transformer = self.model.encoder.transformer
        # torchaudio hands Transformer the negation: False here means a pre-norm encoder, its last norm still to come
        final = layers[-1] if transformer.layer_norm_first else transformer.layer_norm(layers[-1])
        logits = () if self.model.aux is None else (self.model.aux(final),)
        return (final, *(layers if self.all_layers else ()), *logits)


def torch_export(
    config: EncoderConfig, state_dict: Mapping[str, NDArray[Any] | torch.Tensor], options: OnnxOptions, temporary: Path
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
    encoder = _Encoder(model, all_layers=options.layers == "all").eval()
    outputs = options.output_names(config)
    example = torch.zeros(options.fixed_shape or (2, config.receptive_field + 8 * config.hop))
    arguments: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        arguments["dynamo"] = False
    axes = {WAVEFORM: {0: "batch", 1: "samples"}} | {name: {0: "batch", 1: "frames"} for name in outputs}
    try:
        with _quiet(), torch.inference_mode():
            torch.onnx.export(
                encoder,
                (example,),
                str(temporary),
                input_names=[WAVEFORM],
                output_names=list(outputs),
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
