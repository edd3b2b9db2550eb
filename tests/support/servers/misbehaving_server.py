"""A real HTTP server on loopback that serves files, and misbehaves when it is told to."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        self.server.heads.append(self.file)
        content = self.server.files.get(self.file)
        self.answer(200 if content is not None else 404, b"", length=len(content or b""))

    def do_GET(self) -> None:
        self.server.gets.append((self.file, self.headers.get("Range", "")))
        script = self.server.script[self.file]
        misbehaviour = script.popleft() if script else self.server.always.get(self.file, well)
        try:
            misbehaviour(self)
        except OSError:  # the client went away
            self.close_connection = True

    @property
    def file(self) -> str:
        return re.sub(r"^http://[^/]+", "", self.path)  # a proxy is asked for the whole address

    @property
    def content(self) -> bytes:
        return self.server.files[self.file]

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.server.files.get(self.file, b"")).hexdigest()}"'  # noqa: S324

    def ranged(self) -> tuple[int, int]:
        """Status and first byte: what a good server makes of Range and If-Range."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not wanted or self.headers.get("If-Range", self.etag) != self.etag:
            return 200, 0
        return (206, int(wanted[1])) if int(wanted[1]) < len(self.content) else (416, len(self.content))

    def answer(self, status: int, body: bytes, *, length: int | None = None, first: int = 0, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        sent = {"ETag": self.etag} | {name.replace("_", "-"): value for name, value in headers.items()}
        if status == 206:
            sent.setdefault("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


Misbehaviour = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: dict[str, deque[Misbehaviour]] = defaultdict(deque)  # what comes first, one for each GET
        self.always: dict[str, Misbehaviour] = {}  # what comes after
        self.gets: list[tuple[str, str]] = []  # path and Range
        self.heads: list[str] = []
        self.endless = False  # whether a client took all of a body without end

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no news."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def well(handler: Handler) -> None:
    if handler.file not in handler.server.files:
        handler.answer(404, b"nothing here")
        return
    status, first = handler.ranged()
    handler.answer(status, b"" if status == 416 else handler.content[first:], first=first)


def cut_after(count: int) -> Misbehaviour:
    """The right head, ``count`` bytes of the body, and the connection is gone."""

    def misbehave(handler: Handler) -> None:
        status, first = handler.ranged()
        body = handler.content[first:]
        handler.answer(status, body[:count], length=len(body), first=first)
        handler.close_connection = True

    return misbehave


def ignore_range(handler: Handler) -> None:
    handler.answer(200, handler.content)


def ignore_range_and_cut(handler: Handler) -> None:
    handler.answer(200, handler.content[:1000], length=len(handler.content))
    handler.close_connection = True


def ignore_if_range(handler: Handler) -> None:
    """Bytes of the file as it is now, whatever the client has of it."""
    first = int(handler.headers["Range"][6:-1])
    handler.answer(206, handler.content[first:], first=first)


def other_part(handler: Handler) -> None:
    """As many bytes as were asked for, from the beginning of the file."""
    _, first = handler.ranged()
    body = handler.content[: len(handler.content) - first]
    handler.answer(206, body, Content_Range=f"bytes 0-{len(body) - 1}/{len(handler.content)}")


def claim(length: int) -> Misbehaviour:
    """Say another length than that of the file, and send all that fits."""

    def misbehave(handler: Handler) -> None:
        status, first = handler.ranged()
        body = b"" if status == 416 else handler.content[first:]
        handler.answer(status, body[:length], length=length, first=first)
        handler.close_connection = True

    return misbehave


def without_length(count: int) -> Misbehaviour:
    """No length and no chunks: the end of the connection is the end of the body, as in HTTP/1.0."""

    def misbehave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(handler.content[:count])
        handler.close_connection = True

    return misbehave


def endless(handler: Handler) -> None:
    """The file, and then zeros until the client goes away, or for 64 MB."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(handler.content)
    for _ in range(64):
        handler.wfile.write(bytes(1_000_000))
    handler.server.endless = True
    handler.close_connection = True


def say(status: int, body: bytes = b"<html>oops</html>", **headers: str) -> Misbehaviour:
    return lambda handler: handler.answer(status, body, **headers)


def stall(handler: Handler) -> None:
    """Half of the file, and then silence."""
    handler.answer(200, handler.content[: len(handler.content) // 2], length=len(handler.content))
    time.sleep(5)
    handler.close_connection = True


def drip(seconds: float) -> Misbehaviour:
    """All of the file, in fifty pieces over this time."""

    def misbehave(handler: Handler) -> None:
        status, first = handler.ranged()
        body = handler.content[first:]
        step = len(handler.content) // 50 + 1
        handler.answer(status, body[:step], length=len(body), first=first)
        for start in range(step, len(body), step):
            time.sleep(seconds / 50)
            handler.wfile.write(body[start : start + step])

    return misbehave


def change_then_cut(new: bytes, count: int) -> Misbehaviour:
    """Cut the connection, and have another file at the address from then on."""

    def misbehave(handler: Handler) -> None:
        cut_after(count)(handler)
        handler.server.files[handler.file] = new

    return misbehave


def trickle(handler: Handler) -> None:
    """The right head, and then a byte every now and then."""
    status, first = handler.ranged()
    body = handler.content[first:]
    handler.answer(status, b"", length=len(body), first=first)
    for byte in body:
        time.sleep(0.05)
        handler.wfile.write(bytes([byte]))


def trickle_head(handler: Handler) -> None:
    """A head that goes on and on, without a silence."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(400):
        time.sleep(0.05)
        handler.wfile.write(b"X-%d: 0\r\n" % number)


def trickle_chunks(handler: Handler) -> None:
    """The beginning of a body in chunks, and then a chunk's size that goes on and on."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5;")
    for _ in range(400):
        time.sleep(0.05)
        handler.wfile.write(b"x")


def early_hints(handler: Handler) -> None:
    """``103`` again and again, and never an answer."""
    for _ in range(400):
        time.sleep(0.05)
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 100)


def one_more(handler: Handler) -> None:
    """One byte more than the client has, and the connection is gone."""
    cut_after(1)(handler)


def redirect_without_end(handler: Handler) -> None:
    """A redirect with a body that is as large as the client takes."""
    handler.send_response(302)
    handler.send_header("Location", handler.file)
    handler.send_header("Connection", "close")
    handler.end_headers()
    for _ in range(64):
        handler.wfile.write(bytes(1_000_000))
    handler.server.endless = True


def tag(etag: bytes) -> Misbehaviour:
    """A part of the file, with these bytes for an ETag."""

    def misbehave(handler: Handler) -> None:
        content = handler.content
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: %b\r\n\r\n" % (len(content), etag))
        handler.wfile.write(content[:1000])
        handler.close_connection = True

    return misbehave
