from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path

import pytest
from tests.support.corpora import record

from aves_artifacts.base.errors import InputError
from aves_convert.sounds.audio import read_clip
from aves_verify.corpus import index, windows
from aves_verify.corpus.index import Recording, from_table, index_block, to_table
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.windows import Cutting, read_windows, stretches

measured = index._measured


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    for name in ("000.wav", "001.flac", "sub/002.wav", "003.mp3"):
        kind = {"001.flac": "forest.flac", "003.mp3": "phone.mp3"}.get(name, "")
        record(tmp_path / "sounds" / name, 1.5, seed=len(name), kind=kind)
    (tmp_path / "sounds" / "000.json").write_text("{}")
    return tmp_path / "sounds"


def packed(sounds: Path, path: Path, names: list[str], tar_format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=tar_format) as tar:
        for name in names:
            tar.add(sounds / name, name)
    return path


def added(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def indexed(path: Path) -> tuple[Recording, ...]:
    return index_block(list_audio([str(path)]))


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_where_they_lie(sounds: Path, tmp_path: Path, tar_format: int) -> None:
    names = ["000.json", "000.wav", "001.flac", "sub/002.wav", "003.mp3"]
    found = indexed(packed(sounds, tmp_path / "x.tar", names, tar_format))
    assert [each.name for each in found] == ["x.tar/000.wav", "x.tar/001.flac", "x.tar/sub/002.wav", "x.tar/003.mp3"]
    for each in found:
        path = sounds / each.name.removeprefix("x.tar/")
        assert (tmp_path / "x.tar").read_bytes()[each.offset : each.offset + each.size] == path.read_bytes()
        ((window,),) = (list(read_windows(one, Cutting())) for one in stretches(each, Cutting()))
        assert window.clip.sha256 == read_clip(path).sha256
        assert window.name == each.name


def test_large_members_are_read_in_pieces(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(sounds, tmp_path / "x.tar", ["000.wav", "001.flac"])
    before = indexed(path)
    monkeypatch.setattr(index, "WHOLE", 1000)
    monkeypatch.setattr(windows, "WHOLE", 1000)
    assert indexed(path) == before
    ((window,),) = (list(read_windows(one, Cutting())) for one in stretches(before[1], Cutting()))
    assert window.clip.sha256 == read_clip(sounds / "001.flac").sha256


def test_a_tar_is_known_by_its_content_too(sounds: Path, tmp_path: Path) -> None:
    packed(sounds, tmp_path / "pack", ["000.wav"])
    assert [each.name for each in indexed(tmp_path / "pack")] == ["pack/000.wav"]


def test_links_doubles_and_names_of_every_sort(sounds: Path, tmp_path: Path) -> None:
    content = (sounds / "000.wav").read_bytes()
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        added(tar, "./a/one.wav", content)
        added(tar, "hard.wav", type=tarfile.LNKTYPE, linkname="a/one.wav")
        added(tar, "a/soft.wav", type=tarfile.SYMTYPE, linkname="one.wav")
        added(tar, "chain.wav", type=tarfile.LNKTYPE, linkname="a/soft.wav")
        added(tar, "lost.wav", type=tarfile.SYMTYPE, linkname="../../etc/passwd.wav")
        added(tar, "self.wav", type=tarfile.LNKTYPE, linkname="self.wav")
        added(tar, "a/one.wav", content)
        added(tar, "/etc/../b.wav", content)
        added(tar, "._a.wav", content)
        added(tar, "pipe.wav", type=tarfile.FIFOTYPE)
        added(tar, "dir.wav", type=tarfile.DIRTYPE)
        added(tar, "n" * 3000 + ".wav", content)
        added(tar, "m" * 10_000 + ".wav", content)
    found = indexed(tmp_path / "x.tar")
    read = {each.name.removeprefix("x.tar/"): each for each in found if not each.reason}
    assert set(read) == {
        *("a/one.wav", "hard.wav", "a/soft.wav", "chain.wav", "a/one.wav (2)", "b.wav", "n" * 3000 + ".wav")
    }
    assert len({each.sha256 for each in read.values()}) == 1
    assert read["hard.wav"].offset == read["a/soft.wav"].offset == read["chain.wav"].offset == read["a/one.wav"].offset
    reasons = [each.reason.partition(": ")[2] for each in found if each.reason]
    assert reasons[:3] == [
        "a link to what does not come before it in the tar; give the file itself",
        "a link to what does not come before it in the tar; give the file itself",
        "not a plain file in the tar; give a file without holes",
    ]
    assert reasons[3] == "its name has 10,004 characters; expected at most 4,096"
    assert len(reasons) == 4


@pytest.mark.parametrize(
    ("left", "whole", "within"), [(512, 0, 1), (30_000, 0, 1), (49_000, 1, 0), (60_000, 1, 1), (97_200, 2, 0)]
)
def test_a_tar_that_is_cut_off(sounds: Path, tmp_path: Path, left: int, whole: int, within: int) -> None:
    """What is whole is read; what is not, and that there may have been more, is told."""
    path = packed(sounds, tmp_path / "x.tar", ["000.wav", "sub/002.wav"], tarfile.USTAR_FORMAT)
    path.write_bytes(path.read_bytes()[:left])
    found = indexed(path)
    assert found[-1].reason.startswith("x.tar: damaged, or not a tar: ")
    assert sum(not each.reason for each in found) == whole
    assert sum("the tar ends within it; copy the tar again" in each.reason for each in found) == within
    assert len(found) == whole + within + 1


def test_a_tar_without_its_end_or_damaged_behind_a_member_is_told_of(sounds: Path, tmp_path: Path) -> None:
    path = packed(sounds, tmp_path / "x.tar", ["000.wav", "sub/002.wav"], tarfile.USTAR_FORMAT)
    content = path.read_bytes()
    second = content.index(b"sub/002.wav")
    path.write_bytes(content[:second])
    assert [bool(each.reason) for each in indexed(path)] == [False, True]
    path.write_bytes(content[:second] + b"garbage" + content[second + 7 :])
    found = indexed(path)
    assert [bool(each.reason) for each in found] == [False, True]
    assert "x.tar: damaged, or not a tar: it is damaged or cut off behind its last member" in found[1].reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no tar at all" * 100, "x.tar: damaged, or not a tar: "),
        (b"", "x.tar: damaged, or not a tar: "),
        (bytes(10_240), "x.tar: no audio in this tar; expected members that end in .wav, .flac, .ogg or .mp3"),
    ],
)
def test_what_is_no_tar(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    (found,) = indexed(tmp_path / "x.tar")
    assert found.reason.startswith(message)


def test_a_header_of_any_length_is_not_read(sounds: Path, tmp_path: Path) -> None:
    """Of attributes, in front of a member: the tar is as long as it says."""
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        added(tar, "a.wav", (sounds / "000.wav").read_bytes())
        added(tar, "x", bytes(8 << 20), type=tarfile.XHDTYPE)
        added(tar, "b.wav", (sounds / "000.wav").read_bytes())
    found = indexed(tmp_path / "x.tar")
    assert [each.name for each in found] == ["x.tar/a.wav", "x.tar"]
    assert "a header of 8,388,608 bytes" in found[1].reason


@pytest.mark.parametrize("size", [b"\xff" * 10 + b"\xfe\x00", b"\x80" + b"\xff" * 11, b"\x80\0\0\0\x7f" + b"\xff" * 7])
def test_a_member_of_a_size_that_cannot_be_ends_the_tar(sounds: Path, tmp_path: Path, size: bytes) -> None:
    """One of less than nothing leads back to where the tar was read already."""
    path = packed(sounds, tmp_path / "x.tar", ["000.wav", "sub/002.wav"], tarfile.USTAR_FORMAT)
    content = bytearray(path.read_bytes())
    begin = content.index(b"sub/002.wav")
    content[begin + 124 : begin + 136] = size
    content[begin + 148 : begin + 156] = b" " * 8
    content[begin + 148 : begin + 156] = b"%06o\0 " % sum(content[begin : begin + 512])
    path.write_bytes(content)
    found = indexed(path)
    assert [bool(each.reason) for each in found[:1]] == [False]
    assert 2 <= len(found) <= 3
    assert found[-1].reason.startswith("x.tar: damaged, or not a tar: ")
    assert from_table(to_table(found)) == found


@pytest.mark.parametrize("size", ["-512", "-1", "9" * 4000, "1e9"])
def test_an_attribute_of_a_size_that_cannot_be(sounds: Path, tmp_path: Path, size: str) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        added(tar, "a.wav", (sounds / "000.wav").read_bytes())
        added(tar, "b.wav", b"b" * 600, pax_headers={"size": size})
    found = indexed(path)
    assert found[0].reason == ""
    assert all(each.reason for each in found[1:])
    assert 2 <= len(found) <= 3


def test_attributes_that_would_take_a_time_with_their_square(sounds: Path, tmp_path: Path) -> None:
    """As Python's own reader once took them: names that reach to the end of all, and digits without end."""
    for content in (b"3 a" * 300_000 + b"=", b"1000012 a=" + b"1" * 1_000_001 + b"\n", b"a=b\n" * 2000):
        with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            added(tar, "a.wav", (sounds / "000.wav").read_bytes())
            added(tar, "x", content, type=tarfile.XHDTYPE)
            added(tar, "b.wav", (sounds / "000.wav").read_bytes())
        began = time.monotonic()
        found = indexed(tmp_path / "x.tar")
        assert [bool(each.reason) for each in found] == [False, True]
        assert time.monotonic() - began < 5


def test_headers_without_a_member(sounds: Path, tmp_path: Path) -> None:
    """Python's own reader goes deeper for each, and keeps the attributes of all."""
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        added(tar, "a.wav", (sounds / "000.wav").read_bytes())
        for _ in range(200):
            added(tar, "x", b"10 a=bcde\n" * 60, type=tarfile.XHDTYPE)
        added(tar, "b.wav", (sounds / "000.wav").read_bytes())
    found = indexed(tmp_path / "x.tar")
    assert "more than 8 headers in front of one member" in found[-1].reason
    assert [each.name for each in found] == ["x.tar/a.wav", "x.tar"]


def test_a_member_is_read_once_for_all_links_to_it(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        added(tar, "a.wav", (sounds / "000.wav").read_bytes())
        added(tar, "bad.wav", b"no sound")
        for number in range(3):
            for name in ("a", "bad"):
                added(tar, f"{name}-{number}.wav", type=tarfile.LNKTYPE, linkname=f"{name}.wav")
    read: list[str] = []
    monkeypatch.setattr(index, "_measured", lambda found, *given: (read.append(found.name), measured(found, *given))[1])
    found = indexed(tmp_path / "x.tar")
    assert read == ["x.tar/a.wav", "x.tar/bad.wav"]
    assert len({each.sha256 for each in found}) == 2
    assert all(each.reason.startswith(f"{each.name}: damaged") for each in found if "bad" in each.name)
    assert not any(each.reason for each in found if "bad" not in each.name)


def test_a_segment_of_a_tar_is_none(sounds: Path, tmp_path: Path) -> None:
    packed(sounds, tmp_path / "x.tar", ["000.wav"])
    (tmp_path / "m.jsonl").write_text('{"audio_filepath": "x.tar", "offset": 1}')
    assert [each.reason for each in indexed(tmp_path / "m.jsonl")] == [
        "x.tar (from 1 s): a segment of a tar; name the tar alone"
    ]


def test_packed_tars_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(InputError, match=r"x\.tar\.gz: a packed tar cannot be read in parts; unpack it to a \.tar"):
        list_audio([str(tmp_path / "x.tar.gz")])
