"""A client that crashes, hangs or writes nonsense is told of, and ends nothing but itself."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.runtimes.cells import Session, cells
from tests.runtimes.clients import CLIENTS, Client
from tests.runtimes.environments import Environment, NoEnvironmentError, make_environment
from tests.runtimes.files import Files
from tests.runtimes.inputs import Answers, Input
from tests.runtimes.running import SCRIPTS, Run, run
from tests.runtimes.session import line

HERE = Environment(Path(sys.executable))
GIVEN = (Input("short", np.ones((1, 400), np.float32)), Input("long", np.ones((2, 800), np.float32)))
EXCHANGE = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\nfrom exchange import serve\n"
WRITE = "import sys; open(sys.argv[3] + '/result.json', 'w').write('{}')"


def ran(program: str, tmp_path: Path, *, timeout: float = 30.0, arguments: tuple[str, ...] = ()) -> Run:
    script = tmp_path / "client.py"
    script.write_text(program)
    return run(HERE, script, arguments, tmp_path / "model", GIVEN, timeout)


def test_a_client_that_does_as_it_should(tmp_path: Path) -> None:
    found = ran(EXCHANGE + "serve(lambda model: lambda x: 2 * x, 'numpy', 'no-such-package')\n", tmp_path)
    assert found.errors == {}
    assert found.versions == {"numpy": np.__version__, "no-such-package": ""}
    assert {name: x.shape for name, x in found.outputs.items()} == {"short": (1, 400), "long": (2, 800)}
    assert set(found.seconds) == {"short", "long"}
    assert (found.outputs["long"] == 2).all()


def test_a_client_of_a_small_encoder_runs_that_and_no_other() -> None:
    small = Session(Files(Path("small"), Path(), Path()), GIVEN, {}, 1.0)
    both = Session(Files(Path("base"), Path(), Path()), GIVEN, {}, 1.0, small=small)
    found = {name: both.of(client).files.folder.name for name, client in CLIENTS.items()}
    assert {name for name, folder in found.items() if folder == "small"} == {
        "browser /webgpu, WebGPU",
        "browser /jspi, WebGPU",
    }
    assert small.of(CLIENTS["browser /jspi, WebGPU"]) is small  # where the whole session is of a small encoder


def test_an_error_for_one_input_leaves_the_others(tmp_path: Path) -> None:
    program = EXCHANGE + "serve(lambda model: lambda x: x / (len(x) - 1) if len(x) > 1 else x.nothing)\n"
    found = ran(program, tmp_path)
    assert list(found.outputs) == ["long"]
    assert "AttributeError" in found.errors["short"]


def test_a_model_that_is_not_loaded(tmp_path: Path) -> None:
    found = ran(EXCHANGE + "serve(lambda model: open(model))\n", tmp_path)
    assert "FileNotFoundError" in found.errors[""]
    assert found.load_seconds is None


def test_a_second_run_that_gives_something_else(tmp_path: Path) -> None:
    program = (
        EXCHANGE + "import numpy as np; r = np.random.default_rng(0)\nserve(lambda m: lambda x: r.random(x.shape))\n"
    )
    assert ran(EXCHANGE + program, tmp_path).changing == ("short", "long")


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import os; os.abort()", "it ended by signal SIGABRT: "),
        ("raise SystemExit('no licence')", "it ended by an error: no licence"),
        ("import no_such_client", "ModuleNotFoundError"),
        ("", "its result cannot be read: FileNotFoundError"),
        (
            "import sys; open(sys.argv[3] + '/result.json', 'w').write('{')",
            "its result cannot be read: JSONDecodeError",
        ),
        ("import sys; open(sys.argv[3] + '/result.json', 'w').write('[]')", "its result cannot be read: TypeError"),
        (WRITE.format('{"versions": {}, "inputs": {}}'), "nothing is told of short, long"),
    ],
)
def test_a_client_that_dies_or_writes_nonsense(program: str, told: str, tmp_path: Path) -> None:
    assert told in ran(program, tmp_path).errors[""]


def test_a_crash_keeps_what_was_done_before(tmp_path: Path) -> None:
    program = EXCHANGE + "import os\nserve(lambda model: lambda x: x if len(x) == 1 else os.abort())\n"
    found = ran(program, tmp_path)
    assert list(found.outputs) == ["short"]
    assert "SIGABRT" in found.errors[""]


def test_a_client_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    child = f"{tmp_path}/child"
    program = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen(['sleep', '600']); open({child!r}, 'w').write(str(p.pid))\ntime.sleep(600)\n"
    )
    found = ran(program, tmp_path, timeout=2.0)
    assert found.errors == {"": "it takes longer than 2 s"}
    time.sleep(0.1)
    pid = int(Path(child).read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_packages_that_cannot_be_installed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no uv there
    client = Client("x", "onnx_runtime.py", ("nothing==0",), ())
    with pytest.raises(NoEnvironmentError, match="its packages cannot be installed: nothing==0"):
        make_environment(client, client.pinned, tmp_path / "environment")
    files = Files(tmp_path, tmp_path / "weights", tmp_path / "config")
    found = cells(client, Session(files, (), {}, 1.0), "pinned")
    assert {cell["verdict"] for cell in found} == {"not run"}
    assert line(found[0]).startswith("x (pinned), float32: not run: its packages cannot be installed")


def test_a_crashed_client_is_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dies.py").write_text("import os; os.abort()")
    monkeypatch.setattr("tests.runtimes.cells.SCRIPTS", tmp_path)
    client = Client("x", "dies.py", (), (), "port", on_top=True)
    right = {one.name: Answers(np.ones((1, 1, 1)), np.ones((1, 1, 1), np.float32)) for one in GIVEN}
    session = Session(Files(tmp_path, tmp_path, tmp_path), GIVEN, right, 30.0)
    (cell,) = cells(client, session, "pinned")
    assert (cell["verdict"], cell["runs"], cell["max_error"]) == ("fails", "0 of 2", None)
    assert "SIGABRT" in line(cell)
