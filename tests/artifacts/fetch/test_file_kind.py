import io
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
