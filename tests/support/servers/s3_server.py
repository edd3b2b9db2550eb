"""An S3-compatible server in a process of its own: moto's, with the one property that it lacks.

moto looks for the object that If-None-Match speaks of and then writes, in threads; S3 does both in one step. A lock
around each request gives it that. Requests that change something are written to standard output, to be counted. Folders
of certain names stand for a store in trouble.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

BUCKET = "models"


@dataclass
class S3Server:
    """A running server with one bucket."""

    endpoint: str
    log: Path
    down: Path  # while this file is there, every request is refused
    environment: dict[str, str] = field(default_factory=dict)

    def writes(self) -> list[str]:
        """Method and path of every request that changed something, in order."""
        return self.log.read_text().splitlines()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[S3Server]:
    """Run a server until the block ends. ``environment`` is what clients need to reach it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log, down = folder / "s3.log", folder / "s3.down"
    with log.open("w") as output, (folder / "s3.err").open("w") as errors:
        process = subprocess.Popen([sys.executable, __file__, str(port), str(down)], stdout=output, stderr=errors)
    try:
        server = S3Server(f"http://127.0.0.1:{port}", log, down)
        server.environment = {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }
        _wait(server, process)
        httpx2.put(f"{server.endpoint}/{BUCKET}", trust_env=False).raise_for_status()
        yield server
    finally:
        process.kill()
        process.wait()


def _wait(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not _answers(server):
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.1)


def _answers(server: S3Server) -> bool:
    try:
        return httpx2.get(f"{server.endpoint}/moto-api/", trust_env=False).status_code < 500
    except httpx2.HTTPError:
        return False


def _halve(environ: dict[str, Any]) -> None:
    """Drop the second half of what is sent to a folder of this name, and say nothing of it."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    content = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(content[: length // 2])
    environ["CONTENT_LENGTH"] = str(length // 2)


class _Busy:
    """Whether a request is refused: below a folder such as ``busy-2.5`` a GET, below ``shut-2.5`` a PUT.

    For 2.5 seconds from the first one of the file.
    """

    FOLDERS = {"GET": "busy", "PUT": "shut"}  # noqa: RUF012

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], float] = {}

    def refuses(self, environ: dict[str, Any]) -> bool:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        found = re.search(rf"/{self.FOLDERS.get(method, '')}-([\d.]+)/", path)
        if not found:
            return False
        now = time.monotonic()
        return now - self._first.setdefault((method, path), now) < float(found[1])


def _main(port: int, down: Path) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, run_simple

    application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()
    busy = _Busy()

    def one_at_a_time(environ, start_response):  # type: ignore[no-untyped-def]
        with lock:
            if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                print(environ["REQUEST_METHOD"], environ["PATH_INFO"], flush=True)
            if environ["REQUEST_METHOD"] == "PUT" and "/halved/" in environ["PATH_INFO"]:
                _halve(environ)
            if down.exists() or busy.refuses(environ):
                start_response("503 Service Unavailable", [("Content-Type", "application/xml")])
                return [b"<Error><Code>ServiceUnavailable</Code><Message>Come back later</Message></Error>"]
            return list(application(environ, start_response))

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, code="-", size="-") -> None:  # type: ignore[no-untyped-def]
            pass

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True, request_handler=Quiet)


if __name__ == "__main__":
    os.environ["MOTO_PORT"] = sys.argv[1]
    _main(int(sys.argv[1]), Path(sys.argv[2]))
