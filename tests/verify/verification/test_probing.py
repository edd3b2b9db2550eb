"""Graphs that are right on everything that is always the same, and wrong elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from aves_artifacts.bundle.bundle import Bundle
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.signals import reference_signals
from aves_verify.cli import main
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "shortest"))
Node = onnx.NodeProto


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    folder = tmp_path_factory.mktemp("made")
    write_stand_in("bio", folder / "x.pt", geometry="tiny")
    return folder / "x.pt", make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x"), OnnxOptions())


def verified(made: tuple[Path, Bundle], graph: Path, seed: int) -> ConfigReport:
    return verify_subject(Subject("x", "file", made[0], None, None, graph), Plan(CLIPS, ("fairseq", "onnx"), seed=seed))


def wrong_where(made: tuple[Path, Bundle], path: Path, *nodes: Node, **constants: object) -> Path:
    """Our graph, its embeddings times 1.5 where ``nodes``, which read the waveform, give ``condition``."""
    model = onnx.load(made[1].path("onnx"))
    for node in model.graph.node:
        node.output[:] = ["right" if name == "embeddings" else name for name in node.output]
    values = {**constants, "worse": np.float32(1.5), "same": np.float32(1)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in values.items())
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    model.graph.node.append(helper.make_node("Where", ["condition", "worse", "same"], ["factor"]))
    model.graph.node.append(helper.make_node("Mul", ["right", "factor"], ["embeddings"]))
    onnx.save(model, path)
    return path


def greater(value: str, limit: str) -> Node:
    return helper.make_node("Greater", [value, limit], ["condition"])


def shape_over(axis: int, limit: int) -> tuple[tuple[Node, ...], dict[str, object]]:
    nodes = (
        helper.make_node("Shape", ["waveform"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "axis"], ["size"], axis=0),
        greater("size", "limit"),
    )
    return nodes, {"axis": np.int64(axis), "limit": np.int64(limit)}


def reduced_over(operator: str, limit: float, *, below: bool = False) -> tuple[tuple[Node, ...], dict[str, object]]:
    over = helper.make_node(operator, ["waveform"], ["value"], keepdims=0)
    compared = greater("limit", "value") if below else greater("value", "limit")
    return (over, compared), {"limit": np.float32(limit)}


WRONG: dict[str, Callable[[], tuple[tuple[Node, ...], dict[str, object]]]] = {
    "batches over three": lambda: shape_over(0, 3),
    "more than 1,024 frames": lambda: shape_over(1, 1024 * 320 + 400),
    "an offset over 0.3": lambda: reduced_over("ReduceMean", 0.3),
    "an offset under -0.3": lambda: reduced_over("ReduceMean", -0.3, below=True),
    "samples over 20": lambda: reduced_over("ReduceMax", 20.0),
    "sounds that are quieter than 1e-4 and not silent": lambda: (
        (
            helper.make_node("ReduceL2", ["waveform"], ["value"], keepdims=0),
            helper.make_node("Greater", ["limit", "value"], ["quiet"]),
            helper.make_node("Greater", ["value", "nothing"], ["audible"]),
            helper.make_node("And", ["quiet", "audible"], ["condition"]),
        ),
        {"limit": np.float32(2e-2), "nothing": np.float32(0)},
    ),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("where", WRONG)
def test_it_fails(where: str, seed: int, made: tuple[Path, Bundle], tmp_path: Path) -> None:
    nodes, constants = WRONG[where]()
    report = verified(made, wrong_where(made, tmp_path / "x.onnx", *nodes, **constants), seed)
    assert not report.passed
    assert all(c.clip.startswith("probe: ") for c in report.comparisons if c.status == "fail")


@pytest.mark.parametrize("seed", range(3))
def test_a_good_graph_passes_whatever_is_drawn(seed: int, made: tuple[Path, Bundle]) -> None:
    report = verified(made, made[1].path("onnx"), seed)
    assert report.passed, [c.reason for c in report.comparisons]
    assert report.ran is not None
    assert report.ran.seed == seed
    assert report.ran.frames[1] > 1024
    assert report.ran.batch[1] >= 4


def test_a_graph_that_gives_something_else_the_second_time_fails(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    model = onnx.load(made[1].path("onnx"))
    for node in model.graph.node:
        node.output[:] = ["right" if name == "embeddings" else name for name in node.output]
    model.graph.node.append(helper.make_node("RandomUniformLike", ["right"], ["noise"], high=1e-6, low=-1e-6, seed=7.0))
    model.graph.node.append(helper.make_node("Add", ["right", "noise"], ["embeddings"]))
    onnx.save(model, tmp_path / "x.onnx")
    report = verified(made, tmp_path / "x.onnx", 0)
    failed = [c for c in report.comparisons if c.status == "fail"]
    assert {c.clip for c in failed} >= {"shortest, run again", "probe: some frames, run again"}
    told = ("the first run of a shape differs from its second", "a second run gives something else")
    assert all(c.reason.startswith(told) for c in failed)


def test_a_graph_that_is_right_at_one_optimisation_level_alone_fails(made: tuple[Path, Bundle], tmp_path: Path) -> None:
    """Dropout in training mode, which the runtime removes at its default level and computes at none."""
    model = onnx.load(made[1].path("onnx"))
    for node in model.graph.node:
        node.output[:] = ["right" if name == "embeddings" else name for name in node.output]
    values = {"rate": np.float32(0.5), "training": np.asarray(True), "ones": np.float32(1)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in values.items())
    model.graph.node.append(helper.make_node("Dropout", ["right", "rate", "training"], ["dropped"], seed=3))
    model.graph.node.append(helper.make_node("Identity", ["dropped"], ["embeddings"]))
    onnx.save(model, tmp_path / "x.onnx")
    assert not verified(made, tmp_path / "x.onnx", 0).passed


def test_the_seed_is_told_and_taken(made: tuple[Path, Bundle]) -> None:
    arguments = ["--fairseq", str(made[0]), "--onnx", str(made[1].path("onnx")), "--backends", "fairseq,onnx"]
    result = CliRunner().invoke(main, [*arguments, "--seed", "123"])
    assert result.exit_code == 0
    assert "drawn again by the seed 123" in " ".join(result.output.split())
