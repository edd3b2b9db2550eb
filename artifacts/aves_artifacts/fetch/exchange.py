"""Asking a server for a file so that every answer has an end: what comes too slowly is cut off.

A time limit on each read does not do that: a server that sends a byte a second, or says ``103`` for ever, never lets
one pass. Its connection is therefore watched from another thread, and closed where too little of the file comes.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aves_artifacts.base.messages import size_text

if TYPE_CHECKING:
    import httpx2

_LEAST = 1000  # bytes for each second that a server may be silent
_WINDOW = 1.5  # such times; one that is silent as long as it may be has the rest of the window to make up for it
_MOST_REDIRECTS = 20


class SlowError(Exception):
    """A server sends too little of a file in the time that it has."""


@dataclass
class _Watch:
    """What is known of an exchange that goes on; ``moved`` are the bytes of the file that came."""

    window: float  # seconds
    least: float  # bytes in a window
    moved: int = 0
    cut: bool = False
    sockets: list[socket.socket] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Told by the HTTP library of each step; keep the sockets that it opens."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self.sockets.append(info["return_value"].get_extra_info("socket"))

    def run(self) -> None:
        """Close the connection after the first window that brings too little."""
        before = 0
        while not self.done.wait(self.window):
            if self.moved - before < self.least and self.sockets:
                self.cut = True
                for opened in self.sockets:
                    with suppress(OSError):  # TLS has taken over the first one
                        socket.socket.shutdown(opened, socket.SHUT_RDWR)
            before = self.moved

    @property
    def reason(self) -> str:
        """Why the exchange was cut off."""
        return f"the server sends less than {size_text(int(self.least))} of the file in {self.window:g} seconds"


@dataclass(frozen=True)
class Exchange:
    """A server's answer, of which the head is here."""

    response: httpx2.Response
    _watch: _Watch

    def body(self) -> Iterator[bytes]:
        """The body as it comes, in pieces of any size."""
        for piece in self.response.iter_raw():
            self._watch.moved += len(piece)
            yield piece


@contextmanager
def exchange(client: httpx2.Client, method: str, address: str, headers: Mapping[str, str]) -> Iterator[Exchange]:
    """Send a request, follow redirects, and yield the answer; the client's timeout says how slow it may be.

    Raises SlowError, also inside the block, for a server that takes too long, and what httpx2 raises.
    """
    import httpx2

    silent = client.timeout.read or 20.0
    watch = _Watch(window=_WINDOW * silent, least=_LEAST * silent)
    request = client.build_request(method, address, headers=dict(headers), extensions={"trace": watch.trace})
    threading.Thread(target=watch.run, daemon=True).start()
    response = None
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            response = client.send(request, stream=True)
            if response.next_request is None:
                break
            request = response.next_request
            response.close()  # unread: bodies of redirects have no bound
        else:
            raise httpx2.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects", request=request)
        yield Exchange(response, watch)
    except httpx2.TransportError:
        if watch.cut:
            raise SlowError(watch.reason) from None
        raise
    finally:
        watch.done.set()
        if response is not None:
            response.close()
