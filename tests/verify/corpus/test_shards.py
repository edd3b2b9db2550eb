from __future__ import annotations

import hashlib
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.corpora import record

from aves_verify.corpus.index import Recording, index_block
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.shards import Shard, audio_digest, content_of, cut
from aves_verify.corpus.windows import Cutting

CUTTING = Cutting(10.0, 10.0, 32)


def recording(number: int, seconds: float, name: str = "", reason: str = "") -> Recording:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    frames = round(seconds * 48_000)
    name = name or f"{number}.wav"
    return Recording(name, f"/x/{name}", None, 1, digest, "WAV PCM_16", 48_000, 1, 0, frames, reason)


def corpus(count: int) -> list[Recording]:
    lengths = random.Random(0)  # noqa: S311
    return [recording(number, lengths.choice((3.0, 60.0, 600.0, 3600.0))) for number in range(count)]


def contents(shards: tuple[Shard, ...]) -> set[str]:
    return {shard.audio for shard in shards}


def test_everything_is_in_one_shard_and_none_is_too_large() -> None:
    recordings = corpus(300)
    shards = cut(recordings, CUTTING)
    held = [stretch for shard in shards for stretch in shard.stretches]
    assert len({content_of(stretch) for stretch in held}) == len(held)
    assert {stretch.recording for stretch in held} == set(recordings)
    assert max(shard.windows for shard in shards) <= 64
    assert sum(shard.windows for shard in shards) == sum(-(-one.frames // 480_000) for one in recordings)
    assert sum(shard.hours for shard in shards) == pytest.approx(sum(one.frames for one in recordings) / 48_000 / 3600)
    assert 16 < sum(shard.windows for shard in shards) / len(shards) < 48


def test_hours_are_of_what_is_run() -> None:
    (shard,) = cut([recording(0, 25.0)], Cutting(10.0, 5.0))
    assert shard.hours * 3600 == pytest.approx(25.0)
    (shard,) = cut([recording(0, 25.0)], Cutting(5.0, 10.0))
    assert shard.hours * 3600 == pytest.approx(15.0)
    (shard,) = cut([recording(0, 25.0, reason="0.wav: damaged")], Cutting())
    assert (shard.hours, shard.windows) == (0, 0)


def test_order_names_and_places_change_nothing() -> None:
    recordings = corpus(100)
    moved = [replace(one, name=f"moved/{one.sha256[:9]}", address=f"s3://b/{one.name}") for one in recordings]
    random.Random(1).shuffle(moved)  # noqa: S311
    assert [shard.audio for shard in cut(moved, CUTTING)] == [shard.audio for shard in cut(recordings, CUTTING)]
    assert audio_digest(cut(moved, CUTTING)) == audio_digest(cut(recordings, CUTTING))


@pytest.mark.parametrize("seconds", [5.0, 3600.0])
def test_one_recording_more_changes_only_the_shards_next_to_it(seconds: float) -> None:
    recordings = corpus(300)
    before = cut(recordings, CUTTING)
    for number in range(1000, 1010):
        after = cut([*recordings, recording(number, seconds)], CUTTING)
        own = {shard.audio for shard in after for each in shard.stretches if each.recording.name == f"{number}.wav"}
        lost, new = contents(before) - contents(after), contents(after) - contents(before)
        assert own <= new
        assert len(lost) <= 4
        assert len(new - own) <= 4
        assert audio_digest(after) != audio_digest(before)


def test_duplicates_are_numbered_by_name_and_none_is_lost() -> None:
    same = [recording(7, 25.0, name) for name in ("c.wav", "a.wav", "b.wav")]
    (shard,) = cut(same, Cutting(10.0, 10.0, 1000))
    assert [(each.recording.name, each.copy) for each in shard.stretches] == [("a.wav", 0), ("b.wav", 1), ("c.wav", 2)]
    assert len({content_of(each) for each in shard.stretches}) == 3
    segments = [same[0], replace(same[0], name="d.wav", begin=100, frames=48_000)]
    assert {each.copy for shard in cut(segments, CUTTING) for each in shard.stretches} == {0}


def test_many_copies_and_many_that_cannot_be_read_do_not_make_one_shard() -> None:
    silent = [recording(7, 10.0, f"{number}.wav") for number in range(500)]
    assert max(shard.windows for shard in cut(silent, CUTTING)) <= 64
    damaged = [replace(one, sha256="", frames=0, reason="damaged") for one in silent]
    shards = cut(damaged, CUTTING)
    assert max(len(shard.stretches) for shard in shards) <= 64
    assert sum(len(shard.stretches) for shard in shards) == 500


def test_a_stretch_is_no_larger_than_a_shard() -> None:
    shards = cut([recording(0, 86_400.0)], Cutting(1.0, 1.0, 4))
    assert max(shard.windows for shard in shards) <= 8
    assert max(stretch.count for shard in shards for stretch in shard.stretches) <= 4


def test_files_that_are_moved_renamed_and_touched(tmp_path: Path) -> None:
    for number in range(6):
        record(tmp_path / "one" / f"{number}.wav", 1 + number, seed=number)
    shutil.copytree(tmp_path / "one", tmp_path / "two" / "deep")
    (tmp_path / "two" / "deep" / "3.wav").rename(tmp_path / "two" / "z.wav")
    os.utime(tmp_path / "two" / "z.wav", (0, 0))
    cutting = Cutting(1.0, 1.0, 2)
    one, two = (cut(index_block(list_audio([str(tmp_path / each)])), cutting) for each in ("one", "two"))
    assert [shard.audio for shard in one] == [shard.audio for shard in two]
    assert len(one) > 3
