"""The verifier finds every fault and says where; and it raises no alarm over a clean port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.verify.faults.clean_exports import EXPORTS, verified
from tests.verify.faults.false_alarms import clean_runs
from tests.verify.faults.fault import ENCODERS, Fault, Kind
from tests.verify.faults.hidden_faults import HIDDEN_FAULTS
from tests.verify.faults.reduced_faults import INVISIBLE, on_smaller_graphs
from tests.verify.faults.suite import CLIPS, FAULTS, Original, find, originals

from aves_verify.subjects.subject import of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made() -> Iterator[dict[Kind, Original]]:
    with originals() as both:
        yield both


# A part of them, in less than a minute; ``nox -s faults`` tries all, with two seeds.
TRIED = [fault for i, fault in enumerate(FAULTS) if i % 4 == 0 or fault in HIDDEN_FAULTS]


@pytest.mark.parametrize("fault", TRIED, ids=lambda fault: fault.name)
def test_a_fault_is_caught_and_its_stage_named(fault: Fault, made: dict[Kind, Original]) -> None:
    finding = find(fault, made[fault.encoder], thorough=False)
    assert finding.caught_by
    assert finding.stage in fault.stages


# Of each mistake in every graph, what the smaller graphs hide of it; ``nox -s faults`` tries all.
ON_SMALLER = [f for i, f in enumerate(on_smaller_graphs()) if i % 13 == 0 or (f.name, f.port) in INVISIBLE]


@pytest.mark.parametrize("fault", ON_SMALLER, ids=lambda fault: f"{fault.name}, {fault.port}")
def test_a_fault_in_a_smaller_graph_is_caught_or_known_to_be_hidden(fault: Fault, made: dict[Kind, Original]) -> None:
    finding = find(fault, made[fault.encoder], thorough=False)
    assert bool(finding.caught_by) is ((fault.name, fault.port) not in INVISIBLE)


def test_there_are_as_many_faults_as_names() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 134


def test_the_docs_tell_of_these_faults() -> None:
    root = Path(__file__).parents[3]
    told = (root / "docs" / "faults.md").read_text()
    assert [fault.name for fault in FAULTS] == re.findall(r"^\| (?!fault|--)(.+?) \|", told, re.MULTILINE)
    assert "not caught" not in told
    hidden = (root / "docs" / "reduced-ports.md").read_text()
    assert all(f"| {name} | " in hidden for name, _ in INVISIBLE)
    assert f"{len(on_smaller_graphs()) - len(INVISIBLE)} of {len(on_smaller_graphs())}" in " ".join(hidden.split())
    for page in ("README.md", "docs/verify.md", "CONTRIBUTING.md"):
        assert f"{len(FAULTS)} porting mistakes" in " ".join((root / page).read_text().split()), page


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_clean_bundle_passes_and_no_stage_departs(kind: Kind, made: dict[Kind, Original]) -> None:
    """Without this the faults above prove nothing."""
    report = verify_subject(of_bundle(made[kind].bundle, made[kind].checkpoint), Plan(CLIPS, explain=True))
    assert report.passed
    assert {c.status for c in report.comparisons} == {"pass"}
    assert [e.first for e in report.explanations] == [None, None, None]


@pytest.mark.parametrize("kind", ENCODERS)
def test_no_alarm_over_clean_ports(kind: Kind) -> None:
    """Some runs of each; ``nox -s faults`` makes more than a thousand."""
    threads = torch.get_num_threads()
    try:
        found = list(clean_runs(kind, seed=0, every=4))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 60
    assert [c for c in found if c.status != "pass"] == []


@pytest.mark.parametrize("export", [name for name in EXPORTS if name != "dynamo"])  # which takes long
def test_no_alarm_over_an_ordinary_export(export: str, made: dict[Kind, Original], tmp_path: Path) -> None:
    report = verified(EXPORTS[export], made["post-norm"].checkpoint, tmp_path / "x.onnx")
    assert report.problems == ()
    assert [c.reason for c in report.comparisons if c.status == "fail"] == []
