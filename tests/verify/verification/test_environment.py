import importlib.metadata
from pathlib import Path

import onnxruntime
import pytest
import torch

from aves_verify.verification.environment import environment


def test_it_tells_what_computes() -> None:
    found = environment()
    assert found["torch"] == importlib.metadata.version("torch")
    assert found["onnxruntime"] == onnxruntime.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["cpu"]
    assert {"python", "torchaudio", "onnx", "numpy", "fairseq", "aves-ports"} <= set(found)


def test_what_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(package: str) -> str:
        if package == "fairseq":
            raise importlib.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = environment()
    assert found["fairseq"] is None
    assert found["torch"] is not None


@pytest.mark.parametrize("content", [None, b"flags\t: fpu\n", b"model name\t: A \xff Processor\n"])
def test_a_processor_always_has_a_name(content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is missing, as on a Mac, has no such line, as on ARM, or is no UTF-8."""

    real = Path.read_text

    def read_text(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if path != Path("/proc/cpuinfo"):
            return real(path, encoding, errors)
        if content is None:
            raise FileNotFoundError(path)
        return content.decode(encoding or "utf-8", errors or "strict")

    monkeypatch.setattr(Path, "read_text", read_text)
    assert environment()["cpu"]
