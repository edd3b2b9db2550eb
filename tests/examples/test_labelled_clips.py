from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.support.recordings import write_recordings

from aves_artifacts.base.errors import InputError
from labelled_clips import read_labelled


def test_a_subfolder_is_a_label_at_any_depth(tmp_path: Path) -> None:
    write_recordings(tmp_path, ["trill", "hiss"], 2)
    (tmp_path / "trill" / "site 1").mkdir()
    (tmp_path / "trill" / "trill 1.wav").rename(tmp_path / "trill" / "site 1" / "a.wav")
    (tmp_path / ".cache").mkdir()
    data = read_labelled(tmp_path)
    assert data.labels == ("hiss", "trill")
    assert data.one_label_each
    assert {(Path(c.source).parent.name, name) for c, name in zip(data.clips, data.names(data.truth), strict=True)} == {
        ("hiss", "hiss"),
        ("trill", "trill"),
        ("site 1", "trill"),
    }


def test_what_cannot_be_used_is_left_out_and_named(tmp_path: Path) -> None:
    write_recordings(tmp_path, ["trill", "hiss"], 1)
    (tmp_path / "hiss" / "torn.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "hiss" / "blip.wav", np.zeros(399, np.float32), 16_000)
    data = read_labelled(tmp_path)
    assert len(data.clips) == 2
    assert [("torn.wav" in line, "blip.wav" in line) for line in data.unusable] == [(True, False), (False, True)]


def test_a_table_gives_several_labels_or_none(tmp_path: Path) -> None:
    write_recordings(tmp_path, ["trill", "hiss"], 2)
    rows = ["trill/trill 1.wav,trill", "trill/trill 1.wav,hiss", "trill/trill 2.wav,", "hiss/hiss 1.wav,hiss"]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    data = read_labelled(tmp_path / "labels.csv")
    assert not data.one_label_each
    assert data.names(data.truth) == ["hiss; trill", "", "hiss"]
    assert not data.only(np.array([False, False, True])).one_label_each  # as in the whole set


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,label\na.wav,x\n", "expected a header with file and label"),
        ("file,label\n", "expected a header with file and label"),
        ("file,label\n,x\n", "row 2 names no file"),
        ("file,label\ngone.wav,x\n", "gone.wav: no such file"),
        ("file,label\na.wav\n", "a.wav: no such file"),
        ("\xff", "expected CSV in UTF-8"),
    ],
)
def test_other_tables_are_refused(table: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(table, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        read_labelled(tmp_path / "labels.csv")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no subfolders; expected one for each label"):
        read_labelled(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_labelled(tmp_path / "gone")
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read as a table"):
        read_labelled(tmp_path / "gone.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no audio in this folder"):
        read_labelled(tmp_path)
