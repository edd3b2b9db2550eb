"""Every kind of file is told apart, with the next command; nothing in it runs, and nothing of it breaks the telling."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.hostile_files import HOSTILE_FILES, HostileFile
from tests.support.inspected import command
from tests.support.pickle_bytes import COMMAND, SYSTEM, pickled, reduced

from aves_artifacts.base.errors import InputError
from aves_convert.inspection.identify import inspect


# --- what is nothing of ours
@pytest.mark.parametrize("file", HOSTILE_FILES, ids=lambda file: file.name)
def test_hostile_files_end_in_one_line(file: HostileFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pt").write_bytes(file.make())
    result = command(tmp_path / "x.pt", "--json")
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    problems = result.stderr.splitlines()
    assert all(line.startswith(f"Error: {tmp_path / 'x.pt'}") for line in problems)
    assert len(problems) == (2 if file.name == "foreign_json" else 1)
    assert json.loads(result.stdout)["usable"] is False
    assert not (tmp_path / "EXECUTED").exists()


def test_what_a_pickle_wants_to_run_is_shown(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(pickled([reduced(SYSTEM, COMMAND), {"a": 1}]))
    found = inspect(tmp_path / "x.pt")
    assert found.kind == "pickle that wants to run something"
    assert found.facts == {"wants_to_run": ["posix.system('touch EXECUTED')"]}
    result = command(tmp_path / "x.pt")
    assert result.exit_code == 2
    assert "wants to run" in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html><body>Not found", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a git-lfs pointer"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}" + bytes(16), "a safetensors file"),
        (b"PK\x03\x04" + bytes(200), "zip"),
        (b"plain text\n", "a text file"),
    ],
)
def test_other_files(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    found = inspect(tmp_path / "x.pt")
    assert (found.kind, found.next) == ("unusable", None)
    assert message in "\n".join(found.problems)
    result = command(tmp_path / "x.pt")
    assert (result.exit_code, result.stdout) == (2, "")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        inspect(tmp_path / "x.pt")
    assert command(tmp_path / "x.pt").exit_code == 2


def test_files_are_told_without_torch(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_bytes(b"<html>")
    endings = ("onnx", "torchaudio.pt", "torchaudio.model_config.json")
    paths = [tmp_path / "page.pt", bundle, *(bundle / f"tiny.{ending}" for ending in endings)]
    program = (
        "import sys; from pathlib import Path; from aves_convert.inspection.identify import inspect; "
        "[inspect(Path(p)).to_text() for p in sys.argv[1:]]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, *map(str, paths)], check=False).returncode == 0
