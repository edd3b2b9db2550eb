from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from tests.support.corpora import record

from aves_artifacts.base.errors import InputError
from aves_verify.corpus import manifest_rows
from aves_verify.corpus.index import index_block
from aves_verify.corpus.listing import Entry, list_audio
from aves_verify.corpus.manifests import is_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "sub/b.wav", "sub/c.wav"):
        record(tmp_path / "data" / name, 2)
    return tmp_path / "data"


def listed(path: Path, content: str | bytes) -> tuple[Entry, ...]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list_audio([str(path)])


def names(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.name for entry in entries]


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


ALL = ["a.wav", "sub/b.wav", "sub/c.wav"]
NEMO = [{"audio_filepath": name, "duration": 2.0, "text": "owl"} for name in ALL]
LHOTSE = [
    {"id": name, "sources": [{"type": "file", "channels": [0], "source": name}], "sampling_rate": 16_000, "duration": 2}
    for name in ALL
]

ONE_CHANNEL = {
    "start": 0,
    "duration": 1,
    "channel": 1,
    "recording": {"sources": [{"type": "file", "channels": [0, 1], "source": "a.wav"}]},
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.txt", "# owls\na.wav\n\n  sub/b.wav\r\n./sub/x/../c.wav\n"),
        ("m.txt", "\ufeffa.wav\nsub/b.wav\nsub/c.wav"),
        ("m.lst", "path,label\na.wav,owl\nsub/b.wav,\nsub/c.wav,owl\n"),
        ("m.csv", 'label,Path\nowl,a.wav\n"an ""owl""\nthat calls",sub/b.wav\nowl,sub/c.wav\n'),
        ("m.csv", "label;filename\nowl;a.wav\nowl;sub/b.wav\nowl;sub/c.wav\n"),
        ("m.tsv", "client_id\tpath\n1\ta.wav\n2\tsub/b.wav\n3\tsub/c.wav\n"),
        ("m.json", lines(*NEMO)),
        ("m.txt", lines(*NEMO)),
        ("manifest", lines(*NEMO)),
        ("manifest", "a.wav\nsub/b.wav\nsub/c.wav\n"),
        ("recordings.jsonl", lines(*LHOTSE)),
        ("recordings.jsonl.gz", gzip.compress(lines(*LHOTSE).encode(), mtime=0)),
        ("m.txt.gz", gzip.compress("\n".join(ALL).encode(), mtime=0)),
    ],
)
def test_every_kind_of_manifest(folder: Path, name: str, content: str | bytes) -> None:
    found = listed(folder / name, content)
    assert names(found) == ALL
    assert [entry.address for entry in found] == [str(folder / each) for each in ALL]
    assert all(entry.size and entry.version for entry in found)
    assert {(entry.begin, entry.duration) for entry in found} == {(0.0, None)}
    assert not any(recording.reason for recording in index_block(found))


def test_parquet(folder: Path) -> None:
    table = pyarrow.table({"label": [1, 2, 3], "Audio_Path": ALL, "offset": [None, 0.5, None], "duration": [2.0] * 3})
    pyarrow.parquet.write_table(table, folder / "m.parquet")
    assert names(list_audio([str(folder / "m.parquet")])) == ["a.wav", "sub/b.wav (0.5 to 2.5 s)", "sub/c.wav"]


def test_segments_of_nemo_and_cuts_of_lhotse(folder: Path) -> None:
    nemo = [{"audio_filepath": "a.wav", "offset": begin, "duration": 0.5} for begin in (0, 0.5, 1.25, 1.25)]
    assert names(listed(folder / "m.json", lines(*nemo))) == [
        "a.wav (0 to 0.5 s)",
        "a.wav (0.5 to 1 s)",
        "a.wav (1.25 to 1.75 s)",
    ]
    cuts = [
        {"id": "1", "start": start, "duration": duration, "channel": 0, "recording": LHOTSE[0], "type": "MonoCut"}
        for start, duration in ((0, 2), (0.5, 1.5))
    ]
    found = listed(folder / "cuts.jsonl.gz", gzip.compress(lines(*cuts).encode(), mtime=0))
    assert names(found) == ["a.wav", "a.wav (0.5 to 2 s)"]
    assert [recording.frames for recording in index_block(found)] == [32_000, 24_000]


def test_absolute_paths_are_called_by_what_is_different(folder: Path, tmp_path: Path) -> None:
    found = listed(tmp_path / "m.txt", "\n".join(str(folder / name) for name in ALL))
    assert names(found) == ALL
    (folder / "lists").mkdir()
    found = listed(folder / "lists" / "m.txt", "../a.wav\n../sub/b.wav")
    assert names(found) == ["a.wav", "sub/b.wav"]
    assert names(listed(tmp_path / "one.txt", str(folder / "sub/b.wav"))) == ["b.wav"]
    assert names(listed(tmp_path / "u.txt", f"file://{folder}/a.wav\n{folder}/sub/b.wav\n")) == ["a.wav", "sub/b.wav"]


def test_two_manifests_and_a_folder(folder: Path) -> None:
    (folder / "m.txt").write_text("a.wav\n")
    (folder / "n.csv").write_text("path\nsub/b.wav\na.wav\n")
    found = list_audio([str(folder / each) for each in ("m.txt", "n.csv", "sub")])
    assert names(found) == ["m.txt/a.wav", "n.csv/sub/b.wav", "sub/c.wav"]


def test_a_file_that_is_not_there_is_told_when_it_is_read(folder: Path) -> None:
    found = listed(folder / "m.txt", "a.wav\ngone.wav\n")
    assert names(found) == ["a.wav", "gone.wav"]
    assert index_block(found)[1].reason == "gone.wav: cannot be read: No such file or directory"
    with pytest.raises(InputError, match=r"n\.txt: not one of the files that it names is there, such as .*x\.wav"):
        listed(folder / "n.txt", "x.wav\ny.wav\n")


def test_remote_manifests(folder: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe_file("/manifests/data/a.wav", (folder / "a.wav").read_bytes())
    store.pipe_file("/manifests/lists/m.txt", b"../data/a.wav\nmemory://manifests/data/gone.wav\n")
    found = list_audio(["memory://manifests/lists/m.txt"])
    assert names(found) == ["a.wav", "gone.wav"]
    assert found[0].address == "memory://manifests/data/a.wav"
    reasons = [recording.reason for recording in index_block(found)]
    assert reasons == ["", "gone.wav: cannot be read: no such file"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "path,label\na.wav\n", r"m\.csv: line 2: 1 columns; expected 2 as in the first line; correct the"),
        ("m.csv", 'path,label\n"a.wav,owl\n', r"m\.csv: line 2: unexpected end of data"),
        ("m.csv", "path,label\n,owl\na.wav,owl\n", r"m\.csv: line 2: names no file"),
        ("m.csv", "label,species\nowl,barn\n", r"m\.csv: no column with paths; expected one of audio_filepath, "),
        ("m.csv", "path,offset\na.wav,-1\n", r"m\.csv: line 2: offset is '-1'; expected seconds"),
        ("m.csv", "path,offset\na.wav,nan\n", r"m\.csv: line 2: offset is 'nan'; expected seconds"),
        ("m.txt", b"\xff\xfea\0.\0w\0", r"m\.txt: line 1: not text in UTF-8"),
        ("m.txt", "# nothing\n\n", r"m\.txt: names no recordings; expected a path on each line"),
        ("m.txt", "a\0.wav\n", r"m\.txt: line 1: 'a\\x00\.wav' is no path"),
        ("m.txt", "a" * 5000, r"m\.txt: line 1: 'a{98,}\.* ?.* is no path"),
        ("m.txt", "s3:/\n" + "a://[::1\n", r"m\.txt|not an address|cannot open"),
        ("m.json", '[{"audio_filepath": "a.wav"}]', r"m\.json: expected JSON lines"),
        ("m.json", '{"audio_filepath": "a.wav"\n', r"m\.json: line 1: not JSON"),
        ("m.json", '{"audio_filepath": 3}\n', r"m\.json: line 1: audio_filepath is 3; expected a path"),
        ("m.json", '{"a": 1, "a": 2}\n', r"m\.json: line 1: not JSON: the key 'a' stands there twice"),
        ("m.json", '{"text": "owl"}\n' * 50, r"m\.json: line 20: names no file\nand maybe more\nHint: correct the"),
        ("m.json", '{"audio_filepath": "a.wav", "offset": 0, "duration": 0}', r"duration is 0; expected seconds"),
        ("m.json", '{"audio_filepath": "a.wav", "offset": 1e400}', r"line 1: not JSON"),
        ("m.json", '{"audio_filepath": "a.wav", "offset": true}', r"offset is True; expected seconds"),
        ("m.json", '{"x":' * 5000, r"m\.json: line 1: not JSON: it is nested too deeply"),
        ("r.jsonl", '{"sources": []}', r"line 1: a recording in several files, or in none"),
        (
            "r.jsonl",
            '{"sources": [{"type": "command", "source": "rm -r x"}]}',
            r"of the type 'command', which is not run",
        ),
        ("r.jsonl", '{"tracks": []}', r"line 1: a cut that is mixed of several"),
        ("r.jsonl", '{"start": 0, "duration": 1, "supervisions": []}', r"line 1: a cut without its recording"),
        ("c.jsonl", lines(ONE_CHANNEL), r"line 1: a cut of some of 2 channels, which are averaged here"),
        ("m.parquet", "no table", r"m\.parquet: damaged, or not a Parquet file"),
        ("m.parquet", b"PAR1" + bytes(100), r"m\.parquet: damaged, or not a Parquet file"),
        ("m.txt.gz", gzip.compress(b"a.wav\n" * 1000, mtime=0)[:-10], r"m\.txt\.gz: damaged"),
    ],
)
def test_bad_lines_are_told_with_their_number(folder: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        listed(folder / name, content)


def test_sound_itself_in_a_table_is_refused(folder: Path) -> None:
    table = pyarrow.table({"audio": [{"bytes": b"x", "path": "a.wav"}]})
    pyarrow.parquet.write_table(table, folder / "m.parquet")
    with pytest.raises(InputError, match=r"line 1: audio is \{\.\.\.\}; expected a path"):
        list_audio([str(folder / "m.parquet")])
    pyarrow.parquet.write_table(pyarrow.table({"label": [1]}), folder / "m.parquet")
    with pytest.raises(InputError, match="no column with paths"):
        list_audio([str(folder / "m.parquet")])


def test_a_manifest_that_unpacks_to_a_great_deal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"line 1: more than 1,048,576 bytes in a line, which no manifest has"):
        listed(folder / "m.txt.gz", gzip.compress(bytes(64 << 20), mtime=0))
    monkeypatch.setattr(manifest_rows, "_MOST_BYTES", 1 << 20)
    with pytest.raises(InputError, match=r"line \d+: more than 1,048,576 bytes in all"):
        listed(folder / "m.txt.gz", gzip.compress(b"a.wav\n" * 300_000, mtime=0))


def test_a_small_manifest_of_any_number_of_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that name nothing, or the same again, take a time each and no room in a packed file."""
    monkeypatch.setattr(manifest_rows, "_MOST_ROWS", 1000)
    for line in (b"\n", b"a.wav\n", b"# a\n"):
        with pytest.raises(InputError, match=r"m\.txt\.gz: more than 1,000 rows; give several manifests"):
            listed(folder / "m.txt.gz", gzip.compress(b"a.wav\n" + line * 1000, mtime=0))
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a.wav"] * 1001}), folder / "m.parquet")
    with pytest.raises(InputError, match=r"m\.parquet: more than 1,000 rows"):
        manifest_rows.parquet_columns(folder / "m.parquet", "m.parquet")


def test_a_table_whose_end_is_damaged_is_told_and_ends_no_process(folder: Path) -> None:
    """Asked for a column's facts, pyarrow ends the whole process where these contradict one another."""
    path = folder / "m.parquet"
    columns = pyarrow.table({"path": ["a.wav", None], "offset": [0.0, 1.0]})
    pyarrow.parquet.write_table(columns, path, store_schema=False)
    content = path.read_bytes()
    end = len(content) - 8
    told = 0
    for bit in range(8 * (end - int.from_bytes(content[end : end + 4], "little")), 8 * end):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            manifest_rows.parquet_columns(path, "m.parquet")
        except InputError:
            told += 1
    assert told > 100


def test_a_small_table_that_unpacks_to_more_than_there_is(folder: Path) -> None:
    """Its only value is written once, and is that of every row."""
    path = folder / "m.parquet"
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 8192, pyarrow.int32()), ["a" * (1 << 19)])
    pyarrow.parquet.write_table(pyarrow.table({"path": column}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=r"m\.parquet: cannot be unpacked: it takes more than .* GiB of memory"):
        list_audio([str(path)])


@pytest.mark.parametrize(("name", "content"), [("m.csv", "path,Path\na.wav,sub/b.wav\n"), ("m.parquet", "")])
def test_a_column_that_stands_there_twice(folder: Path, name: str, content: str) -> None:
    if not content:
        pyarrow.parquet.write_table(pyarrow.table({"path": ["a.wav"], "Path": ["sub/b.wav"]}), folder / name)
        content = (folder / name).read_bytes()  # type: ignore[assignment]
    with pytest.raises(InputError, match="the column 'path' stands there twice; keep one"):
        listed(folder / name, content)


def test_sound_is_no_manifest(folder: Path) -> None:
    for name, content in (
        ("sound", (folder / "a.wav").read_bytes()),
        ("page", b"<html>\n"),
        ("empty", b""),
        ("flac", b"fLaC\0\0\0\x22" + bytes(100)),
    ):
        (folder / name).write_bytes(content)
        assert not is_manifest(str(folder / name))
    soundfile.write(folder / "m.wav", np.zeros(100), 16_000)
    assert not is_manifest(str(folder / "m.wav"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('path,"x" y\ngull.wav,1\n', "line 1: ',' expected after"),
        ("pa\rth,label\n", "no column with paths"),
    ],
)
def test_a_table_whose_first_line_is_none(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode())
    with pytest.raises(InputError) as raised:
        list_audio([str(tmp_path / "list.csv")])
    assert told in str(raised.value)
