"""The tests pass wherever they are started."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_in_a_background_job(tmp_path: Path) -> None:
    """Whose shell has Ctrl-C ignored."""
    stopped = ROOT / "tests" / "artifacts" / "base" / "test_command_line.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "stopped", str(stopped)]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout
