"""What a run prints on a terminal."""

import io

import pytest
from rich.console import Console
from tests.support.bundles import NAME

from aves_convert.sounds.signals import reference_signals
from aves_verify.report.report import Report
from aves_verify.report.terminal import print_report
from aves_verify.subjects.subject import Subject, ready
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify_all

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "shortest", "odd_frames"))


@pytest.fixture(scope="module")
def report(subject: Subject) -> Report:
    return verify_all([ready(subject)], Plan(CLIPS)).report


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_the_table_fits_the_terminal(report: Report, width: int) -> None:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=width, force_terminal=True, color_system=None), every_clip=False)
    table = [line for line in stream.getvalue().splitlines() if not line.startswith(("Allowed", "PASSED", f"{NAME}, "))]
    assert max(map(len, table)) <= width
    assert "e-0" in stream.getvalue()  # the largest difference is always there
