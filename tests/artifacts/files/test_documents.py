"""Opening what a user names, and parsing documents: nothing waits, nothing grows, everything wrong has words."""

import os
import threading
from pathlib import Path

import pytest

from aves_artifacts.files.documents import open_file, parse_json, parse_toml, read_file


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(b"text")
    assert read_file(path) == b"text"
    (tmp_path / "link").symlink_to(path)
    assert read_file(tmp_path / "link") == b"text"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe or a device"):
        read_file(tmp_path / "pipe")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_not_read(device: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - a system may have no terminal
        read_file(Path(device))


def test_a_file_that_becomes_a_pipe_between_look_and_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "document", os.stat
    path.write_bytes(b"text")
    file = real(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_, **__: file)
    done = threading.Event()

    def read() -> None:
        with pytest.raises(OSError, match="pipe or a device"):
            open_file(path)
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(5)


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none")


def test_a_document_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(b"x" * 2049)
    assert len(read_file(path, 2049)) == 2049
    with pytest.raises(OSError, match="larger than 2 KiB"):
        read_file(path, 2048)


def test_json_is_parsed() -> None:
    assert parse_json('{"a": [1, 2.5, "ä", null, true], "b": {}}') == {"a": [1, 2.5, "ä", None, True], "b": {}}
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"  # a pair of surrogates is one character


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
        ('{"x": {"b": 1, "c": 0, "b": 1}}', "'b' stands there twice"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 50_000, "nested too deeply"),
        ("NaN", "no number of JSON"),
        ("-Infinity", "no number of JSON"),
        ("1e999", "too large"),
        ("1" * 5000, "too large"),
        ("18446744073709551616", "more than 64 bits"),
        ('"\\ud800"', "surrogates"),
        ('{"\\udfff": 0}', "surrogates"),
        (b"\xff", "decode"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
    ],
)
def test_what_is_no_json_has_words(document: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_json(document)


def test_json_may_be_nested_deeper_than_any_document_is() -> None:
    assert str(parse_json("[" * 99 + "]" * 99)) == "[" * 99 + "]" * 99


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a." * 40 + "a = 1", "line 1 has more than 32 dots"),
        ('"a" . ' * 40 + "a = 1", "line 1 has more than 32 dots"),
        ("x = 1\n[" + "a." * 40 + "a]", "line 2 has more than 32 dots"),
        ("a = " + "[" * 20_000, "nested too deeply"),
        ("a = " + "{a = " * 20_000, "nested too deeply"),
        ("a = " + "9" * 5000, "digits"),
        ("a = 0x" + "f" * 5000, "too large"),
        ("[a]\nb = [1, -18446744073709551616]", "too large"),
        ("a = 1\na = 2", "overwrite"),
        ("#" * (1 << 20), "expected at most"),
    ],
)
def test_what_is_no_toml_has_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_toml(text)
