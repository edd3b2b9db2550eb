"""One checkpoint's graph as each exporter makes it: ours, torch.onnx.export's two, and optimum's."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from tests.hugging_face import hubert_model

from aves_convert.fairseq_checkpoint import read_checkpoint
from aves_convert.onnx_graph import save_graph
from aves_convert.onnx_options import OnnxOptions
from aves_convert.onnx_port import build_onnx
from aves_convert.torchaudio_model import load_model
from aves_convert.torchaudio_port import TorchaudioPort, port

LABELS = {
    "graph": "our graph",
    "fused": "our graph, fused attention",
    "torchscript": "torch.onnx.export",
    "dynamo": "torch.onnx.export, dynamo",
    "optimum": "optimum",
}
# optimum holds transformers below version 5, so it gets an environment of its own.
OPTIMUM = ("optimum-onnx[onnxruntime]==0.1.0", "torch==2.15.0")


def make_files(checkpoint: Path, folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The exporters' files in the folder; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name / "model.onnx" for name in names}
    missing = {name: path for name, path in files.items() if not path.exists()}
    if missing:
        converted = port(read_checkpoint(checkpoint))
        for name, path in missing.items():
            print(f"exporting: {name}", file=sys.stderr)
            path.parent.mkdir(exist_ok=True)
            EXPORTERS[name](converted, path)
    return files


def _ours(**options: Any) -> Callable[[TorchaudioPort, Path], None]:
    def export(converted: TorchaudioPort, path: Path) -> None:
        save_graph(build_onnx(converted.config, converted.state_dict, OnnxOptions(**options), {}), path)

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
    with tempfile.TemporaryDirectory(prefix="optimum-") as temporary:
        environment, model, out = (Path(temporary) / name for name in ("environment", "model", "out"))
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
        python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), *OPTIMUM], check=True)
        hubert_model(converted.config, converted.state_dict).save_pretrained(model)
        command = [str(python), "-m", "optimum.exporters.onnx", "--model", str(model)]
        subprocess.run([*command, "--task", "feature-extraction", str(out)], check=True, capture_output=True)
        onnx.save(onnx.load(out / "model.onnx"), path)


EXPORTERS: dict[str, Callable[[TorchaudioPort, Path], None]] = {
    "graph": _ours(),
    "fused": _ours(attention="fused"),
    "torchscript": _ours(exporter="torch"),
    "dynamo": _dynamo,
    "optimum": _optimum,
}
