"""What files say of themselves and is not so: users would believe it, whatever the numbers are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from safetensors import safe_open
from safetensors.numpy import save_file
from tests.support.bundles import sealed

from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.manifest import Manifest
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_verify.loading.against_original import copy_problems
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import Subject, of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow

# Of a file without a manifest beside it.
NAMED = "onnx: what the file says of configuration, licence was not compared with anything"
CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "odd_frames"))


@pytest.fixture
def made(tiny_checkpoint: Path, tiny_bundle: Bundle) -> tuple[Path, Bundle]:
    """A checkpoint and its bundle, with every layer as an output."""
    return tiny_checkpoint, tiny_bundle


def verified(made: tuple[Path, Bundle], *, onnx_file: Path | None = None, config: Path | None = None) -> ConfigReport:
    checkpoint, bundle = made
    subject = Subject(
        "x",
        "file",
        checkpoint,
        bundle.path("torchaudio"),
        config or bundle.path("config"),
        onnx_file or bundle.path("onnx"),
    )
    return verify_subject(subject, Plan(CLIPS))


def changed(made: tuple[Path, Bundle], path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(made[1].path("onnx"))
    change(model)
    onnx.save(model, path)
    return path


def test_what_is_so_is_no_problem(made: tuple[Path, Bundle]) -> None:
    report = verified(made)
    assert report.passed
    assert (report.problems, report.notes) == ((), (NAMED,))
    bundle = verify_subject(of_bundle(made[1].folder, made[0]), Plan(CLIPS))
    assert bundle.passed
    assert (bundle.problems, bundle.notes) == ((), ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("normalize", "true"),
        ("sample_rate", "44100"),
        ("hop", "160"),
        ("receptive_field", "401"),
        ("dimension", "768"),
        ("source_sha256", "0" * 64),
    ],
)
def test_metadata_that_is_not_so(made: tuple[Path, Bundle], tmp_path: Path, name: str, value: str) -> None:
    def change(model: onnx.ModelProto) -> None:
        (entry,) = (entry for entry in model.metadata_props if entry.key == name)
        entry.value = value

    report = verified(made, onnx_file=changed(made, tmp_path / "x.onnx", change))
    (problem,) = report.problems
    assert not report.passed
    assert f"x.onnx says {name} '{value}', the original '" in problem


def test_a_graph_that_says_nothing_of_itself_passes(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    path = changed(made, tmp_path / "x.onnx", lambda model: model.ClearField("metadata_props"))
    assert verified(made, onnx_file=path).passed


@pytest.mark.parametrize(("name", "value"), [("encoder_layer_drop", 0.5), ("encoder_dropout", 0.0)])
def test_a_config_with_another_dropout(made: tuple[Path, Bundle], tmp_path: Path, name: str, value: float) -> None:
    entries = json.loads(made[1].path("config").read_text())
    expected = entries[name]
    (tmp_path / "x.json").write_text(json.dumps({**entries, name: value}))
    (problem,) = verified(made, config=tmp_path / "x.json").problems
    assert problem == f"torchaudio: the config says {name} {value}, the original {expected}"


def second_output(model: onnx.ModelProto, name: str, factor: float) -> None:
    """The first output becomes ``features``; ``name`` is ``factor`` times that."""
    for node in model.graph.node:
        node.output[:] = ["features" if given == "embeddings" else given for given in node.output]
    model.graph.output[0].name = "features"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(factor), "factor"))
    model.graph.node.append(helper.make_node("Mul", ["features", "factor"], [name]))
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[-1].name = name


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (2.0, False)])
def test_a_second_output_called_embeddings_is_compared(
    made: tuple[Path, Bundle], tmp_path: Path, factor: float, passed: bool
) -> None:
    path = changed(made, tmp_path / "x.onnx", lambda model: second_output(model, "embeddings", factor))
    report = verified(made, onnx_file=path)
    assert report.passed == passed
    assert {c.layer for c in report.comparisons} == {"final", "embeddings", "layer.0", "layer.1"}
    assert {c.layer for c in report.comparisons if c.status == "fail"} == (set() if passed else {"embeddings"})


def test_an_output_of_a_name_that_nobody_knows_is_told(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    path = changed(made, tmp_path / "x.onnx", lambda model: second_output(model, "pooled", 2.0))
    assert verified(made, onnx_file=path).notes == (
        "onnx: the output 'pooled' was not compared: nothing of the original has this name",
        NAMED,
    )


def test_layers_that_nobody_asked_for_are_compared_on_one_clip(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    def exchange(model: onnx.ModelProto) -> None:
        names = {"layer.0": "layer.1", "layer.1": "layer.0"}
        for node in model.graph.node:
            node.output[:] = [names.get(given, given) for given in node.output]
            node.input[:] = [names.get(given, given) for given in node.input]

    report = verified(made, onnx_file=changed(made, tmp_path / "x.onnx", exchange))
    assert {(c.backend, c.layer) for c in report.comparisons if c.status == "fail"} == {
        ("onnx", "layer.0"),
        ("onnx", "layer.1"),
    }


@pytest.mark.parametrize("key", ["configuration", "licence"])
def test_a_graph_of_which_the_manifest_says_something_else(key: str, made: tuple[Path, Bundle], tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        (entry,) = (entry for entry in model.metadata_props if entry.key == key)
        entry.value = "another"

    path, manifest = changed(made, tmp_path / "x.onnx", change), made[1].manifest
    right = manifest.name if key == "configuration" else manifest.licence or "unknown"
    for given, told in ((manifest, [f"onnx: {path} says {key} 'another', the manifest '{right}'"]), (None, [])):
        subject = Subject("x", "file", made[0], None, None, path, manifest=given)
        assert list(verify_subject(subject, Plan(CLIPS, ("fairseq", "onnx"))).problems) == told


def test_metadata_that_says_two_things(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    """Some readers take the first, others the last."""

    def change(model: onnx.ModelProto) -> None:
        model.metadata_props.insert(0, onnx.StringStringEntryProto(key="normalize", value="true"))
        model.metadata_props.add(key="hop", value="320")  # what it says already

    path = changed(made, tmp_path / "x.onnx", change)
    (problem,) = verified(made, onnx_file=path).problems
    assert problem == f"onnx: {path} says several things of 'normalize': 'true', 'false'"


def test_metadata_that_nobody_knows_is_told(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.metadata_props.add(key="sampling_rate", value="44100")

    path = changed(made, tmp_path / "x.onnx", change)
    (note,) = verified(made, onnx_file=path).notes
    assert note == "onnx: what the file says of configuration, licence, sampling_rate was not compared with anything"


MANIFEST: dict[str, tuple[Callable[[Manifest], Manifest], str]] = {
    "another sample rate": (
        lambda m: replace(m, encoder=replace(m.encoder, sample_rate=44100)),
        "manifest: it says sample_rate 44100, the original 16000",
    ),
    "another hop": (
        lambda m: replace(m, encoder=replace(m.encoder, hop=160)),
        "manifest: it says hop 160, the original 320",
    ),
    "more layers": (
        lambda m: replace(m, encoder=replace(m.encoder, layers=12)),
        "manifest: it says layers 12, the original 2",
    ),
    "another layer drop": (
        lambda m: replace(m, config=replace(m.config, encoder_layer_drop=0.5)),
        "manifest: it says encoder_layer_drop 0.5, the original {}",
    ),
}


@pytest.mark.parametrize("name", MANIFEST)
def test_a_manifest_that_says_something_else(name: str, bundle: Bundle, tiny_checkpoint: Path) -> None:
    change, told = MANIFEST[name]
    right = bundle.manifest.config.encoder_layer_drop
    (bundle.folder / "manifest.json").write_text(change(bundle.manifest).to_json())
    report = verify_subject(of_bundle(bundle.folder, tiny_checkpoint), Plan(CLIPS))
    assert list(report.problems) == [told.format(right)]


def test_a_safetensors_copy_of_other_weights(bundle: Bundle, tiny_checkpoint: Path) -> None:
    path, name = bundle.path("safetensors"), "encoder.transformer.layers.0.attention.k_proj.bias"
    with safe_open(path, "numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    tensors[name] = tensors[name] + np.float32(1e-3)
    write_safetensors(tensors, path)
    sealed(bundle)
    report = verify_subject(of_bundle(bundle.folder, tiny_checkpoint), Plan(CLIPS))
    assert list(report.problems) == [f"safetensors: {path} has another {name} than the original"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("a"), ["lacks a"]),
        (lambda t: t.update(c=t["a"]), ["has c, which the original has not"]),
        (lambda t: t.update(a=t["a"].astype(np.float16)), ["has another a than the original"]),
        (lambda t: t.update(a=-t["a"]), ["has another a than the original"]),  # of 0 too
        (lambda t: t.update({f"x{i}": t["a"] for i in range(8)}), ["has 3 more problems of this kind"]),
    ],
)
def test_every_bit_of_a_copy_is_compared(
    change: Callable[[dict[str, np.ndarray]], object], told: list[str], tmp_path: Path
) -> None:
    weights = {"a": np.array([0, 1], np.float32), "b": np.ones((2, 3), np.float32)}
    tensors = dict(weights)
    change(tensors)
    save_file(tensors, tmp_path / "x.safetensors")
    found = list(copy_problems(tmp_path / "x.safetensors", weights))
    assert found[-1:] == [f"safetensors: {tmp_path / 'x.safetensors'} {told[-1]}"]
    assert len(found) == (6 if "more" in told[-1] else 1)
    save_file(weights, tmp_path / "x.safetensors")
    assert list(copy_problems(tmp_path / "x.safetensors", weights)) == []
    (tmp_path / "x.safetensors").write_bytes(b"none")
    (problem,) = copy_problems(tmp_path / "x.safetensors", weights)
    assert "does not load" in problem
