"""What changed between two reports."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from tests.support import hand_made, reported_corpus

from aves_verify.cli import main
from aves_verify.report.json_report import to_json

KINDS = {"chirp": "pass", "noise": "drift", "hum": "fail"}
Edit = Callable[[Any], None]


@pytest.fixture(scope="module")
def report() -> Any:
    return json.loads(to_json(hand_made.report(hand_made.config("core"), hand_made.config("bio", KINDS))))


def diff(folder: Path, before: Any, after: Any, *options: str) -> Result:
    paths = [folder / "a.json", folder / "b.json"]
    for path, content in zip(paths, (before, after), strict=True):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return CliRunner().invoke(main, ["diff", *map(str, paths), *options])


def changes(folder: Path, before: Any, edit: Edit, *options: str) -> tuple[int, list[dict[str, Any]]]:
    after = copy.deepcopy(before)
    edit(after)
    result = diff(folder, before, after, "--json", *options)
    document = json.loads(result.output)
    assert document["worse"] == (result.exit_code == 1)
    return result.exit_code, document["changes"]


def bio(report: Any, index: int) -> Any:
    """A comparison of the second configuration: three of torchaudio, then chirp, noise and hum of onnx."""
    return report["configs"][1]["comparisons"][index]


def test_a_report_is_as_itself(report: Any, tmp_path: Path) -> None:
    result = diff(tmp_path, report, report)
    assert result.exit_code == 0
    assert result.output == "no change\n"


def set_to(index: int, **values: Any) -> Edit:
    return lambda report: bio(report, index).update(values)


@pytest.mark.parametrize(
    ("edit", "code", "expected"),
    [
        (set_to(3, status="fail"), 1, ("status", "bio, onnx, chirp, final", "pass", "fail", True)),
        (set_to(4, status="fail"), 1, ("status", "bio, onnx, noise, final", "near-zero drift", "fail", True)),
        (
            set_to(3, status="near-zero drift"),
            0,
            ("status", "bio, onnx, chirp, final", "pass", "near-zero drift", False),
        ),
        (set_to(5, status="pass"), 0, ("status", "bio, onnx, hum, final", "fail", "pass", False)),
        (lambda r: r["configs"][1]["comparisons"].pop(3), 1, ("gone", "bio, onnx, chirp, final", "pass", "-", True)),
        (lambda r: r["configs"][1]["comparisons"].pop(5), 0, ("gone", "bio, onnx, hum, final", "fail", "-", False)),
        (lambda r: r["configs"].pop(0), 1, ("gone", "core", "passed", "-", True)),
        (lambda r: r["configs"].pop(1), 0, ("gone", "bio", "failed", "-", False)),
        (set_to(3, clip="new"), 1, ("new", "bio, onnx, new, final", "-", "pass", False)),
        (lambda r: r["environment"].update(torch="3.0"), 0, ("environment", "torch", "2.15.0", "3.0", False)),
        (lambda r: r["environment"].pop("torch"), 0, ("environment", "torch", "2.15.0", "-", False)),
        (lambda r: r["environment"].update(fairseq="1"), 0, ("environment", "fairseq", "not installed", "1", False)),
        (
            lambda r: r["configs"][0]["sha256"].update(onnx="3" * 64),
            0,
            ("file", "core, onnx", "2" * 64, "3" * 64, False),
        ),
        (
            lambda r: r["configs"][0].update(passed=False, problems=["a.wav: empty"]),
            1,
            ("status", "core", "passed", "failed: a.wav: empty", True),
        ),
        (set_to(3, max_abs=None), 0, ("magnitude", "bio, onnx, chirp, final, max_abs", "…", "-", False)),
    ],
)
def test_what_changed_is_told(report: Any, tmp_path: Path, edit: Edit, code: int, expected: tuple[Any, ...]) -> None:
    found_code, found = changes(tmp_path, report, edit)
    rows = [(c["kind"], c["where"], c["before"] if expected[2] != "…" else "…", c["after"], c["worse"]) for c in found]
    assert found_code == code
    assert expected in rows


def test_a_tolerance_that_changed_is_told(report: Any, tmp_path: Path) -> None:
    _, found = changes(tmp_path, report, lambda r: r["tolerance"]["by_backend"]["onnx"].update(atol=1.0))
    assert [(c["kind"], c["where"]) for c in found] == [("tolerance", "onnx")]
    assert '"atol": 1.0' in found[0]["after"]


@pytest.mark.parametrize(
    ("times", "factor", "told"),
    [
        (1.9, "2", False),
        (2.1, "2", True),
        (1 / 2.1, "2", True),
        (0.0, "2", True),
        (9.0, "10", False),
        (1.1, "1", True),
    ],
)
@pytest.mark.parametrize("name", ["max_abs", "error_ratio"])
def test_sizes_count_beyond_a_factor(
    report: Any, tmp_path: Path, name: str, times: float | int, factor: str, told: bool
) -> None:
    edit = set_to(3, **{name: bio(report, 3)[name] * times if isinstance(times, float) else times})
    code, found = changes(tmp_path, report, edit, "--factor", factor)
    assert code == 0
    assert [c["where"] for c in found] == ([f"bio, onnx, chirp, final, {name}"] if told else [])


def test_zero_stays_zero(report: Any, tmp_path: Path) -> None:
    zero = copy.deepcopy(report)
    bio(zero, 3)["max_abs"] = 0
    assert diff(tmp_path, zero, zero).output == "no change\n"


def test_what_got_worse_stands_first_in_the_table(report: Any, tmp_path: Path) -> None:
    after = copy.deepcopy(report)
    after["environment"]["torch"] = "3.0"
    bio(after, 3)["status"] = "fail"
    bio(after, 3)["clip"] = bio(report, 3)["clip"]
    result = diff(tmp_path, report, after)
    assert result.exit_code == 1
    assert result.output.index("bio, onnx, chirp, final") < result.output.index("torch")
    assert result.output.splitlines()[-1] == "WORSE: 1 of 2 changes; what passed fails or is gone"


def test_names_from_outside_are_shown_as_they_are(tmp_path: Path) -> None:
    before = json.loads(to_json(hand_made.report(hand_made.config(kinds={"[bold]\x1b[31m": "pass"}))))
    after = copy.deepcopy(before)
    after["configs"][0]["comparisons"].pop()
    output = diff(tmp_path, before, after).output
    assert r"[bold]\x1b[31m" in output
    assert "\x1b" not in output


LIMIT = {"atol": 0, "rtol": 0, "error_ratio": 0, "own_error": 0}
EMPTY = {
    "schema": 1,
    "passed": True,
    "environment": {},
    "tolerance": {**LIMIT, "by_backend": {}},
    "configs": [],
    "seconds": {"total": 1},
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "the whole document: [] is not of type 'object'"),
        ("{}", "is a required property"),
        (json.dumps({**EMPTY, "schema": 2}), "schema: 1 was expected"),
        (json.dumps({**EMPTY, "environment": 3}), "environment: 3 is not of type 'object'"),
        (json.dumps({**EMPTY, "configs": [{}]}), "configs.0: 'name' is a required property"),
    ],
)
def test_what_is_no_report_is_refused(report: Any, tmp_path: Path, content: str, message: str) -> None:
    for before, after, name in ((content, report, "a.json"), (report, content, "b.json")):
        result = diff(tmp_path, before, after)
        assert result.exit_code == 2
        assert name in result.output
        assert message in " ".join(result.output.split())


def test_files_that_cannot_be_read_are_told(report: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(report))
    for other in (tmp_path, tmp_path / "none.json"):
        result = CliRunner().invoke(main, ["diff", str(tmp_path / "a.json"), str(other)])
        assert result.exit_code == 2
        assert "cannot be read" in result.output


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.slow
@given(data=st.data())
def test_no_damage_to_a_report_gives_a_traceback(
    report: Any, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = copy.deepcopy(report)
    node, path = damaged, []
    while isinstance(node, dict | list) and node and (not path or data.draw(st.booleans())):
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else list(range(len(node)))))
        path.append((node, key))
        node = node[key]
    parent, key = path[-1]
    parent[key] = data.draw(JSON)
    result = diff(tmp_path_factory.mktemp("d"), report, damaged)
    assert result.exit_code in (0, 1, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_of_two_configurations_of_one_name_each_is_compared(report: Any, tmp_path: Path) -> None:
    before = copy.deepcopy(report)
    before["configs"][1]["name"] = "core"
    code, found = changes(tmp_path, before, lambda after: after["configs"][0]["comparisons"][0].update(status="fail"))
    assert code == 1
    assert [(change["kind"], change["where"].split(", ")[0]) for change in found] == [("status", "core")]
    code, found = changes(tmp_path, before, lambda after: after["configs"][1]["comparisons"][0].update(status="fail"))
    assert code == 1
    assert found[0]["where"].startswith("core (2), ")


@pytest.fixture(scope="module")
def of_corpus() -> Any:
    return json.loads(to_json(hand_made.report(reported_corpus.corpus_config())))


def test_a_window_that_one_report_alone_lists_is_no_loss(of_corpus: Any, tmp_path: Path) -> None:
    def another_is_worst(report: Any) -> None:
        config = report["configs"][0]
        for window in (config["comparisons"][8], config["corpus"]["worst"][4]):
            assert window["clip"] == "sea/dawn/seal.wav @ 50 s"
            window["clip"] = "sea/dawn/seal.wav @ 70 s"

    assert changes(tmp_path, of_corpus, another_is_worst) == (0, [])


def test_a_window_that_both_list_is_compared(of_corpus: Any, tmp_path: Path) -> None:
    code, found = changes(tmp_path, of_corpus, lambda r: r["configs"][0]["comparisons"][8].update(status="fail"))
    assert code == 1
    assert [change["where"] for change in found] == ["bio, onnx, sea/dawn/seal.wav @ 50 s, final"]


@pytest.mark.parametrize(
    ("windows", "failed", "after", "worse"),
    [
        (10_000, 5, "9,995 of 10,000 pass", True),
        (10_000, 1, "9,999 of 10,000 pass", False),
        (9_000, 2, "8,998 of 9,000 pass", True),  # a thousand are not looked at any more
        (20_000, 9, "19,991 of 20,000 pass", False),
    ],
)
def test_all_windows_are_compared_however_many_there_are(
    of_corpus: Any, tmp_path: Path, windows: int, failed: int, after: str, worse: bool
) -> None:
    def edit(report: Any) -> None:
        config = report["configs"][0]
        total = config["corpus"]["totals"][1]
        total.update(windows=windows, statuses={"pass": windows - failed, "fail": failed})
        config["comparisons"][-1]["clip"] = f"{windows:,} windows together"

    code, found = changes(tmp_path, of_corpus, edit)
    assert code == worse
    where = "bio, onnx, all windows of the corpus, final, windows"
    assert found == [
        {"kind": "status", "where": where, "before": "9,998 of 10,000 pass", "after": after, "worse": worse}
    ]


def test_the_size_of_all_differences_is_compared(of_corpus: Any, tmp_path: Path) -> None:
    def edit(report: Any) -> None:
        report["configs"][0]["corpus"]["totals"][0]["rms"] *= 3

    code, found = changes(tmp_path, of_corpus, edit)
    assert code == 0
    assert [change["where"] for change in found] == ["bio, torchaudio, all windows of the corpus, final, rms"]


def test_an_output_that_no_window_has_any_more_is_gone(of_corpus: Any, tmp_path: Path) -> None:
    def edit(report: Any) -> None:
        report["configs"][0]["comparisons"].pop(-2)
        report["configs"][0]["corpus"]["totals"].pop(0)

    code, found = changes(tmp_path, of_corpus, edit)
    assert code == 1
    assert [(c["kind"], c["where"]) for c in found] == [("gone", "bio, torchaudio, all windows of the corpus, final")]


def test_people_read_short_names_of_windows(of_corpus: Any, tmp_path: Path) -> None:
    after = copy.deepcopy(of_corpus)
    after["configs"][0]["comparisons"][8]["status"] = "fail"
    assert ", onnx, dawn/seal.wav @ 50 s, final" in diff(tmp_path, of_corpus, after).output


def test_configurations_of_one_name_are_known_by_their_files(report: Any, tmp_path: Path) -> None:
    """Whatever their order: one passes no more, and the other does now."""
    report = copy.deepcopy(report)
    one, other = report["configs"]
    other["sha256"] = dict.fromkeys(other["sha256"], "9" * 64)
    for config in (one, other):
        config["name"] = "x"

    def exchange(after: Any) -> None:
        passing, failing = after["configs"]
        passing["passed"], failing["passed"] = False, True
        after["configs"] = [failing, passing]

    one["passed"], other["passed"] = True, False
    code, found = changes(tmp_path, report, exchange)
    assert code == 1
    assert [(c["where"], c["before"], c["after"]) for c in found] == [
        ("x", "passed", "failed"),
        ("x (2)", "failed", "passed"),
    ]


def test_a_name_that_looks_like_a_number_hides_no_other(report: Any, tmp_path: Path) -> None:
    report = copy.deepcopy(report)
    first, second = report["configs"]
    report["configs"] = [{**first, "name": name} for name in ("x", "x (2)", "x")] + [second]
    report["configs"][1]["passed"] = True
    code, found = changes(tmp_path, report, lambda after: after["configs"][1].update(passed=False))
    assert (code, [c["where"] for c in found]) == (1, ["x (2)"])
