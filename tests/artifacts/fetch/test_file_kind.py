import io
import random
import zipfile
from pathlib import Path

import pytest
from tests.support.documents import BASE
from tests.support.servers.published_files import onnx_file, torch_file

from aves_artifacts.fetch.file_kind import content_problem

TORCH, ONNX, CONFIG = torch_file(1, 20_000), onnx_file(1), BASE.to_json().encode()


def problem(tmp_path: Path, role: str, content: bytes) -> str:
    path = tmp_path / "x.part"
    path.write_bytes(content)
    return content_problem(path, role, 768)  # type: ignore[arg-type]


def zipped(names: list[str], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name in names:
            archive.writestr(name, b"0" * 1000)
    return buffer.getvalue()


def changed(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + bytes([value]) + content[place + 1 :]


# Where the central directory says it: the version needed, the flags, and the position of the first record.
DIRECTORY = TORCH.index(b"PK\x01\x02")
ODD = {
    "another version": changed(TORCH, DIRECTORY + 6, 99),
    "patched data": changed(TORCH, DIRECTORY + 8, 0x20),
    "strong encryption": changed(TORCH, DIRECTORY + 8, 0x40),
    "encrypted": changed(TORCH, DIRECTORY + 8, 1),
    "an unknown compression": changed(TORCH, DIRECTORY + 10, 97),
    "before the beginning": changed(TORCH, len(TORCH) - 3, 0xFF),
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_an_odd_zip_archive_is_told(content: bytes, tmp_path: Path) -> None:
    assert "zip archive" in problem(tmp_path, "original", content)


@pytest.mark.slow
def test_whatever_a_directory_says_is_told(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311
    for _ in range(800):
        content = TORCH
        for _ in range(chance.randrange(1, 4)):
            content = changed(content, chance.randrange(DIRECTORY, len(TORCH)), chance.choice([0, 1, 0x40, 0xFF]))
        assert problem(tmp_path, "original", content).isprintable()


def test_one_record_many_times_is_not_read_many_times(tmp_path: Path) -> None:
    """A directory of a thousand entries that all mean the same bytes."""
    content = zipped(["x/data.pkl"])
    at = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    many = content[:at] + content[at:end] * 1000
    size = (1000 * (end - at)).to_bytes(4, "little")
    tail = b"PK\x05\x06" + bytes(4) + (1000).to_bytes(2, "little") * 2 + size + at.to_bytes(4, "little") + bytes(2)
    assert "its records hold more than the file" in problem(tmp_path, "original", many + tail)


def test_what_torch_writes_is_accepted(tmp_path: Path) -> None:
    import torch

    for zip_format in (True, False):
        buffer = io.BytesIO()
        torch.save({"x": torch.zeros(1000)}, buffer, _use_new_zipfile_serialization=zip_format)
        assert problem(tmp_path, "original", buffer.getvalue()) == ""


@pytest.mark.parametrize(("role", "content"), [("torchaudio", TORCH), ("onnx", ONNX), ("config", CONFIG)])
def test_a_published_file_is_accepted_and_no_beginning_of_it(role: str, content: bytes, tmp_path: Path) -> None:
    assert problem(tmp_path, role, content) == ""
    for length in (0, 1, 10, 100, len(content) // 2, len(content) - 100, len(content) - 2):
        assert problem(tmp_path, role, content[:length]), length


def test_no_onnx_model_is_cut_off_unnoticed(tmp_path: Path) -> None:
    """Also where the cut falls between two fields, which are near the ends."""
    lengths = [*range(100), *range(100, len(ONNX) - 100, 997), *range(len(ONNX) - 100, len(ONNX))]
    assert [length for length in lengths if not problem(tmp_path, "onnx", ONNX[:length])] == []


@pytest.mark.parametrize(
    ("role", "content", "expected"),
    [
        ("original", b"<!DOCTYPE html><html>Not found</html>", "an HTML or XML page"),
        ("onnx", b"\n <?xml version='1.0'?><Error/>", "an HTML or XML page"),
        ("config", b"<html>", "an HTML or XML page"),
        ("original", b"version https://git-lfs.github.com/spec/v1", "begins 'version https://git-lfs"),
        ("original", ONNX, "no file of torch.save"),
        ("original", b"\x80\x04pickle", "no file of torch.save"),
        ("original", zipped(["x.txt"]), "torch.save did not write"),
        ("original", zipped(["x/data.pkl"], zipfile.ZIP_DEFLATED), "compressed"),
        ("original", TORCH[:5000] + b"?" + TORCH[5001:], "archive/data/0 fails its CRC-32"),
        ("onnx", TORCH, "no ONNX model"),
        ("onnx", CONFIG, "no ONNX model"),
        ("onnx", b"\x08\x0a", "no ONNX model"),
        ("onnx", b"\x08" + b"\xff" * 20, "no ONNX model"),
        ("config", TORCH, "not a JSON config"),
        ("config", b"{}", "missing entries"),
        ("config", CONFIG.replace(b"768", b"1536"), "dimension 1536, expected 768"),
    ],
)
def test_what_it_is_not_is_told(role: str, content: bytes, expected: str, tmp_path: Path) -> None:
    assert expected in problem(tmp_path, role, content)
