"""The index of a corpus: made once, kept, and looked at again where something could not be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.corpus_runs import ALONE, sounds

from aves_artifacts.files.address import open_address
from aves_verify.corpus.index import Recording, index_block
from aves_verify.corpus.listing import Entry, list_audio
from aves_verify.runs import indexing
from aves_verify.runs.driving import at_work
from aves_verify.runs.indexing import index


def indexed(parts: Path, entries: tuple[Entry, ...], first: float = 0.0) -> list[Recording]:
    with at_work(ALONE, 1) as doing:
        return index(open_address(str(parts)), str(parts), entries, lambda job, tasks: doing(job, tasks, ()), first)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read, in order."""
    names: list[str] = []

    def counting(entries: tuple[Entry, ...]) -> tuple[Recording, ...]:
        names.extend(entry.name for entry in entries)
        return index_block(entries)

    monkeypatch.setattr(indexing, "index_block", counting)
    return names


def test_it_is_made_once(counted: list[str], tmp_path: Path) -> None:
    entries = list_audio([str(sounds(tmp_path / "sea", 3, 0.1))])
    found = indexed(tmp_path / "parts", entries)
    assert found == list(index_block(entries))
    assert indexed(tmp_path / "parts", entries) == found
    assert counted == [entry.name for entry in entries]


def test_what_could_not_be_read_is_looked_at_again(counted: list[str], tmp_path: Path) -> None:
    """A permission leaves no trace in the file, by which one would know that it may be read by now."""
    folder = sounds(tmp_path / "sea", 2, 0.1)
    entries = list_audio([str(folder)])
    (folder / "0.wav").rename(tmp_path / "away.wav")
    first, second = indexed(tmp_path / "parts", entries)
    assert "0.wav: cannot be read" in first.reason
    (tmp_path / "away.wav").rename(folder / "0.wav")
    again, same = indexed(tmp_path / "parts", entries)
    assert (again.reason, same) == ("", second)
    looked = len(counted)
    indexed(tmp_path / "parts", entries)
    assert len(counted) == looked


def test_one_file_more_changes_its_own_block_alone(tmp_path: Path) -> None:
    entries = [Entry(f"{i:05}.wav", str(tmp_path / f"{i}.wav"), 0, "") for i in range(3_000)]
    before = set(indexing._blocks(entries))
    after = set(indexing._blocks([Entry("00000.flac", str(tmp_path / "a.flac"), 0, ""), *entries]))
    assert len(before) > 5
    assert len(after - before) == 1
    assert max(map(len, after)) <= 512


def test_a_large_file_is_a_block_of_its_own(tmp_path: Path) -> None:
    entries = [Entry(f"{i}.tar", str(tmp_path), size, "") for i, size in enumerate((1, 10**9, 1, 10**9, 10**9))]
    large = [block for block in indexing._blocks(entries) if any(entry.size > 1 for entry in block)]
    assert [len(block) for block in large] == [1, 1, 1]


def test_of_several_processes_each_begins_elsewhere(counted: list[str], tmp_path: Path) -> None:
    entries = tuple(Entry(f"{i:05}.wav", str(tmp_path / f"{i}.wav"), 0, "") for i in range(2_000))
    indexed(tmp_path / "parts", entries, first=0.5)
    assert counted[0] != entries[0].name
    assert sorted(counted) == [entry.name for entry in entries]
