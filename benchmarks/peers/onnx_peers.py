"""One checkpoint's graph as each exporter makes it: ours, torch.onnx.export's two, and optimum's.

    python -m benchmarks.peers.onnx_peers CHECKPOINT FOLDER EXPORTER...

writes FOLDER/EXPORTER/model.onnx. Peers' files that are there already are kept; ours are made anew.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from benchmarks.peers import packages as peers
from benchmarks.processes import run
from tests.support.hugging_face import hubert_model

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.graph.build import write_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.writer import save_graph
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio


def main(checkpoint: Path, folder: Path, *names: str) -> None:
    """Write what is missing."""
    converted = to_torchaudio(read_checkpoint(checkpoint))
    for name in names:
        path = folder / name / "model.onnx"
        if name in _MADE_ANEW or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            EXPORTERS[name](converted, path)


def _ours(**options: Any) -> Callable[[TorchaudioPort, Path], None]:
    def export(converted: TorchaudioPort, path: Path) -> None:
        save_graph(write_graph(converted.config, converted.state_dict, OnnxOptions(**options), {}), path)

    return export


class _Encoder(torch.nn.Module):
    """waveform [batch, samples] -> embeddings [batch, frames, dim]."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.model(waveform)[0]
        return output


def _dynamo(converted: TorchaudioPort, path: Path) -> None:
    """The way that torch recommends today: torch.export, then its translation."""
    model: Any = load_model(converted.config, converted.state_dict)
    convolution = model.encoder.transformer.pos_conv_embed.conv
    torch.nn.utils.parametrize.remove_parametrizations(convolution, "weight")
    samples = converted.config.receptive_field
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Encoder(model).eval(),
            (torch.zeros(2, samples + 8 * converted.config.hop),),
            dynamo=True,
            input_names=["waveform"],
            output_names=["embeddings"],
            dynamic_shapes={"waveform": {0: "batch", 1: torch.export.Dim("samples", min=samples)}},
        )
    assert program is not None
    program.save(str(path), external_data=False)


def _optimum(converted: TorchaudioPort, path: Path) -> None:
    """By way of the model folder ``pretrained``, which is left there: the export of it is timed elsewhere."""
    pretrained, out = path.parent / "pretrained", path.parent / "exported"
    hubert_model(converted.config, converted.state_dict).save_pretrained(pretrained)
    run(peers.optimum_export(peers.optimum(path.parents[2]), pretrained, out))
    onnx.save(onnx.load(out / "model.onnx"), path)


_MADE_ANEW = ("graph", "fused", "opset-23")
EXPORTERS: dict[str, Callable[[TorchaudioPort, Path], None]] = {
    "graph": _ours(),
    "fused": _ours(attention="fused"),
    "opset-23": _ours(opset=23),
    "torchscript": _ours(exporter="torch"),
    "dynamo": _dynamo,
    "optimum": _optimum,
}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *sys.argv[3:])
