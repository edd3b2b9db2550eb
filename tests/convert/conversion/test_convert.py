"""What a conversion writes is of one file, and nothing is left where it cannot be written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.processes import run

from aves_artifacts.base.errors import InputError
from aves_convert.conversion import convert
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx, fairseq_to_torchaudio
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file

CONVERSIONS: dict[str, Callable[[Path, Path], object]] = {
    "bundle": lambda path, out: make_bundle(Source(path), Target(out, "tiny")),
    "torchaudio": lambda path, out: fairseq_to_torchaudio(Source(path), Target(out, "tiny")),
    "onnx": lambda path, out: fairseq_to_onnx(Source(path), out / "tiny.onnx"),
}


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_a_checkpoint_that_changes_while_it_is_read(
    kind: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "tiny.pt", tmp_path / "out"
    path.write_bytes(tiny_checkpoint.read_bytes())

    def change(checkpoint: object, **options: object) -> object:
        path.write_bytes(tiny_checkpoint.read_bytes() + b"")
        return real(checkpoint, **options)  # type: ignore[arg-type]

    real = convert.to_torchaudio
    monkeypatch.setattr(convert, "to_torchaudio", change)
    with pytest.raises(InputError, match="changed while it was read"):
        CONVERSIONS[kind](path, out)
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [600, 60_000])
@pytest.mark.parametrize("command", ["bundle", "fairseq2torchaudio", "fairseq2onnx", "stand-in"])
def test_a_file_that_cannot_be_written_to_its_end(
    command: str, limit: int, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """As on a full disk: the system refuses to write more than the limit."""
    out = tmp_path / "out"
    words = [command, "bio" if command == "stand-in" else str(tiny_checkpoint), "--out"]
    words.append(str(out if command in ("bundle", "fairseq2torchaudio") else tmp_path / "x.file"))
    ran = subprocess.run(
        [sys.executable, "-c", "from aves_convert.cli import main; main()", *words],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert "File too large" in ran.stderr
    assert ".partial" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_conversion_holds_the_weights_once(tmp_path: Path) -> None:
    """Peaks of whole commands on models of two sizes; asked of a small process, as theirs begin with what it holds."""
    mib, commands = [], []
    for inner in (50_000, 450_000):
        checkpoint = tmp_path / f"{inner}.pt"
        contents = checkpoint_contents({**GEOMETRIES["tiny"], "encoder_ffn_embed_dim": inner}, seed="memory")
        write_torch_file(contents, checkpoint)
        mib.append(checkpoint.stat().st_size / 2**20)
        main = "from aves_convert.cli import main; main()"
        commands.append(
            [sys.executable, "-c", main, "fairseq2onnx", str(checkpoint), "--out", str(checkpoint.with_suffix(".onnx"))]
        )
    program = f"from benchmarks.processes import run; print(*(run(each).peak_mib for each in {commands!r}))"
    small, large = map(float, run([sys.executable, "-c", program]).output.split())
    assert 0.9 < (large - small) / (mib[1] - mib[0]) < 1.1


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_files_have_the_permissions_of_any_new_file(kind: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        CONVERSIONS[kind](tiny_checkpoint, tmp_path)
    finally:
        os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
