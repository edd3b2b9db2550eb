"""Cells of smaller graphs: the rule that they are judged by, and who is given which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.runtimes.clients import CLIENTS, GRAPHS, REDUCED
from tests.runtimes.files import make_reduced_files, small_checkpoint
from tests.runtimes.inputs import Answers
from tests.runtimes.reduced import OPTIONS, judged, plain
from tests.runtimes.running import Run
from tests.runtimes.session import arguments, chosen

from aves_convert.graph.options import REDUCED as PRECISIONS

ORIGINAL = np.ones((1, 2, 4), np.float32)
ANSWERS = {name: Answers(ORIGINAL.astype(np.float64), ORIGINAL) for name in ("one", "other")}
SHAPE_OF_NOISE = np.float32([1, -1, 1, -1])


def noisy(level: float) -> Any:
    """The original with noise of -20·log10(level) dB."""
    return ORIGINAL + np.float32(level) * SHAPE_OF_NOISE


YARDSTICK = {"one": noisy(0.01), "other": noisy(0.1)}


def test_what_onnx_runtime_gives_is_good_and_the_same_bits() -> None:
    verdict, why, about = judged("int8", Run(outputs=YARDSTICK), ANSWERS, YARDSTICK)
    assert (verdict, why) == ("good", "")
    assert about["snr"] == pytest.approx(20, abs=0.01)
    assert about["cosine"] == pytest.approx(1 / np.sqrt(1.01), abs=1e-6)
    assert about["behind"] == 0
    assert (about["same"], about["like"]) == (True, None)


def test_other_noise_that_is_as_large_is_good() -> None:
    run = Run(outputs={name: 2 * ORIGINAL - found for name, found in YARDSTICK.items()})
    verdict, _, about = judged("int8", run, ANSWERS, YARDSTICK)
    assert verdict == "good"
    assert not about["same"]
    assert about["like"] == pytest.approx(14, abs=0.5)


def test_more_noise_on_one_input_is_not_good_though_another_input_has_more() -> None:
    run = Run(outputs={"one": noisy(0.0142), "other": noisy(0.1)})
    verdict, why, about = judged("int8", run, ANSWERS, YARDSTICK)
    assert verdict == "inexact"
    assert why == "one: 3.0 dB more noise than in ONNX Runtime, allowed 3.0"
    assert (about["worst"], about["snr"]) == ("one", pytest.approx(20, abs=0.01))
    assert judged("int8", Run(outputs={"one": noisy(0.014), "other": noisy(0.1)}), ANSWERS, YARDSTICK)[0] == "good"


def test_three_roundings_in_the_place_of_one_are_right_where_products_are_in_half_precision() -> None:
    run = Run(outputs={"one": noisy(0.02), "other": noisy(0.2)})  # 6 dB more
    found = {graph: judged(graph, run, ANSWERS, YARDSTICK)[0] for graph in (*OPTIONS, "fixed-float16")}
    inexact = {graph for graph, verdict in found.items() if verdict != "good"}
    assert inexact == {"float16-weights", "int8"}


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (Run(errors={"": "no QuantizeLinear"}), "no QuantizeLinear"),
        (Run(outputs={"one": YARDSTICK["one"]}, errors={"other": "gone"}), "other: gone"),
        (Run(), "it gave nothing"),
        (Run(outputs={"one": ORIGINAL[:, :1]}), "one: gives [1, 1, 4], not [1, 2, 4]"),
        (Run(outputs={"one": ORIGINAL * np.float32("nan")}), "one: gives no numbers"),
        (Run(outputs=YARDSTICK, changing=("other",)), "other: the second run gives something else than the first"),
    ],
)
def test_what_does_not_run_fails(run: Run, told: str) -> None:
    assert judged("int8", run, ANSWERS, YARDSTICK)[:2] == ("fails", told)


@pytest.mark.parametrize("yardstick", [{}, {"one": ORIGINAL[:, :1], "other": noisy(0.1)}])
def test_where_onnx_runtime_itself_failed_nothing_is_called_good(yardstick: dict[str, Any]) -> None:
    verdict, why, _ = judged("int8", Run(outputs=YARDSTICK), ANSWERS, yardstick)
    assert (verdict, why) == ("fails", "one: ONNX Runtime gave nothing to hold it against")


def test_each_smaller_graph_is_given_to_all_but_those_of_the_port_and_tools() -> None:
    without = {client.name for client in CLIENTS.values() if not client.graphs(reduced=True)}
    others = {client.name for client in CLIENTS.values() if client.takes == "port" or client.script == "graph_tool.py"}
    assert without == others | {"OpenVINO, one frame first"}
    assert {client.name for client in chosen(arguments(["--reduced"]))} == set(CLIENTS) - without
    assert all({plain(graph) for graph in graphs} <= set(OPTIONS) for graphs in REDUCED.values())
    assert not {graph for graphs in GRAPHS.values() for graph in graphs} & {g for gs in REDUCED.values() for g in gs}


def test_the_files_are_what_they_are_called(tmp_path: Path) -> None:
    made = make_reduced_files(small_checkpoint(tmp_path), tmp_path, [(1, 400)])
    types = {graph: {node.op_type for node in onnx.load(made.model(graph)).graph.node} for graph in OPTIONS}
    assert "MatMulInteger" in types["int8"]
    assert "MatMulInteger" not in types["float16"] | types["float16-weights"]
    assert {option.precision for option in OPTIONS.values()} == {"float32", *PRECISIONS}
    for graph in REDUCED["fixed"]:
        assert [path.name for path in made.model(graph).iterdir()] == ["1x400.onnx"]
