"""The table, the picture, and how results go into the docs; and that the docs hold what their data says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.runtimes import session
from tests.runtimes.clients import CLIENTS, GRAPHS
from tests.runtimes.clients import REDUCED as SMALLER
from tests.runtimes.picture import draw
from tests.runtimes.running import SCRIPTS
from tests.runtimes.snippets import snippets
from tests.runtimes.table import END, GIVEN, REDUCED, STAND_IN, Section, markdown, one_line, replaced

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "runtimes.md").read_text(encoding="utf-8")
SECTIONS = (STAND_IN, GIVEN, REDUCED)


def data(section: Section) -> dict[str, Any]:
    return json.loads((DOCS / "data" / section.data).read_text(encoding="utf-8"))


DATA = data(STAND_IN)


def cell(client: str, graph: str, verdict: str = "good", **others: Any) -> dict[str, Any]:
    told = {
        "client": client,
        "packages": "pinned",
        "graph": graph,
        "verdict": verdict,
        "why": "",
        "fault": None,
        "versions": {"it": "1.2"},
        "runs": "9 of 9",
        "max_error": 4e-6,
        "error_ratio": 1.04,
        "worst": "400",
        "worst_ratio": 1.31,
        "time_ratio": 0.98,
        "cpu": "A",
    }
    return {**told, **others}


def test_a_row_has_everything_that_was_measured() -> None:
    text = markdown([cell("tract", "float32")], "Model: X.")
    assert "**1 of 1 cells are good.** Model: X." in text
    assert "| tract | 1.2 | default | 9 of 9 | 4.0e-06 | 1.04 | 400 (1.31) | 0.98 | good |" in text
    assert "### What fails, and by whose fault\n\nNothing." in text


def test_of_a_checkpoint_that_is_given_it_is_told_how_near_to_the_limit_each_is() -> None:
    text = markdown([cell("tract", "float32", of_allowed=0.874)], "", GIVEN)
    assert "| tract | 1.2 | default | 9 of 9 | 4.0e-06 | 0.87 | 1.04 | 400 (1.31) | good |" in text
    assert "Notes" not in text


def test_clients_that_ran_on_another_processor_are_named() -> None:
    usual = [cell("tract", "float32"), cell("MNN", "float32"), cell("MNN", "mixed")]
    assert session.machines(usual) == "A"
    others = [cell("IREE", "fixed", cpu="B"), cell("avex", "port", cpu="B")]
    assert session.machines([*others, *usual, cell("x", "port")]) == "A; of B: IREE and avex"


def test_what_only_ran_is_not_called_good() -> None:
    text = markdown([cell("tract", "float32"), cell("quantize_dynamic", "float32", "runs")], "")
    assert "**1 of 2 cells are good, and 1 run: they give other numbers on purpose.**" in text
    assert "| 0.98 | runs |" in text
    assert "Nothing." in text


def test_a_client_that_did_not_run_has_a_row() -> None:
    bare = {"client": "IREE", "packages": "newest", "graph": "fixed", "verdict": "not run", "why": "no", "fault": None}
    text = markdown([{**bare, "versions": {}}], "")
    assert "| IREE | -, newest | `--fixed-length` | - | - | - | - | - | not run |" in text
    assert "- IREE, `--fixed-length`: `no`" in text


def test_whose_fault_it_is_stands_there_once_for_all_graphs() -> None:
    fault = {"why": "it has no double", "thread": "https://example.org/1"}
    both = [cell("MNN", graph, "fails", why="No | `Cast`", fault=fault) for graph in ("float32", "mixed")]
    (line,) = re.findall(r"^- MNN, .*$", markdown(both, ""), flags=re.MULTILINE)
    assert line == (
        "- MNN, default, `--precision mixed`: the client's own fault: it has no double "
        "([upstream](https://example.org/1)). It says: `No / 'Cast'`"
    )


def test_what_had_to_be_put_right_is_told() -> None:
    assert "- perch-hoplite: jaxonnxruntime's `call_onnx` is made known" in markdown(
        [cell("perch-hoplite", "float32")], ""
    )


def test_a_long_error_is_cut() -> None:
    assert len(one_line("x" * 500)) < 120


def test_the_page_keeps_what_is_not_made() -> None:
    page = f"# A\n\n{STAND_IN.start}\nold\n{END}\n\n{GIVEN.start}\nold\n{END}\n\nMore.\n"
    changed = replaced(page, "new")
    assert changed == page.replace(f"{STAND_IN.start}\nold\n", f"{STAND_IN.start}\n\nnew\n")
    assert replaced(page, "new", GIVEN) == page.replace(f"{GIVEN.start}\nold\n", f"{GIVEN.start}\n\nnew\n")


def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    found = [
        cell("tract", "float32"),
        cell("tract", "mixed", "fails", error_ratio=None),
        cell("MNN", "export", "inexact"),
    ]
    for name in ("a.svg", "b.svg"):
        draw(found, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_new_cells_take_the_place_of_old_ones() -> None:
    before = [cell("tract", "float32"), cell("OpenVINO", "float32"), cell("gone", "float32")]
    found = session.merged(before, [cell("tract", "float32", "fails")])
    assert [(one["client"], one["verdict"]) for one in found] == [("OpenVINO", "good"), ("tract", "fails")]


@pytest.mark.parametrize("quick", [True, False])
def test_the_one_that_times_are_compared_with_comes_first(quick: bool) -> None:
    chosen = session.chosen(session.arguments(["--quick"] if quick else []))
    assert chosen[0].name == "ONNX Runtime"
    assert len(chosen) == len(set(chosen))
    assert (len(chosen) == len(CLIENTS)) is not quick


def test_of_a_checkpoint_that_is_given_no_small_stand_in_is_run() -> None:
    chosen = session.chosen(session.arguments(["--fairseq", "x.pt"]))
    assert {client.name for client in CLIENTS.values() if client.small} == set(CLIENTS) - {one.name for one in chosen}


def test_every_client_has_a_script_and_pinned_packages() -> None:
    for client in CLIENTS.values():
        assert (SCRIPTS / client.script).is_file(), client.name
        assert all(
            fault.graphs and set(fault.graphs) <= {*GRAPHS[client.takes], *SMALLER[client.takes]}
            for fault in client.faults
        )
    used = {client.script for client in CLIENTS.values()}
    helpers = {"exchange.py", "exchange.mjs", "browser.html", "torchaudio_port.py"}
    assert {path.name for path in SCRIPTS.iterdir() if path.is_file()} == used | helpers


def test_the_snippets_are_of_clients() -> None:
    found = snippets(PAGE)
    assert {snippet.client for snippet in found} <= set(CLIENTS)
    assert {snippet.language for snippet in found} == {"python", "js", "html"}
    assert len(found) == PAGE.count("<!-- snippet:")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.data)
def test_the_docs_hold_what_their_data_says(section: Section) -> None:
    found = data(section)
    assert replaced(PAGE, markdown(found["cells"], found["about"], section), section) == PAGE
    assert f"two threads of: {session.machines(found['cells'])}." in found["about"]


def test_the_docs_tell_of_every_client() -> None:
    measured = {(one["client"], one["graph"]) for one in DATA["cells"] if one["packages"] == "pinned"}
    every = {(client.name, graph) for client in CLIENTS.values() for graph in GRAPHS[client.takes]}
    assert measured == every
    reduced = {(one["client"], one["graph"]) for one in data(REDUCED)["cells"] if one["packages"] == "pinned"}
    assert reduced == {(client.name, graph) for client in CLIENTS.values() for graph in client.graphs(reduced=True)}


def test_a_row_of_a_smaller_graph() -> None:
    about = {"snr": 36.59, "cosine": 0.99989, "behind": 0.041, "like": 45.9, "same": False}
    text = markdown([cell("tract", "int8", **about)], "", REDUCED)
    assert "| tract | 1.2 | `--precision int8` | 9 of 9 | 36.6 dB | 0.999890 | 0.0 dB | 46 dB | good |" in text
    same = markdown([cell("tract", "int8", **{**about, "like": None, "same": True})], "", REDUCED)
    assert "| 0.0 dB | same bits | good |" in same


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.data)
def test_the_default_graph_is_good_wherever_the_client_is_not_at_fault(section: Section) -> None:
    defaults = [one for one in data(section)["cells"] if one["graph"] in ("float32", "fixed", "port")]
    bad = [one for one in defaults if one["verdict"] != "good"]
    judged = [one for one in bad if CLIENTS[one["client"]].exact or one["verdict"] != "runs"]
    assert [one["client"] for one in judged if one["fault"] is None] == []


def test_smaller_graphs_are_good_wherever_the_client_is_not_at_fault() -> None:
    bad = [one for one in data(REDUCED)["cells"] if one["verdict"] != "good"]
    assert [(one["client"], one["graph"]) for one in bad if one["fault"] is None] == []
