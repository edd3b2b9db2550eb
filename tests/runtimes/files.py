"""The files that clients take, made of one checkpoint: our graphs, the ordinary export, TorchAudio's port."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.runtimes.clients import FIXED
from tests.runtimes.reduced import OPTIONS

from aves_convert.conversion.convert import fairseq_to_onnx, fairseq_to_torchaudio
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import checkpoint_contents, write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_convert.torch_files.writer import write_torch_file

# Tiny, but its sizes are multiples of 16 as those of real encoders: some runtimes are wrong for others.
SMALL = {
    "conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2",
    "encoder_layers": 2,
    "encoder_embed_dim": 64,
    "encoder_ffn_embed_dim": 128,
    "encoder_attention_heads": 4,
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "final_dim": 8,
}


@dataclass(frozen=True)
class Files:
    """Where everything lies that was made of a checkpoint."""

    folder: Path
    weights: Path
    config_file: Path

    def model(self, graph: str) -> Path:
        """What a client's script is given for one of its graphs."""
        if graph == "port":
            return self.weights
        return self.folder / graph if graph.startswith("fixed") else self.folder / f"{graph}.onnx"


def small_checkpoint(folder: Path) -> Path:
    """A stand-in that is run in milliseconds."""
    path = folder / "small.pt"
    write_torch_file(checkpoint_contents(SMALL, seed="runtimes"), path)
    return path


def base_checkpoint(folder: Path) -> Path:
    """A stand-in of the size of AVES base."""
    path = folder / "base.pt"
    write_stand_in("core", path, geometry="base")
    return path


def make_files(checkpoint: Path, folder: Path, shapes: Iterable[tuple[int, ...]]) -> Files:
    """All of them; ``shapes`` [batch, samples] are those that get a graph of their own."""
    source = Source(checkpoint)
    weights, config_file = fairseq_to_torchaudio(source, Target(folder, "port"))
    fairseq_to_onnx(source, folder / "float32.onnx", OnnxOptions())
    fairseq_to_onnx(source, folder / "mixed.onnx", OnnxOptions(precision="mixed"))
    fairseq_to_onnx(source, folder / "export.onnx", OnnxOptions(exporter="torch"))
    _write_fixed(source, folder / "fixed", shapes, OnnxOptions())
    return Files(folder, weights, config_file)


def make_reduced_files(checkpoint: Path, folder: Path, shapes: Iterable[tuple[int, ...]]) -> Files:
    """The smaller graphs of a checkpoint, and TorchAudio's port for the answers; ``shapes`` as above."""
    source = Source(checkpoint)
    weights, config_file = fairseq_to_torchaudio(source, Target(folder, "port"))
    for graph, options in OPTIONS.items():
        fairseq_to_onnx(source, folder / f"{graph}.onnx", options)
        _write_fixed(source, folder / f"{FIXED}{graph}", shapes, options)
    return Files(folder, weights, config_file)


def _write_fixed(source: Source, folder: Path, shapes: Iterable[tuple[int, ...]], options: OnnxOptions) -> None:
    folder.mkdir()
    for batch, samples in shapes:
        fairseq_to_onnx(source, folder / f"{batch}x{samples}.onnx", replace(options, fixed_shape=(batch, samples)))
