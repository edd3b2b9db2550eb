"""In a leg: convert each model, and look at the files before anything is computed with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from tests.regression.golden import Golden
from tests.regression.models import Files, write_model

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.file_record import sha256_of
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.convert import fairseq_to_onnx, fairseq_to_torchaudio, torchaudio_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.torch_export import torch_export
from aves_convert.weights.model import build_model, load_model
from aves_convert.weights.state_dict import read_state_dict
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.comparison.weight_search import onnx_weights
from aves_verify.comparison.weights import torchaudio_weights

_NEW_NAMES = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


@dataclass(frozen=True)
class Ported:
    """A model's checkpoint and the files that were made of it here."""

    name: str
    files: Files
    weights: Path
    config_file: Path
    graph: Path
    folder: Path  # of transformers

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, with the settings of the pretrained one."""
        return read_checkpoint(self.files.checkpoint, self.files.pretrained)

    @property
    def config(self) -> EncoderConfig:
        """The port's geometry."""
        return EncoderConfig.read(self.config_file)

    def hashes(self) -> dict[str, str]:
        """SHA-256 of what was written."""
        files = (self.weights, self.config_file, self.graph, *sorted(self.folder.iterdir()))
        return {str(path.relative_to(self.graph.parent)): sha256_of(path) for path in files}


def convert(name: str, folder: Path) -> Ported:
    """Write a model's checkpoint and convert it, every layer an output of the graph."""
    files = write_model(name, folder)
    source = Source(files.checkpoint, files.pretrained)
    weights, config = fairseq_to_torchaudio(source, Target(folder, name))
    graph = folder / f"{name}.onnx"
    fairseq_to_onnx(source, graph, OnnxOptions(layers="all"))
    library = folder / f"{name}.transformers"
    fairseq_to_transformers(source, library)
    return Ported(name, files, weights, config, graph, library)


def file_problems(ported: Ported, golden: Golden, expected: Mapping[str, str]) -> Iterator[str]:
    """Everything that is wrong with the files; ``expected``: SHA-256 of what the newest torch makes of the model."""
    if sha256_of(ported.files.checkpoint) != golden.provenance["checkpoint_sha256"]:
        yield f"{ported.files.checkpoint.name} is not the checkpoint that the golden was made from: SHA-256 differs"
    state = torch.load(ported.weights, weights_only=True)
    yield from _dialect_problems(ported, state)
    original = to_torchaudio(ported.checkpoint).state_dict
    searches = (
        torchaudio_weights(original, read_state_dict(ported.weights, ported.config), ported.weights),
        onnx_weights(original, ported.graph),
    )
    for search in searches:
        yield from (problem.replace(f"{ported.graph.parent}/", "") for problem in search.problems)
    for name, sha256 in ported.hashes().items():
        if sha256 != expected[name]:
            yield f"{name} has other bytes here than the newest torch makes of the same checkpoint"


def _dialect_problems(ported: Ported, state: Mapping[str, torch.Tensor]) -> Iterator[str]:
    """The file has the names that every torch reads, and loads strictly; under the newer names it loads as well."""
    name, config = ported.weights.name, ported.config
    newer = [key for key in state if "parametrizations" in key]
    if newer:
        yield (
            f"{name}: keys are written as {newer[0]}, which torch before 2.1 cannot read; "
            "expected the names weight_g and weight_v"
        )
    try:
        build_model(config).load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        yield f"{name}: this torchaudio does not load it strictly: {' '.join(str(error).split()):.200}"
    renamed = ported.weights.with_suffix(".renamed.pt")
    torch.save({_renamed(key): tensor for key, tensor in state.items()}, renamed)
    try:
        loaded = load_model(config, read_state_dict(renamed, config)).state_dict()
    except (InputError, RuntimeError) as error:
        yield f"{name} under the names of torch 2.1: not loaded strictly: {error!s:.200}"
        return
    if not all(torch.equal(a, b) for a, b in zip(loaded.values(), state.values(), strict=True)):
        yield f"{name} under the names of torch 2.1: loads other weights"


def _renamed(key: str) -> str:
    head, _, last = key.rpartition(".")
    return f"{head}.{_NEW_NAMES[last]}" if last in _NEW_NAMES else key


def loads_newer_names(config: EncoderConfig, state: Mapping[str, torch.Tensor]) -> bool:
    """Does this torchaudio by itself read the names of torch 2.1?"""
    try:
        build_model(config).load_state_dict({_renamed(key): tensor for key, tensor in state.items()}, strict=True)
    except RuntimeError:
        return False
    return True


def export(ported: Ported, path: Path) -> Path:
    """What ``--exporter torch`` makes of the port. Raises InputError where this torch's exporter fails."""
    return torchaudio_to_onnx(
        ported.weights, ported.config_file, path, OnnxOptions(layers="all", exporter="torch"), force=True
    )


def exporter_of(model: onnx.ModelProto) -> str:
    """Which of torch's two exporters wrote it: the older one names nodes after the modules, /layers.1/Add, always."""
    return "TorchScript" if any(node.name.startswith("/") for node in model.graph.node) else "dynamo"


def who_exports(ported: Ported, temporary: Path) -> str:
    """Which exporter ``--exporter torch`` asks, though what it gives is refused; "none" where it gives nothing."""
    weights = read_state_dict(ported.weights, ported.config)
    try:
        return exporter_of(torch_export(ported.config, weights, OnnxOptions(layers="all"), temporary))
    except InputError:
        return "none"
