"""Downloading one file: resumed after a cut connection, and by a later run.

httpx2 speaks HTTP: proxies (``HTTPS_PROXY``, ``NO_PROXY``), certificates of the system, redirects, timeouts. What is
here is what it leaves to its user: when to try again, and when bytes may be appended to those of an earlier answer.

Libraries that download whole files were put before the tests' server first. pooch 1.9, fsspec 2026.9 and parfive 2.3
do not resume, and give up where a connection is cut often; huggingface_hub 2.4 resumes without If-Range, and joins two
files where one changes in between; pypdl 1.5 takes a file that was cut often for a whole one.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import printable, printable_address, reason_of
from aves_artifacts.fetch.exchange import Exchange, SlowError, exchange
from aves_artifacts.files.concurrency import StoppedError
from aves_artifacts.files.documents import check_regular, parse_json, read_file
from aves_artifacts.files.writing import replacing

if TYPE_CHECKING:
    import httpx2

_PASSING = frozenset({408, 425, 429})  # beside 5xx: statuses that another attempt may overcome
# Who sends a byte more each time would otherwise never be given up.
_WORTHWHILE = 16 << 10  # bytes, with which attempts are counted anew
_MOST_ATTEMPTS = 500  # for one file, worthwhile or not
_LONGEST_ETAG = 1000  # characters


@dataclass(frozen=True)
class Network:
    """How long to wait for a server, and how often."""

    timeout: float = 20.0  # seconds without a byte
    attempts: int = 5  # in a row that bring nothing new
    pause: float = 1.0  # seconds before the second attempt; doubles with each

    def client(self) -> httpx2.Client:
        """An HTTP client for any number of threads. Raises InputError where the environment's settings are unusable."""
        import httpx2

        # Compressed bytes have other lengths and offsets than the file.
        headers = {"Accept-Encoding": "identity", "User-Agent": "aves-artifacts"}
        try:
            # A connection for each request: what is watched is the one that was opened for it.
            limits = httpx2.Limits(max_keepalive_connections=0)
            return httpx2.Client(timeout=self.timeout, headers=headers, limits=limits)
        except (ValueError, OSError) as error:  # ssl's errors are OSErrors
            raise InputError(
                f"cannot use the network as the environment says: {reason_of(error)}; "
                "check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
            ) from None


@dataclass(frozen=True)
class Answer:
    """What a server says of a file before its bytes."""

    address: str
    size: int | None
    etag: str
    md5: str  # in hexadecimal; Google's storage gives it

    @property
    def resumable(self) -> bool:
        """Whether a later request may go on where this one ends: a strong ETag says that it is the same file."""
        return self.size is not None and self.etag.startswith('"') and _is_usable(self.etag)


@dataclass(frozen=True)
class Transfer:
    """One download: its address, the file that its bytes go to, and who is told of them."""

    address: str
    part: Path
    expected: int | None  # bytes, where they are known
    held: Callable[[int], None]  # told how many bytes are here
    stop: threading.Event


class _PassingError(Exception):
    """A fault that another attempt may overcome."""


def download(client: httpx2.Client, transfer: Transfer, network: Network) -> Answer:
    """Download all of a file into ``transfer.part``; return what the server said of it.

    Raises InputError where the server refuses, or fails too often; the part is then kept for another run.
    """
    import httpx2

    address = printable_address(transfer.address)
    _check_part(transfer.part)
    mark, failures = _size(transfer.part), 0
    for attempts in itertools.count(1):
        slow = False
        try:
            return _attempt(client, transfer)
        except SlowError as error:
            reason, slow = reason_of(error), True
        except (httpx2.TransportError, _PassingError) as error:
            reason = reason_of(error)
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:  # redirects without end, impossible hosts
            raise InputError(f"{address}: cannot be fetched: {reason_of(error)}") from None
        except OSError as error:
            if _known(transfer) is None:  # these bytes cannot be continued, and would only fill the disk
                discard(transfer.part)
            raise InputError(
                f"{transfer.part}: cannot write: {reason_of(error)}; make room, and fetch again to go on there"
            ) from None
        if slow:  # another connection may be faster, and is tried once
            failures = max(failures + 1, network.attempts - 1)
        elif _size(transfer.part) >= mark + _WORTHWHILE:
            mark, failures = _size(transfer.part), 0
        else:
            failures += 1
        if failures >= network.attempts or attempts == _MOST_ATTEMPTS:
            again = "fetch again to go on there" if _known(transfer) else "fetch again later"
            raise InputError(f"{address}: cannot be fetched: {reason} ({attempts} attempts); {again}")
        if transfer.stop.wait(network.pause * (1 if slow else 2 ** max(failures - 1, 0))):
            break
    raise StoppedError


def discard(part: Path) -> None:
    """Remove an unfinished download and what was noted of it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _check_part(part: Path) -> None:
    """Raise InputError where the name of an unfinished download is taken by what would be waited for."""
    try:
        check_regular(part)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{part}: cannot write: {reason_of(error)}; remove it") from None


def remote_size(client: httpx2.Client, address: str) -> int | None:
    """Ask a server for a file's size in bytes; None where it gives none."""
    import httpx2

    try:
        with exchange(client, "HEAD", address, {}) as answered:
            found = answered.response
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError, SlowError):
        return None  # the download itself will tell
    return _answer(address, found).size if found.status_code == 200 else None


def _attempt(client: httpx2.Client, transfer: Transfer) -> Answer:
    known = _known(transfer)
    held = _size(transfer.part) if known else 0
    if known and held == known.size:  # an earlier run ended between the last byte and the check
        transfer.held(held)
        return known
    condition = {"Range": f"bytes={held}-", "If-Range": known.etag} if known and held else {}
    with exchange(client, "GET", transfer.address, condition) as answered:
        answer = _checked(answered.response, transfer, known if condition else None, held)
        _receive(answered, transfer, most=transfer.expected if answer.size is None else answer.size)
    size = _size(transfer.part)
    if answer.size is not None and size != answer.size:
        if size > answer.size:
            discard(transfer.part)
        raise _PassingError(f"the server sent {size} bytes of {answer.size}")
    return answer


def _receive(answered: Exchange, transfer: Transfer, most: int | None) -> None:
    """Append a body to the part; of one that is longer than it may be, no more than tells that."""
    with transfer.part.open("r+b") as stream:
        stream.seek(0, 2)
        for chunk in answered.body():
            if transfer.stop.is_set():
                raise StoppedError
            stream.write(chunk)
            transfer.held(stream.tell())
            if most is not None and stream.tell() > most:
                return


def _checked(response: httpx2.Response, transfer: Transfer, known: Answer | None, held: int) -> Answer:
    """What a response is good for: its body may be appended to the part. Raises where there is none to append."""
    status, address = response.status_code, printable_address(transfer.address)
    said = f"the server answers {status} {printable(response.reason_phrase)}".rstrip()
    if status >= 500 or status in _PASSING:
        raise _PassingError(said)
    if status not in (200, 206, 416):
        raise InputError(f"{address}: {said}; check the address")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise InputError(f"{address}: the server sends compressed bytes though asked not to; use another mirror")
    if status == 200:
        return _begin(_answer(transfer.address, response), transfer)
    first_byte = f"bytes {held}-"
    if known and status == 206 and response.headers.get("Content-Range", "").startswith(first_byte):
        total = response.headers["Content-Range"].rpartition("/")[2]
        if response.headers.get("ETag") == known.etag and total == str(known.size):
            return known
    discard(transfer.part)  # other bytes than those asked for, or the file has changed: begin anew
    raise _PassingError(f"the server answers {status} with another part than was asked for")


def _begin(answer: Answer, transfer: Transfer) -> Answer:
    """Empty the part, then note whose bytes will be in it: in this order a kill leaves nothing that does not fit."""
    if None not in (transfer.expected, answer.size) and transfer.expected != answer.size:
        raise InputError(
            f"{printable_address(transfer.address)}: the server has {answer.size} bytes, the lock file records "
            f"{transfer.expected}; if the change is meant, remove the entry there"
        )
    transfer.part.write_bytes(b"")
    _note(transfer.part).unlink(missing_ok=True)  # whatever lies there in our store: it fits no more
    with replacing(_note(transfer.part)) as temporary:
        temporary.write_text(json.dumps(asdict(answer)), encoding="utf-8")
    return answer


def _answer(address: str, response: httpx2.Response) -> Answer:
    length = response.headers.get("Content-Length", "")
    etag = response.headers.get("ETag", "")
    md5 = re.search(r"md5=([A-Za-z0-9+/]{22}==)", response.headers.get("x-goog-hash", ""))
    return Answer(
        printable_address(address),
        size=int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None,
        etag=etag if _is_usable(etag) else "",
        md5=base64.b64decode(md5[1]).hex() if md5 else "",
    )


def _is_usable(etag: str) -> bool:
    """Whether it can be sent back: by its specification an ETag may have characters that a header cannot."""
    return etag.isascii() and etag.isprintable() and len(etag) <= _LONGEST_ETAG


def _known(transfer: Transfer) -> Answer | None:
    """What an earlier answer said of the part, where its bytes may be continued."""
    try:
        answer = Answer(**parse_json(read_file(_note(transfer.part))))
        fits = answer.size is not None and _size(transfer.part) <= answer.size and answer.resumable
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return answer if fits and answer.address == printable_address(transfer.address) else None


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
