"""Folders at any address that fsspec knows: files appear whole, and are read back."""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import need
from aves_artifacts.base.messages import printable_address, reason_of, size_text
from aves_artifacts.files.concurrency import TooSlowError, ended
from aves_artifacts.files.documents import open_file
from aves_artifacts.files.file_record import FileRecord
from aves_artifacts.files.writing import PARTIAL, creating, replacing

Result = TypeVar("Result")
Held = Callable[[int], None]  # told how many bytes were moved

_BLOCK = 1 << 20
_MAX_DOCUMENT = 64 << 20
_PATIENCE = 60.0  # seconds for one block, and for each question to a store
_LOCAL = ("file", "local")
_CACHES = ("simplecache", "filecache", "blockcache", "cached")
_WITHOUT_LISTS = ("http", "https")  # what looks like a list there is any page with links
# Where the store itself refuses a name that is taken: S3's If-None-Match, Google's ifGenerationMatch. fsspec's word for
# it is mode="create"; what other stores make of that is a look beforehand, which two publishers can pass at once.
_CONDITIONAL = ("s3", "s3a", "gs", "gcs")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


@dataclass(frozen=True)
class Address:
    """A folder at an address. Names in it have the form ``folder/file``."""

    url: str  # as it may be printed: without a password
    filesystem: Any  # fsspec's AbstractFileSystem, which has no types
    root: str
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)  # held by the thread that uses the store

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this system."""
        return self._is(_LOCAL)

    @property
    def is_exclusive(self) -> bool:
        """Whether only one of two publishers can create a file here when both try at once."""
        return self._is(_LOCAL) or self._is(_CONDITIONAL)

    def below(self, folder: str) -> Address:
        """The folder of this name in this one."""
        return Address(f"{self.url.rstrip('/')}/{folder}", self.filesystem, self._path(folder), self.turn)

    def create(self, name: str, source: Path, held: Held = lambda _: None) -> bool:
        """Write a file there, whole or not at all; False where there is one already, which is left alone.

        Raises InputError where nothing can be written.
        """
        try:
            with self._told("write", name):
                self._create(name, source, held)
        except FileExistsError:
            return False
        except InputError:
            # Stores have many ways to say that somebody was faster, or that our own first attempt came through.
            if self.size(name) is None:
                raise
            return False
        return True

    def replace(self, name: str, content: bytes) -> None:
        """Write a file there, whole or not at all, in the place of what may be there.

        Raises InputError where nothing can be written.
        """
        with self._told("write", name):
            if self._is(_LOCAL):
                with replacing(Path(self._path(name))) as temporary:
                    temporary.write_bytes(content)
            elif self._is(_CONDITIONAL):  # what is put there appears whole
                self._ended(lambda: self.filesystem.pipe_file(self._path(name), content))
            else:
                self._move_in(name, lambda half: self.filesystem.pipe_file(half, content))

    def size(self, name: str) -> int | None:
        """A file's size in bytes; None where there is none. Raises InputError where the store cannot be read."""
        try:
            with self._told("read", name):
                return int(self._ended(lambda: self.filesystem.info(self._path(name))["size"]))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def record(self, name: str, held: Held = lambda _: None, *, most: int | None = None) -> FileRecord | None:
        """Read a file back and return its size and SHA-256; None where there is none.

        Of a file that is larger than ``most`` bytes no more is read than tells that. Raises InputError where the store
        cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        try:
            with self._told("read", name):
                for block in self._blocks(name):
                    digest.update(block)
                    size += len(block)
                    held(size)
                    if most is not None and size > most:
                        break
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileRecord(name, size, digest.hexdigest())

    def read(self, name: str, most: int | None = None) -> bytes | None:
        """Read a document; None where there is none. Raises InputError where it cannot be read, or is too large."""
        most = _MAX_DOCUMENT if most is None else min(most, _MAX_DOCUMENT)
        content = bytearray()
        try:
            with self._told("read", name):
                for block in self._blocks(name):
                    content += block
                    if len(content) > most:
                        raise InputError(f"{self.url}/{name}: larger than {most:,} bytes, which it is not to be")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return bytes(content)

    def tail(self, name: str, size: int) -> bytes:
        """Read the last bytes of a file; none where there is no file. Raises InputError where it cannot be read."""
        try:
            with self._told("read", name):
                return self._ended(lambda: self._tail(name, size))[-size:]
        except (FileNotFoundError, NotADirectoryError):
            return b""

    def local(self, name: str) -> Path | None:
        """The path of a file here, which need not be there; None where this is no folder of this system."""
        return Path(self._path(name)) if self.is_local else None

    def copy(self, name: str, target: Path) -> bool:
        """Copy a file of any size from there to a path; False where there is none. Raises InputError."""
        try:
            with self._told("read", name), target.open("wb") as file:
                for block in self._blocks(name):
                    file.write(block)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def names(self) -> list[str] | None:
        """List the names of all files here; None where the store does not tell them."""
        try:
            return self._listed()
        except (InputError, FileNotFoundError, NotADirectoryError):
            return None

    def listed(self) -> list[str]:
        """List the names of all files here, none where there is no folder. Raises InputError where that cannot be."""
        try:
            return self._listed()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _listed(self) -> list[str]:
        if self._is(_WITHOUT_LISTS):
            raise InputError(f"{self.url}: cannot be listed; give a folder, or an address whose files can be")
        with self._told("list", ""):
            found = self._ended(lambda: self.filesystem.find(self.root))
        root = f"{self.filesystem._strip_protocol(self.root).rstrip('/')}/"
        return [path.removeprefix(root) for path in found if not path.endswith("/")]

    def sweep(self, of: Callable[[str], bool] = lambda _: True) -> None:
        """Remove what killed writers left half-written, ``of`` those files alone whose names are told.

        One that still runs loses its half, and must look again.
        """
        if self._is(_CONDITIONAL):  # they show no halves
            return
        root = f"{self.filesystem._strip_protocol(self.root).rstrip('/')}/"
        with self._told("clean up", ""):
            for path in self.filesystem.find(self.root):
                folder, name = posixpath.split(path.removeprefix(root))
                if not (name.startswith(".") and name.endswith(PARTIAL)):
                    continue
                whole = name.removeprefix(".").removesuffix(PARTIAL).rpartition(".")[0]
                if of(posixpath.join(folder, whole)):
                    with suppress(FileNotFoundError):
                        self.filesystem.rm_file(path)

    def _create(self, name: str, source: Path, held: Held) -> None:
        from fsspec.callbacks import Callback

        callback = Callback(hooks={"held": lambda _, value, **__: held(value)})
        if self._is(_LOCAL):
            _copy_local(source, Path(self._path(name)), held)
        elif self._is(_CONDITIONAL):
            self.filesystem.put_file(str(source), self._path(name), callback=callback, mode="create")
        else:
            if self.size(name) is not None:
                raise FileExistsError
            self._move_in(name, lambda half: self.filesystem.put_file(str(source), half, callback=callback))

    def _move_in(self, name: str, write: Callable[[str], object]) -> None:
        """Have a file written beside its place and then moved there: not every store shows whole files alone."""
        folder, file = posixpath.split(self._path(name))
        half = f"{folder}/.{file}.{uuid.uuid4().hex}{PARTIAL}"
        self.filesystem.makedirs(folder, exist_ok=True)  # SFTP and FTP make none by themselves
        write(half)
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(self._path(name))  # some of them move nothing onto a file
        self.filesystem.mv(half, self._path(name))

    def _blocks(self, name: str) -> Iterator[bytes]:
        """A file's bytes; each block comes within a time, or a server that sends nearly nothing has no end."""
        with self._ended(lambda: self._opened(name)) as stream:
            while block := self._ended(lambda: _block(stream)):
                yield block

    def _tail(self, name: str, size: int) -> bytes:
        if not self._is(_LOCAL):
            end: bytes = self.filesystem.cat_file(self._path(name), start=-size)
            return end
        with self._opened(name) as stream:
            stream.seek(max(0, stream.seek(0, io.SEEK_END) - size))
            return stream.read(size)

    def _opened(self, name: str) -> BinaryIO:
        if self._is(_LOCAL):
            return open_file(Path(self._path(name)))  # what is a pipe is not waited for
        opened: BinaryIO = self.filesystem.open(self._path(name), "rb", block_size=_BLOCK)
        return opened

    def _ended(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns. Raises TimeoutError where that takes too long; it then goes on, and nobody waits."""
        if self._is(_LOCAL):
            return work()
        try:
            return ended(work, _PATIENCE)
        except TooSlowError:
            raise TimeoutError(f"no answer, or less than {size_text(_BLOCK)}, in {_PATIENCE:g} seconds") from None

    def _is(self, protocols: tuple[str, ...]) -> bool:
        own = self.filesystem.protocol
        return any(name in protocols for name in ((own,) if isinstance(own, str) else own))

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    @contextmanager
    def _told(self, action: str, name: str) -> Iterator[None]:
        try:
            with self.turn:
                yield
        except (InputError, FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            if action == "write" and isinstance(error, FileNotFoundError | NotADirectoryError):
                raise InputError(f"{self.url}/{name}: cannot write: {reason_of(error)}") from error
            raise
        except Exception as error:  # the library behind each store has exceptions of its own
            raise InputError(f"{self.url}/{name}: cannot {action}: {reason_of(error)}") from error


def open_address(url: str) -> Address:
    """Open the folder at an address. Raises InputError for one that cannot be opened, saying what it needs."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        printed = printable_address(url) if "://" in url else url
    except ValueError as error:
        raise InputError(f"{url.rpartition('@')[2]}: not an address: {reason_of(error)}") from None
    if problem := _misspelt(url):
        raise InputError(f"{printed or 'an empty address'}: {problem}")
    if extra := _EXTRAS.get(url.partition(":")[0]):
        need(printed, extra)
    try:
        # Neither listings nor connections of an earlier use: what another publisher did must be seen.
        store, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise InputError(f"{printed}: a package is missing that reaches this address: {reason_of(error)}") from None
    except Exception as error:  # the library behind each store has exceptions of its own
        raise InputError(f"{printed}: cannot open this address: {reason_of(error)}") from None
    # FTP and others have one connection, which answers one thread at a time.
    turn = nullcontext() if store.async_impl or isinstance(store, LocalFileSystem) else threading.RLock()
    return Address(printed.rstrip("/"), store, root, turn)


def _misspelt(url: str) -> str:
    """Why an address does not mean what it says. fsspec takes all of these for folders below the current one."""
    from fsspec import available_protocols

    scheme, colon, rest = url.partition(":")
    if "::" in url and scheme in _CACHES:
        return "a cache gives back what it has kept itself, and not what lies there; give the address behind it"
    if not url.strip():
        return "expected a folder, or an address such as file:///folder or s3://bucket/folder"
    if colon and scheme in _LOCAL:
        return "" if re.match("/(//|[^/])", rest) else f"expected {scheme}:///folder"
    if colon and scheme in available_protocols() and not rest.startswith(("//", ":")):
        return f"expected {scheme}://, or ./{url} for a folder of that name"
    return ""


def _block(stream: BinaryIO) -> bytes:
    """The next bytes: fewer than a block only at the end, though a store may give them one by one."""
    block = bytearray()
    while len(block) < _BLOCK and (piece := stream.read(_BLOCK - len(block))):
        block += piece
    return bytes(block)


def _copy_local(source: Path, target: Path, held: Held) -> None:
    if target.exists():
        raise FileExistsError
    with creating(target) as temporary, source.open("rb") as reader, temporary.open("wb") as writer:
        moved = 0
        while block := reader.read(_BLOCK):
            moved += writer.write(block)
            held(moved)
