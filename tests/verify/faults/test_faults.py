"""The verifier finds every fault and says where; and it raises no alarm over a clean port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.verify.faults.false_alarms import clean_runs
from tests.verify.faults.fault import ENCODERS, Fault, Kind
from tests.verify.faults.suite import CLIPS, FAULTS, Original, find, originals

from aves_verify.subjects.subject import of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made() -> Iterator[dict[Kind, Original]]:
    with originals() as both:
        yield both


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_and_its_stage_named(fault: Fault, made: dict[Kind, Original]) -> None:
    finding = find(fault, made[fault.encoder])
    assert finding.caught_by
    assert finding.stage in fault.stages


def test_there_are_as_many_faults_as_names() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 60


def test_the_docs_tell_of_these_faults() -> None:
    root = Path(__file__).parents[3]
    told = (root / "docs" / "faults.md").read_text()
    assert [fault.name for fault in FAULTS] == re.findall(
        r"^\| (?!fault)(.+?) \| (?:torchaudio|onnx)", told, re.MULTILINE
    )
    assert "not caught" not in told
    for page in ("README.md", "docs/verify.md", "CONTRIBUTING.md"):
        assert f"{len(FAULTS)} porting mistakes" in " ".join((root / page).read_text().split()), page


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_clean_bundle_passes_and_no_stage_departs(kind: Kind, made: dict[Kind, Original]) -> None:
    """Without this the faults above prove nothing."""
    report = verify_subject(of_bundle(made[kind].bundle, made[kind].checkpoint), Plan(CLIPS, explain=True))
    assert report.passed
    assert {c.status for c in report.comparisons} == {"pass"}
    assert [e.first for e in report.explanations] == [None, None]


@pytest.mark.parametrize("kind", ENCODERS)
def test_no_alarm_over_clean_ports(kind: Kind) -> None:
    """A hundred and eighty runs of each; ``nox -s faults`` makes more than a thousand."""
    threads = torch.get_num_threads()
    try:
        found = list(clean_runs(kind, seed=0))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 180
    assert [c for c in found if c.status != "pass"] == []
