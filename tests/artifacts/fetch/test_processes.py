"""Fetching in processes of their own: killed, stopped, two at once, on a disk that fills up."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections import deque

import pytest
from tests.support.servers import misbehaving_server as bad
from tests.support.servers.misbehaving_server import Server
from tests.support.servers.published_files import original

from aves_artifacts.configurations.store import part_of
from aves_artifacts.fetch.lock_file import default_lock_file

pytestmark = pytest.mark.slow


def start(*arguments: str, file_limit: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    program = "import sys; from aves_artifacts.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "fetch", "owls", "--only", "original", *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=limit,
    )


def wait_for_part(size: int) -> None:
    deadline = time.monotonic() + 20
    while not part_of(original()).is_file() or part_of(original()).stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_fetch_goes_on(server: Server) -> None:
    sizes = (1, 50_000, 120_000, 250_000)
    for size in sizes:
        server.script["/owls.pt"] = deque([bad.drip(3)])
        process = start()
        wait_for_part(size)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert not original().exists()
        assert default_lock_file().entries() == {}
    server.script.clear()
    process = start()
    assert process.wait(timeout=20) == 0
    process.communicate()
    assert original().read_bytes() == server.files["/owls.pt"]
    begins = [int(wanted[6:-1] or 0) for _, wanted in server.gets[1:]]
    assert len(begins) == len(sizes)
    assert all(begin >= size for begin, size in zip(begins, sizes, strict=True))


def test_two_processes_share_one_download(server: Server) -> None:
    server.script["/owls.pt"] = deque([bad.drip(2)])
    processes = [start() for _ in range(3)]
    outputs = [process.communicate(timeout=30)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert server.gets == [("/owls.pt", "")]
    assert sum("already here" in output for output in outputs) == 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_silent_server_does_not_keep_a_stopped_run(number: signal.Signals, status: int, server: Server) -> None:
    server.script["/owls.pt"] = deque([bad.stall])
    process = start("--timeout", "60")
    wait_for_part(1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=3)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert not original().exists()


def test_a_disk_that_fills_up_is_told_and_the_part_kept(server: Server) -> None:
    process = start(file_limit=100_000)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "File too large" in errors
    assert "make room" in errors
    assert len(errors.splitlines()) == 2  # the size before the start, and the error
    assert not original().exists()
    assert part_of(original()).stat().st_size == 100_000
    process = start()
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert server.gets[-1] == ("/owls.pt", "bytes=100000-")
