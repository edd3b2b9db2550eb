from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.support.corpora import KINDS, record

from aves_artifacts.base.errors import InputError
from aves_convert.sounds.audio import read_clip
from aves_verify.corpus import index
from aves_verify.corpus.index import Recording, from_table, index_block, to_table
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.windows import Cutting, read_windows, stretches


def indexed(*given: Path) -> tuple[Recording, ...]:
    return index_block(list_audio([str(each) for each in given]))


@pytest.mark.parametrize("name", KINDS)
def test_hash_format_and_length_of_every_kind(tmp_path: Path, name: str) -> None:
    path = record(tmp_path / name, 1.5)
    rate, channels, subtype = KINDS[name]
    (found,) = indexed(path)
    info = soundfile.info(path)
    assert found == Recording(
        name,
        str(path),
        None,
        path.stat().st_size,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        f"{info.format} {subtype}",
        rate,
        channels,
        0,
        len(soundfile.read(path)[0]),
    )


def test_what_is_too_large_for_the_memory_is_hashed_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path / "forest.flac", 3)
    before = indexed(path)
    monkeypatch.setattr(index, "WHOLE", 1000)
    assert indexed(path) == before


def test_bad_recordings_have_a_reason_and_spare_the_others(tmp_path: Path) -> None:
    record(tmp_path / "good.wav", 1)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "page.mp3").write_text("<html>404 not found</html>\n" * 50)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "rate.wav", np.zeros(100), 999)
    (tmp_path / "gone.wav").symlink_to("nowhere")
    reasons = {each.name: each.reason for each in indexed(tmp_path)}
    assert reasons.pop("good.wav") == ""
    assert reasons.pop("page.mp3").startswith("page.mp3: damaged, or not audio (libsndfile: ")
    assert reasons == {
        "empty.wav": "empty.wav: the file is empty; give an audio file",
        "gone.wav": "gone.wav: cannot be read: No such file or directory",
        "none.wav": "none.wav: holds no samples; give a recording",
        "rate.wav": "rate.wav: a sample rate of 999 Hz; expected 1000 to 1000000 Hz",
    }


def test_a_forbidden_file_and_one_that_changed(tmp_path: Path) -> None:
    path = record(tmp_path / "a.wav", 1)
    entries = list_audio([str(path)])
    with path.open("ab") as file:
        file.write(b"more")
    assert index_block(entries)[0].reason == ("a.wav: changed since it was listed; run again when nothing writes to it")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # permissions bind everybody else
        os.seteuid(65534)
    try:
        assert index_block(entries)[0].reason == "a.wav: cannot be read: Permission denied"
    finally:
        os.seteuid(user)


def test_a_header_that_promises_more_than_the_file_holds(tmp_path: Path) -> None:
    path = record(tmp_path / "cut.wav", 1)
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 2**31 - 64)  # the length of the data chunk
    path.write_bytes(content)
    assert indexed(path)[0].frames == 16_000


def test_a_length_that_no_header_tells_is_counted(tmp_path: Path) -> None:
    """As an encoder writes it that writes into a pipe."""
    path = record(tmp_path / "forest.flac", 2)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    (found,) = indexed(path)
    assert found.frames == 88_200
    ((window,),) = (list(read_windows(each, Cutting())) for each in stretches(found, Cutting()))
    assert window.clip.sha256 == read_clip(path).sha256


@pytest.mark.parametrize("name", ["cut.wav", "cut.mp3", "cut.ogg", "cut.flac"])
def test_files_that_are_cut_off_are_read_as_far_as_read_clip_reads_them(tmp_path: Path, name: str) -> None:
    kind = next(each for each in KINDS if each.endswith(name[3:]))
    path = record(tmp_path / name, 4, kind=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (found,) = indexed(path)
    if name == "cut.flac":
        assert found.reason.startswith("cut.flac: damaged, or not audio")
    else:
        ((window,),) = (list(read_windows(each, Cutting())) for each in stretches(found, Cutting()))
        assert window.clip.sha256 == read_clip(path).sha256
        assert 1.4 < window.clip.duration < 2.1


def test_an_mp3_that_begins_with_something_else(tmp_path: Path) -> None:
    """libsndfile finds its first frame where the name says that it is one."""
    path = record(tmp_path / "phone.mp3", 2)
    path.write_bytes(b"junk" * 300 + path.read_bytes())
    (found,) = indexed(path)
    ((window,),) = (list(read_windows(each, Cutting())) for each in stretches(found, Cutting()))
    assert window.clip.sha256 == read_clip(path).sha256


def test_segments(tmp_path: Path) -> None:
    path = record(tmp_path / "stereo.wav", 3)
    (entry,) = list_audio([str(path)])
    cut_out = soundfile.read(path)[0][44_100:66_150]
    soundfile.write(tmp_path / "cut.wav", cut_out, 44_100)
    (found,) = index_block([replace(entry, name="stereo.wav (1 to 1.5 s)", begin=1.0, duration=0.5)])
    assert (found.begin, found.frames) == (44_100, 22_050)
    ((window,),) = (list(read_windows(each, Cutting())) for each in stretches(found, Cutting()))
    assert window.clip.sha256 == read_clip(tmp_path / "cut.wav").sha256
    assert index_block([replace(entry, begin=2.5)])[0].frames == 22_050
    assert index_block([replace(entry, begin=2.5, duration=0.6)])[0].frames == 22_050  # rounded by whoever wrote it
    for begin, duration in ((3.0, 1.0), (2.0, 2.5)):
        (found,) = index_block([replace(entry, begin=begin, duration=duration)])
        assert "the recording has 3 s, and the segment is to begin at" in found.reason


def test_a_file_is_read_once_for_all_its_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "a.wav", 3)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    times = [{"offset": i / 2, "duration": 0.5} for i in range(6)]
    rows = [{"audio_filepath": name, **time} for name in ("a.wav", "bad.wav") for time in times]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    measured = index._measured
    read: list[str] = []

    def counting(found: Recording, *given: Any) -> Any:
        read.append(found.address)
        return measured(found, *given)

    monkeypatch.setattr(index, "_measured", counting)
    found = indexed(tmp_path / "m.jsonl")
    assert read == [str(tmp_path / "a.wav"), str(tmp_path / "bad.wav")]
    assert [(each.begin, each.frames) for each in found[:6]] == [(8000 * i, 8000) for i in range(6)]
    assert all(each.reason.startswith(f"{each.name}: damaged, or not audio") for each in found[6:])
    record(tmp_path / "a.wav", 2, seed=1)
    assert sum(bool(each.reason) for each in indexed(tmp_path / "m.jsonl")[:6]) == 2  # it is another file by now


def test_tables(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 1)
    (tmp_path / "b.wav").touch()
    with open(os.path.join(os.fsencode(tmp_path), b"\xfcber.wav"), "wb") as file:
        file.write(b"x")
    found = indexed(tmp_path)
    found += (replace(found[0], name="t.tar/a.wav", offset=512),)
    content = to_table(found)
    assert from_table(content) == found
    assert to_table(found) == content
    assert from_table(to_table(())) == ()
    for damaged in (b"", b"no table", content[:-20], content[:100] + b"XXXX" + content[104:]):
        with pytest.raises(InputError, match="an index of recordings is damaged"):
            from_table(damaged)
