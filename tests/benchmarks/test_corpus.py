"""What a large corpus takes on paper, and how the memory of a run's processes is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.report.corpus import Measured, OnPaper, on_paper
from benchmarks.report.results import Curve, Part, Row, Session
from benchmarks.watched import Watched, _below, _resident_mib

# A machine does ten hours of sound in an hour; a part has six minutes.
MEASURED = Measured(pace=10.0, parts=10.0, written=20.0, read=60.0, task=0.001, report=0.001)


def test_hours_cores_and_what_is_used_up_first() -> None:
    paper = OnPaper(MEASURED, hours=1000.0, machines=20)
    assert (paper.took, paper.core_hours, paper.parts) == (5.0, 200.0, 10_000.0)
    shares = {what: (wanted, there) for what, (wanted, there, _) in paper.shares().items()}
    assert shares["tasks that the driver hands out"] == pytest.approx((10_000 / 18_000, 1000.0))
    assert shares["audio read from the store"][0] == pytest.approx(60_000 / 18_000)
    assert shares["reading all parts for the report, after the run"] == (10.0, 18_000.0)
    assert paper.bottleneck == "audio read from the store"
    assert paper.machines_until(paper.bottleneck) == pytest.approx(20 * 1192 / (60_000 / 18_000))


def test_it_is_computed_from_the_results() -> None:
    tiny = Part(
        rows=[Row("a task that does nothing, 2 workers", "", "s", [0.001])],
        curves=[Curve("report", "x", "parts", "s", [1000.0, 10_000.0], [2.0, 10.0])],
    )
    told = {
        "base corpus, sound in a second, 2 workers": 10.0,
        "base corpus, parts of an hour of sound": 10.0,
        "base corpus, parts written for an hour of sound": 20.0,
        "base corpus, audio read for an hour of sound, FLAC at 16 kHz": 60.0,
    }
    base = Part(rows=[Row(what, "", "", [value]) for what, value in told.items()])
    sessions = {"corpus": Session({}, tiny), "corpus-base": Session({}, base)}
    assert Measured.of(sessions) == MEASURED
    page = on_paper(sessions)
    assert page.startswith("5,000 hours of sound on 100 such machines, 2 workers on each: 5 hours, 1000 core hours")
    assert "What is used up first: audio read from the store." in page


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_processes_below_one_are_looked_at(tmp_path: Path) -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    watched = Watched(tmp_path)
    (tmp_path / "a.parquet").touch()
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        with watched.looking(process.pid):
            until = time.monotonic() + 30
            while (len(_below(process.pid)) < 2 or not watched.seen) and time.monotonic() < until:
                time.sleep(0.05)
            assert len(_below(process.pid)) == 2
        process.communicate(b"\n")
    assert watched.seen[-1][0] == 1
    assert 1 < (watched.within((0.9, 1.0)) or 0) < 100
    assert watched.within((0.1, 0.2)) is None
    assert _resident_mib(os.getpid()) > 10
