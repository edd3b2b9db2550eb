"""Damage that the manifest goes along with: hashes are right, and what is in the files is not."""

import dataclasses
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.bundles import (
    copied,
    problems,
    sealed,
)
from tests.support.damage import compress
from tests.support.pickle_bytes import name, reduced
from tests.support.torch_file_bytes import torch_zip

from aves_artifacts.base.process import Limits
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.manifest import LedgerEntry

Weights = dict[str, torch.Tensor]


SOME = "encoder.transformer.layers.1.attention.k_proj.bias"


def reweighted(change: Callable[[Weights], object]) -> Callable[[Bundle], None]:
    """Both copies of the weights changed alike."""

    def damage(bundle: Bundle) -> None:
        weights = torch.load(bundle.path("torchaudio"), weights_only=True)
        change(weights)
        torch.save(weights, bundle.path("torchaudio"))
        save_file(weights, bundle.path("safetensors"), metadata={"format": "pt"})

    return damage


def state_dict_changed(change: Callable[[Weights], object]) -> Callable[[Bundle], None]:
    def damage(bundle: Bundle) -> None:
        weights = torch.load(bundle.path("torchaudio"), weights_only=True)
        change(weights)
        torch.save(weights, bundle.path("torchaudio"))

    return damage


def copy_changed(change: Callable[[Weights], object]) -> Callable[[Bundle], None]:
    def damage(bundle: Bundle) -> None:
        weights = load_file(bundle.path("safetensors"))
        change(weights)
        save_file(weights, bundle.path("safetensors"))

    return damage


def regraphed(change: Callable[[onnx.ModelProto], object]) -> Callable[[Bundle], None]:
    def damage(bundle: Bundle) -> None:
        model = onnx.load(bundle.path("onnx"))
        change(model)
        onnx.save(model, bundle.path("onnx"))

    return damage


def reconfigured(**entries: Any) -> Callable[[Bundle], None]:
    def damage(bundle: Bundle) -> None:
        config = json.loads(bundle.path("config").read_text()) | entries
        bundle.path("config").write_text(json.dumps(config))

    return damage


def rename(weights: Weights) -> None:
    weights["encoder.extra"] = weights.pop(SOME)


def set_metadata(model: onnx.ModelProto, **entries: str) -> None:
    found = {entry.key: entry.value for entry in model.metadata_props} | entries
    onnx.helper.set_model_props(model, found)


def use_an_operator_of_another_runtime(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("another.runtime", 1))
    model.graph.node[-1].domain = "another.runtime"


def through_float64(model: onnx.ModelProto) -> None:
    """The embeddings pass through another type, and are what they were."""
    (last,) = (node for node in model.graph.node if "embeddings" in node.output)
    last.output[0] = "before"
    cast = onnx.helper.make_node
    model.graph.node.append(cast("Cast", ["before"], ["wide"], to=onnx.TensorProto.DOUBLE))
    model.graph.node.append(cast("Cast", ["wide"], ["embeddings"], to=onnx.TensorProto.FLOAT))


def beside_float64(model: onnx.ModelProto) -> None:
    """A node makes a number in float64, from nothing and for nothing."""
    value = onnx.helper.make_tensor("number", onnx.TensorProto.DOUBLE, [1], [1.0])
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["wide"], value=value))


def move_outside(model: onnx.ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    onnx.external_data_helper.set_external_data(tensor, "../secret.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL


AN_ARRAY_OF_ANY_SIZE = torch_zip({"w": reduced(name("builtins", "bytearray"), 10**10)})


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os._exit, (13,))


WELL_DAMAGED: dict[str, tuple[Callable[[Bundle], object], str]] = {
    "one bit of one weight": (
        reweighted(lambda weights: weights[SOME].view(torch.int32)[3].bitwise_xor_(1)),
        f"torchaudio.pt has another {SOME} than the source",
    ),
    "a renamed weight": (reweighted(rename), f"torchaudio.pt lacks {SOME}"),
    "a missing weight": (reweighted(lambda weights: weights.pop(SOME)), f"torchaudio.pt lacks {SOME}"),
    "another shape": (
        reweighted(lambda weights: weights.update({SOME: torch.zeros(3)})),
        "of shape [3], expected [24]",
    ),
    "half precision": (
        reweighted(lambda weights: weights.update({SOME: weights[SOME].half()})),
        f"{SOME} in float16, expected float32",
    ),
    "other weights in the copy": (
        copy_changed(lambda weights: weights[SOME].add_(1)),
        f"safetensors has another {SOME} than the state dict",
    ),
    "fewer weights in the copy": (copy_changed(lambda weights: weights.pop(SOME)), f"safetensors lacks {SOME}"),
    "more weights in the copy": (
        copy_changed(lambda weights: weights.update(extra=torch.zeros(1))),
        "safetensors has extra, which the state dict has not",
    ),
    "no safetensors": (lambda bundle: bundle.path("safetensors").write_bytes(b"x" * 100), "safetensors does not load"),
    "a sparse tensor": (
        state_dict_changed(lambda weights: weights.update({SOME: torch.zeros(24).to_sparse()})),
        "something else than a state dict",
    ),
    "no state dict": (lambda bundle: torch.save([1], bundle.path("torchaudio")), "something else than a state dict"),
    "no torch file": (lambda bundle: bundle.path("torchaudio").write_bytes(b"x" * 100), "torchaudio.pt does not load"),
    "weights that are compressed": (lambda bundle: compress(bundle.path("torchaudio")), "it is compressed"),
    "weights with an array of any size": (
        lambda bundle: bundle.path("torchaudio").write_bytes(AN_ARRAY_OF_ANY_SIZE),
        "it holds something else than a state dict: builtins.bytearray",
    ),
    "a pickle that runs": (
        lambda bundle: torch.save(Hostile(), bundle.path("torchaudio")),
        "torchaudio.pt does not load",
    ),
    "no config": (
        lambda bundle: bundle.path("config").write_text("{}"),
        "model_config.json is unusable: not a wav2vec2_model config",
    ),
    "another config": (reconfigured(encoder_num_heads=2), "does not hold the config that the manifest has"),
    "fewer layers": (reconfigured(encoder_num_layers=1), "gives layers 1, the manifest says 2"),
    "absurdly many layers": (
        reconfigured(encoder_num_layers=2**30),
        "unusable encoder configuration: encoder_num_layers is 1073741824",
    ),
    "more layers than tensors": (
        reconfigured(encoder_num_layers=1000),
        "has fewer tensors than the config has layers",
    ),
    "no graph": (lambda bundle: bundle.path("onnx").write_bytes(b"\xff" * 100), "aves-base-bio.onnx is no ONNX graph"),
    "an empty graph": (lambda bundle: bundle.path("onnx").write_bytes(b""), "aves-base-bio.onnx is refused"),
    "a graph that onnx refuses": (regraphed(lambda model: model.graph.node.pop()), "aves-base-bio.onnx is refused"),
    "a graph that ONNX Runtime refuses": (
        regraphed(use_an_operator_of_another_runtime),
        "aves-base-bio.onnx is refused",
    ),
    "a graph of another source": (
        regraphed(lambda model: set_metadata(model, source_sha256="1" * 64)),
        "onnx says source_sha256 '111",
    ),
    "a graph that says another rate": (
        regraphed(lambda model: set_metadata(model, sample_rate="48000")),
        "onnx says sample_rate '48000', the manifest '16000'",
    ),
    "a graph that says another licence": (
        regraphed(lambda model: set_metadata(model, licence="MIT")),
        "onnx says licence 'MIT', the manifest 'unknown'",
    ),
    "a graph that says to normalise": (
        regraphed(lambda model: set_metadata(model, normalize="true")),
        "onnx says normalize 'true', the manifest 'false'",
    ),
    "a graph that says another precision": (
        regraphed(lambda model: set_metadata(model, precision="mixed")),
        "onnx says precision 'mixed', the manifest 'float32'",
    ),
    "a graph that computes in float64": (
        regraphed(through_float64),
        "aves-base-bio.onnx holds float64, the manifest says precision 'float32'",
    ),
    "a graph of another opset": (
        regraphed(lambda model: setattr(model.opset_import[0], "version", 16)),
        "aves-base-bio.onnx is of opset 16, the manifest says 17",
    ),
    "a graph with a constant in float64": (
        regraphed(beside_float64),
        "aves-base-bio.onnx holds float64, the manifest says precision 'float32'",
    ),
    "a graph of one length": (
        regraphed(lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 16000)),
        "aves-base-bio.onnx takes sizes [16000] alone, the manifest says []",
    ),
    "weights of the graph elsewhere": (regraphed(move_outside), "has weights in ['../secret.bin'], the manifest"),
}


@pytest.mark.parametrize(("damage", "message"), WELL_DAMAGED.values(), ids=WELL_DAMAGED)
def test_damage_is_found_though_the_hashes_are_right(
    damage: Callable[[Bundle], object], message: str, bundle: Bundle
) -> None:
    damage(bundle)
    found = problems(sealed(bundle))
    assert any(message in problem for problem in found), found
    assert all(len(problem) < 1000 and "\n" not in problem for problem in found)


# What only torch and ONNX Runtime could tell of a file that has the hash that the manifest records.
TOLD_BY_LOADING = {
    "a sparse tensor", "no state dict", "no torch file", "a pickle that runs", "weights that are compressed",
    "weights with an array of any size", "a graph that ONNX Runtime refuses"
}  # fmt: skip


@pytest.mark.parametrize("kind", WELL_DAMAGED)
def test_damage_that_a_light_install_does_not_find_is_in_what_it_left_out(
    kind: str, bundle: Bundle, request: pytest.FixtureRequest
) -> None:
    WELL_DAMAGED[kind][0](bundle)
    changed = sealed(bundle)
    request.getfixturevalue("light")
    assert (problems(changed) == []) == (kind in TOLD_BY_LOADING)


def test_what_takes_too_much_to_load_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "of_loading", lambda _: Limits(60, 1 << 20))
    monkeypatch.setattr("aves_artifacts.base.process._idle", [])  # one that is new takes longer than a look at it
    weights, heads, graph = problems(bundle)
    assert weights.startswith("aves-base-bio.torchaudio.pt is refused: it takes more than 0.0 GiB of memory")
    assert heads.startswith("aves-base-bio.heads.safetensors is refused: it takes more than 0.0 GiB of memory")
    assert graph.startswith("aves-base-bio.onnx is refused: it takes more than 0.0 GiB of memory")


# What a process forks from counts as its own memory: it is measured by a small one.
MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="tells a process's memory otherwise, or not at all")
def test_weights_that_unpack_to_gigabytes_take_no_memory(bundle: Bundle) -> None:
    path = bundle.path("torchaudio")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data/999", "w") as stream:
        for _ in range(500):
            stream.write(bytes(1 << 20))
    check = [sys.executable, "-c", "from aves_artifacts.cli import main; main()", "check", sealed(bundle).folder]
    found = subprocess.run([sys.executable, "-c", MEASURE, *check], capture_output=True, text=True, check=True)
    status, kilobytes = map(int, found.stdout.splitlines()[-1].split())
    assert status == 1
    assert "it is compressed" in found.stderr
    assert kilobytes < 300 << 10


Ledger = tuple[LedgerEntry, ...]


def with_some(**entries: Any) -> Callable[[Ledger], Ledger]:
    """A change of the entry for one tensor."""
    return lambda ledger: tuple(dataclasses.replace(e, **entries) if e.target == SOME else e for e in ledger)


def of_some(ledger: Ledger) -> LedgerEntry:
    return next(entry for entry in ledger if entry.target == SOME)


LEDGERS: dict[str, tuple[Callable[[Ledger], Ledger], str]] = {
    "forgets a tensor": (
        lambda ledger: tuple(entry for entry in ledger if entry.target != SOME),
        f"has {SOME}, which the ledger does not account",
    ),
    "drops a tensor": (with_some(action="dropped"), f"has {SOME}, which the ledger does not account"),
    "invents a tensor": (
        lambda ledger: (*ledger, dataclasses.replace(of_some(ledger), target="x")),
        "lacks x, which the ledger accounts for",
    ),
    "maps a tensor twice": (
        lambda ledger: (*ledger, of_some(ledger)),
        "for which the ledger has 2 entries",
    ),
    "maps a tensor to nothing": (
        lambda ledger: (*ledger, dataclasses.replace(of_some(ledger), target=None)),
        "lacks None, which the ledger accounts for",
    ),
    "has another hash": (with_some(sha256="1" * 64), f"has another {SOME} than the source"),
    "has another shape": (with_some(shape=(4, 6)), f"has another {SOME} than the source"),
    "has another dtype": (with_some(dtype="float16"), f"another {SOME} than the source"),
}


@pytest.mark.parametrize(("change", "message"), LEDGERS.values(), ids=LEDGERS)
def test_a_ledger_that_is_not_of_the_weights_is_found(
    change: Callable[[Ledger], Ledger], message: str, bundle: Bundle
) -> None:
    (problem,) = problems(sealed(bundle, ledger=change(bundle.manifest.ledger)))
    assert message in problem


def test_a_manifest_that_says_something_else_of_the_encoder_is_found(bundle: Bundle) -> None:
    found = problems(sealed(bundle, encoder=dataclasses.replace(bundle.manifest.encoder, dimension=25, normalize=True)))
    assert any("gives dimension 24, the manifest says 25" in problem for problem in found)
    assert any("does not give embeddings of 25 numbers" in problem for problem in found)
    assert any("says normalize 'false', the manifest 'true'" in problem for problem in found)


def test_weights_outside_the_graph_that_nobody_records_are_found(verified: Bundle, tmp_path: Path) -> None:
    bundle = copied(verified, tmp_path / "bundle")
    files = {role: record for role, record in bundle.manifest.files.items() if role != "onnx_data"}
    found = problems(sealed(bundle, files=files))
    assert "aves-base-bio.onnx has weights in ['aves-base-bio.onnx.data'], the manifest records []" in found
    assert any(problem.startswith("aves-base-bio.onnx.data is no file of this bundle") for problem in found)
