"""Runs over a corpus: parts are made once, and are the same whoever makes them."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.support.corpus_runs import ALONE, checked, contents, run_over, sounds

from aves_artifacts.base.errors import InputError
from aves_verify.corpus.windows import Cutting
from aves_verify.runs.driving import Crew
from aves_verify.subjects.subject import Subject


def test_what_is_there_is_not_made_again(subject: Subject, corpus: Path, whole: Path, tmp_path: Path) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    before = {path: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    done = run_over(subject, corpus, parts)
    assert (done.made, done.there, done.missing) == (0, len(before), {})
    assert {path: path.stat().st_mtime_ns for path in parts.glob("*.parquet")} == before


def test_a_part_that_is_lost_or_cut_off_is_made_again(
    subject: Subject, corpus: Path, whole: Path, tmp_path: Path
) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    first, second, third, *_ = sorted(parts.glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-100])
    third.write_bytes(b"")
    for block in (parts / "index").iterdir():
        block.write_bytes(block.read_bytes()[:-1])
    assert run_over(subject, corpus, parts).made == 3
    assert contents(parts) == contents(whole)


def test_what_is_damaged_in_its_middle_is_made_again_where_that_is_looked_for(
    subject: Subject, corpus: Path, whole: Path, tmp_path: Path
) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    first, second, *_ = sorted(parts.glob("*.parquet"))
    for path in (first, second, next((parts / "index").iterdir())):
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    assert run_over(subject, corpus, parts).made == 0
    done = run_over(subject, corpus, parts, dataclasses.replace(ALONE, check=True))
    assert (done.made, done.missing) == (2, {})
    assert contents(parts) == contents(whole)
    assert run_over(subject, corpus, parts, dataclasses.replace(ALONE, check=True)).made == 0


def test_halves_of_parts_that_are_there_are_removed(
    subject: Subject, corpus: Path, whole: Path, tmp_path: Path
) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    part = min(parts.glob("*.parquet"))
    (parts / f".{part.name}.0123abcd.partial").write_bytes(b"half")
    other = parts / ".of-another-run.parquet.0123abcd.partial"
    other.write_bytes(b"half")
    run_over(subject, corpus, parts)
    assert contents(parts) == {**contents(whole), other.name: b"half"}


def test_shares_make_the_same_parts_and_leave_the_others_alone(
    subject: Subject, corpus: Path, whole: Path, tmp_path: Path
) -> None:
    parts, count = tmp_path / "parts", len(list(whole.glob("*.parquet")))
    dones = [run_over(subject, corpus, parts, dataclasses.replace(ALONE, share=(i, 3))) for i in (3, 1, 2)]
    assert sum(done.made for done in dones) == count
    assert [done.others > 0 for done in dones] == [True, True, False]
    assert contents(parts) == contents(whole)


@pytest.mark.slow
def test_workers_make_the_same_parts(subject: Subject, corpus: Path, whole: Path, tmp_path: Path) -> None:
    done = run_over(subject, corpus, tmp_path / "parts", dataclasses.replace(ALONE, workers=2))
    assert (done.missing, done.there) == ({}, 0)
    assert contents(tmp_path / "parts") == contents(whole)


@pytest.mark.slow
def test_a_share_may_have_workers_of_its_own(subject: Subject, corpus: Path, whole: Path, tmp_path: Path) -> None:
    """As tasks of an array job have, on machines of many cores."""
    parts, count = tmp_path / "parts", len(list(whole.glob("*.parquet")))
    first = run_over(subject, corpus, parts, dataclasses.replace(ALONE, share=(2, 2), workers=2))
    assert (first.made, first.others, first.missing) == (count // 2, count - count // 2, {})
    rest = run_over(subject, corpus, parts, dataclasses.replace(ALONE, share=(1, 2)))
    assert (rest.made, rest.others) == (count - count // 2, 0)
    assert contents(parts) == contents(whole)


def test_the_folder_the_order_and_the_dates_of_recordings_change_nothing(
    subject: Subject, corpus: Path, whole: Path, tmp_path: Path
) -> None:
    for path in sorted(corpus.iterdir(), reverse=True):
        (tmp_path / "moved").mkdir(exist_ok=True)
        (tmp_path / "moved" / path.name).write_bytes(path.read_bytes())
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    assert run_over(subject, tmp_path / "moved", parts).made == 0


def test_one_recording_more_leaves_most_parts_as_they_are(subject: Subject, whole: Path, tmp_path: Path) -> None:
    sounds(tmp_path / "sea", 12, 1.0)
    before = run_over(subject, tmp_path / "sea", checked(whole, tmp_path / "parts"))
    soundfile.write(tmp_path / "sea" / "more.wav", np.full(9_000, 0.25, np.float32), 16_000)
    after = run_over(subject, tmp_path / "sea", tmp_path / "parts")
    assert after.made <= 2
    assert after.there >= before.parts - 2


def test_a_recording_that_cannot_be_read_ends_nothing(subject: Subject, whole: Path, tmp_path: Path) -> None:
    folder = sounds(tmp_path / "sea", 2)
    (folder / "noise.wav").write_bytes(b"RIFF and nothing")
    assert not run_over(subject, folder, checked(whole, tmp_path / "parts")).missing


def test_no_sound_at_all(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        run_over(subject, tmp_path / "nowhere", tmp_path / "parts")
    (tmp_path / "sea").mkdir()
    with pytest.raises(InputError, match="no audio in this folder"):
        run_over(subject, tmp_path / "sea", tmp_path / "parts")


def test_parts_have_no_place(subject: Subject, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("a file")
    with pytest.raises(InputError, match="this is a file; give a folder for the parts"):
        run_over(subject, corpus, tmp_path / "parts")


def test_ways_that_exclude_one_another() -> None:
    with pytest.raises(InputError, match="of this machine or of a cluster, and not of both; give `workers` or `sched"):
        Crew(scheduler="tcp://host:8786", workers=2)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e9])
def test_windows_that_are_none(seconds: float) -> None:
    with pytest.raises(InputError, match="window"):
        Cutting(seconds, 1.0)
