from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.support.corpora import record

from aves_artifacts.base.errors import InputError
from aves_verify.corpus.listing import list_audio, numbered


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def names_of(*given: Path | str) -> list[str]:
    return [entry.name for entry in list_audio([str(each) for each in given])]


def test_folders_are_searched_sorted_by_name_and_hidden_files_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "b.WAV", "a.flac", "sub/deep/c.Ogg", "sub/d.mp3", "s.tar", "._b.wav", ".cache/e.wav", "notes.txt")
    assert names_of(tmp_path) == ["a.flac", "b.WAV", "s.tar", "sub/d.mp3", "sub/deep/c.Ogg"]
    first = list_audio([str(tmp_path)])[0]
    assert first.address == str(tmp_path / "a.flac")
    assert first.size == 1
    assert first.version == str((tmp_path / "a.flac").stat().st_mtime_ns)


def test_a_file_is_called_by_its_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "sub/a.wav", "noise")
    monkeypatch.chdir(tmp_path)
    assert names_of("sub/a.wav") == ["a.wav"]
    assert list_audio(["sub/a.wav"])[0].address == str(tmp_path / "sub" / "a.wav")
    assert names_of(f"file://{tmp_path}/sub") == ["a.wav"]
    assert names_of("noise") == ["noise"]  # what is given as a file is one, whatever it is called


def test_several_roots_begin_with_their_last_part_and_clashes_are_numbered(tmp_path: Path) -> None:
    touch(tmp_path, "x/owls/a.wav", "y/owls/a.wav", "y/owls/sub/b.wav", "z/a.wav", "w/a.wav")
    assert names_of(tmp_path / "x/owls", tmp_path / "y/owls", tmp_path / "z/a.wav", tmp_path / "w/a.wav") == [
        "a.wav",
        "a.wav (2)",
        "owls (2)/a.wav",
        "owls (2)/sub/b.wav",
        "owls/a.wav",
    ]


def test_no_file_comes_twice(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.wav", "a/sub/y.wav")
    (tmp_path / "a" / "z.wav").symlink_to("x.wav")
    (tmp_path / "b").symlink_to("a")
    assert names_of(tmp_path / "a") == ["sub/y.wav", "x.wav"]
    assert names_of(tmp_path / "a", tmp_path / "a/sub", tmp_path / "b") == ["a/sub/y.wav", "a/x.wav"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    """Collections are often put together of links to where the disks are: none of it may be left out silently."""
    touch(tmp_path, "disk/x.wav", "disk/sub/y.wav", "corpus/own/z.wav")
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "disk")
    assert names_of(tmp_path / "corpus") == ["linked/sub/y.wav", "linked/x.wav", "own/z.wav"]
    assert [Path(entry.address).exists() for entry in list_audio([str(tmp_path / "corpus")])] == [True] * 3
    assert len(names_of(tmp_path / "corpus", tmp_path / "disk")) == 3


def test_a_corpus_that_is_copied_has_the_same_names(tmp_path: Path) -> None:
    touch(tmp_path / "one", "b.wav", "a/c.wav", "a.b/c.wav")
    shutil.copytree(tmp_path / "one", tmp_path / "elsewhere")
    assert names_of(tmp_path / "one") == names_of(tmp_path / "elsewhere") == ["a.b/c.wav", "a/c.wav", "b.wav"]


def test_a_name_that_is_no_text_can_be_opened_and_written(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xfcber.wav")
    with open(path, "wb") as file:
        file.write(b"x")
    (entry,) = list_audio([str(tmp_path)])
    assert entry.name == r"\xfcber.wav"
    assert os.path.exists(entry.address)


def test_names_are_numbered_past_those_that_are_taken() -> None:
    assert numbered(["a", "a (2)", "a", "a"]) == ["a", "a (2)", "a (3)", "a (4)"]
    assert numbered(["a", "a", "a (2)"]) == ["a", "a (2)", "a (2) (2)"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("gone", r"gone: no such file or folder; give audio files"),
        ("empty", r"empty: no audio in this folder; expected files that end in \.wav"),
        ("pipe", r"pipe: a pipe or a device"),
        ("loop.wav", r"loop\.wav: (cannot be read|no such file)"),
        (" ", "expected a path or an address"),
        ("s3:bucket/x", r"s3:bucket/x: expected s3://, or \./s3:bucket/x for a file here"),
        ("file:x", r"file:x: expected file:///folder"),
        ("nothing://x/y", r"nothing://x/y: cannot open this address"),
        ("memory://none/here", r"memory://none/here: no such file or folder"),
    ],
)
def test_what_holds_no_audio_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    os.mkfifo("pipe")
    os.symlink("loop.wav", "loop.wav")
    with pytest.raises(InputError, match=message):
        list_audio([given])


def test_nothing_given_is_refused() -> None:
    with pytest.raises(InputError, match="no recordings given"):
        list_audio([])


def test_a_store_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"gs://b/x needs gcsfs, not installed here; pip install 'aves-ports\[gcs\]'"):
        list_audio(["gs://b/x"])


def test_addresses_of_folders_and_files(tmp_path: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    content = record(tmp_path / "a.wav", 0.1).read_bytes()
    for name in ("a.wav", "sub/b.flac", ".hidden/c.wav", "notes.txt"):
        store.pipe_file(f"/listing/{name}", content)
    found = list_audio(["memory://listing"])
    assert [entry.name for entry in found] == ["a.wav", "sub/b.flac"]
    assert [entry.address for entry in found] == ["memory://listing/a.wav", "memory://listing/sub/b.flac"]
    assert found[0].size == len(content)
    assert names_of("memory://listing/sub/b.flac") == ["b.flac"]
