"""What files say of themselves and is not so: users would believe it, whatever the numbers are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from aves_artifacts.bundle.bundle import Bundle
from aves_convert.sounds.signals import reference_signals
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow

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
    assert (report.problems, report.notes) == ((), ())


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


def test_a_graph_that_the_manifest_calls_something_else(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        (entry,) = (entry for entry in model.metadata_props if entry.key == "configuration")
        entry.value = "another"

    path = changed(made, tmp_path / "x.onnx", change)
    for name, told in (("mine", 1), (None, 0)):
        subject = Subject("x", "file", made[0], None, None, path, manifest_name=name)
        problems = verify_subject(subject, Plan(CLIPS, ("fairseq", "onnx"))).problems
        assert len(problems) == told
        assert all("says configuration 'another', the manifest 'mine'" in problem for problem in problems)
