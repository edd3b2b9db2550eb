"""The benchmark runs from end to end on a tiny model, and its arithmetic is right."""

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.bench import Bench
from benchmarks.flops import forward_flops
from benchmarks.machine import Floors
from benchmarks.measures import reduced
from benchmarks.measures.inference import Case, export_rows, memory_rows
from benchmarks.peers.judging_process import judge, save_reference
from benchmarks.processes import run, take_turns
from benchmarks.report.page import machines
from benchmarks.report.reduced import reduced_table
from benchmarks.report.results import Curve, Measured, Part, Reduced, Row, Session, merge, read
from tests.support.tiny_encoders import tiny
from torch.utils.flop_counter import FlopCounterMode

from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import to_torchaudio

ROOT = Path(__file__).parents[2]


@pytest.mark.scheduled
@pytest.mark.skipif(sys.platform != "linux", reason="it reads the machine from /proc")
def test_quick(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "results.json").read_text())["parts"]
    for name, part in parts.items():
        assert part["rows"] or part["curves"], name
        assert all(value > 0 for row in part["rows"] for value in row["ours"])
    assert {each["encoder"] for each in parts["exports"]["measured"]} == {"graph", "fused", "torchscript"}
    assert all(len(each["seconds"]) == 2 for each in parts["exports"]["measured"])  # of two processes
    assert {each["encoder"] for each in parts["frameworks"]["measured"]} > {"torchaudio", "fairseq", "hugging-face"}
    reduced = {each["encoder"]: each for each in parts["reduced"]["reduced"]}
    assert set(reduced) > {"graph", "float16-weights", "int8", "int8-searched", "onnxruntime-rows", "torch-dynamic"}
    assert {name: each["problem"] for name, each in reduced.items() if each["problem"]} == {}
    assert reduced["int8"]["size"] < reduced["graph"]["size"]
    assert reduced["int8"]["snr"]["signals"] < reduced["float16-weights"]["snr"]["signals"]
    assert "our graph" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "results.svg").stat().st_size > 10_000


def test_a_childs_peak_memory_is_its_own() -> None:
    """Asked of a small process: one as large as this test's would be found in every child."""
    program = (
        "import sys; from benchmarks.processes import run; "
        "print(*(run([sys.executable, '-c', of]).peak_mib for of in ('pass', 'b\"x\" * (1 << 28)')))"
    )
    small, large = map(float, run([sys.executable, "-c", program]).output.split())
    assert small < 50
    assert 250 < large - small < 260


def test_the_runner_stays_small() -> None:
    names = "[name for name in ('numpy', 'torch', 'rich') if name in sys.modules]"
    program = f"import sys, benchmarks.__main__; print({names})"
    assert run([sys.executable, "-c", program]).output.strip() == "[]"


def test_what_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)status 3:.*why"):
        run([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])


def test_turns_are_taken_forwards_then_backwards(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    commands = {name: [sys.executable, "-c", program, log, name] for name in "abc"}
    runs = take_turns(commands, 2, warm_up=False)
    assert log.read_text() == "abccba"
    assert [len(each) for each in runs.values()] == [2, 2, 2]


@pytest.mark.parametrize(("allowed", "met"), [(0.49, False), (0.51, True), (None, None)])
def test_a_ratio_is_the_median_of_the_rounds(allowed: float | None, met: bool | None) -> None:
    row = Row("x", "peer", "s", [1.0, 4.0, 9.0], [2.0, 8.0, 20.0], allowed)
    assert (row.ratio, row.met) == (0.5, met)


def test_a_promise_has_to_hold_for_the_ratio_of_medians_too() -> None:
    row = Row("x", "peer", "s", [1.0, 4.0, 5.0], [2.0, 1.0, 6.0], 1.0)
    assert (row.ratio, row.ratio_of_medians, row.met) == (5 / 6, 2.0, False)


@pytest.mark.parametrize(("allowed", "met"), [(2.9, False), (3.1, True)])
def test_without_a_peer_the_limit_is_ours(allowed: float, met: bool) -> None:
    row = Row("x", "", "s", [3.0, 1.0, 4.0], allowed=allowed)
    assert (row.ratio, row.met) == (None, met)


def test_results_of_parts_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    old, new = (Session({"cpu": "x"}, Part(rows=[Row("x", "", "s", [value])])) for value in (1.0, 2.0))
    merge(path, "one", old)
    merge(path, "two", old)
    assert merge(path, "one", new) == {"one": new, "two": old}
    assert read(path) == {"one": new, "two": old}


def test_every_machine_is_named_with_what_was_measured_on_it() -> None:
    floors = {"read_cold": 1.0, "read_warm": 2.0, "write": 3.0, "gflops": {"1": 4.0}}
    about = {"cores": 2, "memory_gib": 8.0, "system": "Linux", "python": "3.11", "versions": {}, "load": [0.0, 1.0]}
    found = {
        name: Session({**about, "floors": floors, "cpu": cpu}, Part()) for name, cpu in zip("abc", "xyx", strict=True)
    }
    first, second = machines(found)
    assert first.startswith("x; 2 cores")
    assert re.findall(r"\b([abc]): disk", first) == ["a", "c"]
    assert second.startswith("y; 2 cores")
    assert re.findall(r"\b([abc]): disk", second) == ["b"]


def test_without_its_peer_nothing_is_judged() -> None:
    assert Row("x", "peer", "s", [3.0], allowed=0.4).met is None


def smaller(name: str, size: int, away: float, seconds: list[float], snr: float = 60.0) -> Reduced:
    return Reduced(name, size, {"signals": snr}, {"signals": away}, {"1 s, 1 thread": seconds})


def test_what_is_promised_of_smaller_graphs_is_size_cost_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time in eight bits only where a processor has instructions for it."""
    found = [
        smaller("graph", 400_000_000, 1e-12, [1.0, 2.0]),
        smaller("float16-weights", 200_000_000, 1e-7, [1.0, 2.0], snr=49.0),
        smaller("int8-searched", 150_000_000, 0.002, [0.8, 1.6]),
        smaller("int8-searched-half", 170_000_000, 0.0009, [0.7, 1.4]),
    ]
    for has, met in ((True, False), (False, None)):
        monkeypatch.setattr(reduced, "multiplies_int8", lambda has=has: has)
        rows = [row.met for row in reduced.promises(found)]
        assert rows == [False, False, True, True, False, met, False, True, True if has else None]


def test_smaller_graphs_stand_in_a_table_with_every_run_and_the_reasons_of_those_that_are_not_there() -> None:
    first = [smaller("graph", 400_000_000, 1e-12, [1.0]), smaller("int8", 100_000_000, 0.00123, [0.5], snr=28.26)]
    second = [replace(each, seconds={"1 s, 1 thread": [time]}) for each, time in zip(first, (2.0, 1.2), strict=True)]
    table = reduced_table([[*first, Reduced("optimum-int8", problem="no | such")], second])
    headings = "|  | MB | worst clip, dB, signals | worst frame's cosine, signals | time, 1 s, 1 thread |"
    assert table.splitlines()[0] == headings
    assert table.splitlines()[3] == "| ours, int8 | 100 | 28.3 | 0.99877 | 0.50 / 0.60 |"
    assert table.splitlines()[4] == "| optimum's avx512_vnni, dynamic | none: no \\| such |  |  |  |"


def test_what_is_no_graph_costs_is_measured_against_torchaudio(tiny_checkpoint: Path, tmp_path: Path) -> None:
    reference = tmp_path / "reference.npz"
    save_reference("torchaudio", tiny_checkpoint, [], reference)
    same, reduced_ones = (judge(name, tiny_checkpoint, reference) for name in ("torchaudio", "torch-dynamic"))
    assert same == {"snr": {"signals": math.inf}, "away": {"signals": 0.0}}
    assert 10 < reduced_ones["snr"]["signals"] < 60
    assert 1e-6 < reduced_ones["away"]["signals"] < 0.1


def test_a_peer_that_cannot_be_made_is_told_with_its_reason(tmp_path: Path) -> None:
    def broken() -> reduced.Candidate:
        run([sys.executable, "-c", "raise SystemExit('no such operator')"])
        raise AssertionError

    assert reduced._judged("optimum-int8", broken, tmp_path).found == Reduced(
        "optimum-int8", problem="no such operator"
    )


@pytest.mark.parametrize(
    ("power", "law"),
    [
        (0, r"constant: [45]\.?\d*, n clips, all within [2-7]%; .*"),
        (1, r"linear: \S+ \+ [12]\.?\d* n, n clips, all within [2-7]%; .*"),
        (2, r"quadratic: \S+ [+-] \S+ n \+ [12]\.?\d* n², n clips, all within [2-7]%; .*"),
        (4, r"none, but nearest quadratic: .*"),
    ],
)
def test_growth_names_the_law_that_noisy_points_follow(power: int, law: str) -> None:
    sizes, noise = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0], [1.03, 0.97, 1.05, 0.96, 1.02, 0.98]
    curve = Curve("x", "y", "clips", "s", sizes, [(3 + 2 * n**power) * e for n, e in zip(sizes, noise, strict=True)])
    assert re.fullmatch(law, curve.growth()), curve.growth()


def test_a_law_needs_more_points_than_terms() -> None:
    curve = Curve("x", "y", "clips", "s", [1.0, 2.0, 3.0], [1.0, 4.0, 9.0])
    assert curve.growth().startswith("none, but nearest linear: ")


def test_each_graph_is_held_against_the_peer_that_it_does_worst_against(tmp_path: Path) -> None:
    """And the smallest peer's memory counts."""
    seconds = {"graph": [1.0, 2, 3], "fused": [3.0, 2, 1], "torchscript": [1, 2, 0.3], "dynamo": [0.8, 1.6, 2.4]}
    peaks = {"graph": 40.0, "fused": 30.0, "torchscript": 60.0, "dynamo": 80.0}
    found = {name: Measured("x", name, seconds[name], peaks[name], error_ratio=1.0) for name in seconds}
    config = tmp_path / "bundle" / "base.torchaudio.model_config.json"
    config.parent.mkdir()
    config.write_text(tiny("base").to_json())
    bench = Bench(tmp_path / "x.pt", tmp_path, Floors(1, 1, 1, {1: 1.0, 2: 1.0}), quick=False)
    bench.__dict__["bundle"] = config.parent
    case, others = Case(120, 2), ("torchscript", "dynamo")
    both = [*export_rows(bench, case, found, others), *memory_rows(case, found, others, "peak memory")]
    rows = {row.what: row for row in both}
    graph, fused = rows["our graph: 120 s, 2 threads"], rows["our graph, fused attention: 120 s, 2 threads"]
    assert (graph.peer, graph.ratio, graph.met) == ("torch.onnx.export", 1, False)
    assert (fused.peer, fused.ratio, fused.met) == ("torch.onnx.export", 3, False)
    memory = rows["our graph, fused attention: 120 s, 2 threads, peak memory"]
    assert (memory.peer, memory.ratio, memory.met) == ("torch.onnx.export", 0.5, True)


@pytest.mark.slow
def test_flops_are_those_that_torch_counts(tiny_checkpoint: Path) -> None:
    converted = to_torchaudio(read_checkpoint(tiny_checkpoint))
    config, model = converted.config, load_model(converted.config, converted.state_dict)
    torch.nn.utils.parametrize.remove_parametrizations(model.encoder.transformer.pos_conv_embed.conv, "weight")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 16_000))
    assert forward_flops(json.loads(config.to_json()), 16_000) == counter.get_total_flops()
