"""The files of a corpus, as they are listed: nothing is read yet."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import as_text, reason_of
from aves_artifacts.files.walking import visible_files
from aves_convert.sounds.audio import EXTENSIONS
from aves_verify.corpus.addresses import LISTING, StoreError, filesystem_at, is_local, localised, patiently, told
from aves_verify.corpus.manifests import Segment, is_manifest, read_manifest

LISTED = EXTENSIONS | {".tar"}
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_AT_ONCE = 16  # questions to a store
_TOKENS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "modified")


@dataclass(frozen=True)
class Entry:
    """One file with sound as it is listed: audio, or a tar of audio.

    ``name`` is what people call it, the same on every machine and unique in the listing; ``address`` an absolute path
    or an address. ``version`` is another where the file is another. ``begin`` and ``duration`` in seconds are of a
    segment that a manifest names; without a duration it goes to the recording's end.
    """

    name: str
    address: str
    size: int
    version: str
    begin: float = 0.0
    duration: float | None = None


def list_audio(given: Sequence[str]) -> tuple[Entry, ...]:
    """List what ``given`` holds, sorted by name: files, folders to any depth, manifests and tars, here or at addresses.

    The names are relative to what was given, and begin with its last part where that is more than one thing. In
    folders the extension decides (WAV, FLAC, OGG, MP3, tar), links to folders are followed, and what is hidden is left
    out. No file comes twice, but with another segment. A file that a manifest names and that is not there is listed, as
    one of size 0: reading it tells. Raises InputError for what is missing, holds no audio or needs an extra, and
    StoreError where a store does not answer.
    """
    if not given:
        raise InputError("no recordings given; give audio files, folders, manifests or addresses of such")
    prefixes = numbered([_last_part(address) for address in given])
    found: dict[tuple[str, float, float | None], Entry] = {}
    for address, prefix in zip(given, prefixes, strict=True):
        for entry in _below(localised(address)):
            name = posixpath.join(prefix, entry.name) if len(given) > 1 and entry.name else entry.name or prefix
            found.setdefault((entry.address, entry.begin, entry.duration), replace(entry, name=as_text(name)))
    names = numbered([entry.name for entry in found.values()])
    entries = (replace(entry, name=name) for entry, name in zip(found.values(), names, strict=True))
    return tuple(sorted(entries, key=lambda entry: entry.name))


def numbered(names: Sequence[str]) -> list[str]:
    """Names of which none comes twice: the second of its kind has a number.

    >>> numbered(["a", "b", "a"])
    ['a', 'b', 'a (2)']
    """
    taken: set[str] = set()
    counts: dict[str, int] = {}
    result = []
    for name in names:
        number = counts.get(name, 0) + 1
        free = name if number == 1 else f"{name} ({number})"
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        counts[name] = number
        taken.add(free)
        result.append(free)
    return result


def _below(root: str) -> Iterable[Entry]:
    """The entries of one thing that was given, with names relative to it. Raises InputError."""
    if root.lower().endswith(_PACKED):
        raise InputError(f"{told(root)}: a packed tar cannot be read in parts; unpack it to a .tar")
    entries = list(_local(root) if is_local(root) else _remote(root))
    if len(entries) == 1 and not entries[0].name and is_manifest(root):
        return _of_manifest(root)
    if not entries:
        raise InputError(
            f"{told(root)}: no audio in this folder; expected files that end in .wav, .flac, .ogg, .mp3 or .tar"
        )
    return entries


def _local(root: str) -> Iterator[Entry]:
    real = os.path.realpath(root)
    try:
        found = os.stat(root)
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(real)
        elif stat.S_ISREG(found.st_mode):
            yield _local_entry("", real)
        else:
            raise InputError(f"{told(root)}: a pipe or a device; give audio files or folders with audio files")
    except FileNotFoundError:
        raise InputError(
            f"{told(root)}: no such file or folder; give audio files or folders with audio files"
        ) from None
    except OSError as error:
        raise InputError(f"{told(root)}: cannot be read: {reason_of(error)}") from None


def _walk(folder: str) -> Iterator[Entry]:
    """A folder's files, sorted by name. Raises OSError."""
    real: dict[str, str] = {}  # by folder: one that a link leads to may be given by its own name, too
    for name in filter(_is_listed, visible_files(folder)):
        below, file = posixpath.split(name)
        if below not in real:
            real[below] = os.path.realpath(os.path.join(folder, below))
        yield _local_entry(name, os.path.join(real[below], file))


def _local_entry(name: str, path: str) -> Entry:
    """A file with its size and version; of one that cannot be looked at, reading tells why."""
    try:
        real = os.path.realpath(path) if os.path.islink(path) else path
        found = os.stat(real)
        return Entry(name, real, found.st_size, str(found.st_mtime_ns))
    except OSError:
        return Entry(name, path, 0, "")


def _remote(root: str) -> Iterator[Entry]:
    store, path = filesystem_at(root)
    try:
        info = patiently(lambda: store.info(path), root)
        if info["type"] != "directory":
            yield _remote_entry("", root, info)
            return
        found: Mapping[str, Any] = patiently(lambda: store.find(path, detail=True), root, LISTING)
    except OSError as error:
        why = "no such file or folder" if isinstance(error, FileNotFoundError) else reason_of(error)
        raise InputError(f"{told(root)}: {why}; give audio files or folders with audio files") from None
    folder = path.rstrip("/") + "/"
    names = {each.removeprefix(folder): info for each, info in found.items()}
    for name in sorted(names):
        if not any(part.startswith(".") for part in name.split("/")) and _is_listed(name):
            yield _remote_entry(name, f"{root.rstrip('/')}/{name}", names[name])


def _remote_entry(name: str, address: str, info: Mapping[str, Any]) -> Entry:
    version = next((str(info[key]) for key in _TOKENS if info.get(key) is not None), "")
    return Entry(name, address, int(info.get("size") or 0), version.strip('"'))


def _of_manifest(manifest: str) -> list[Entry]:
    """The entries that a manifest names. Raises InputError where not one of the files is there."""
    segments = read_manifest(manifest)
    addresses = list(dict.fromkeys(segment.address for segment in segments))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        files = dict(zip(addresses, pool.map(_looked_up, addresses), strict=True))
    if not any(entry.version or entry.size for entry in files.values()):
        raise InputError(
            f"{told(manifest)}: not one of the files that it names is there, such as {told(addresses[0])}; relative "
            f"paths are taken from the manifest's folder"
        )
    return [_segment_entry(segment, files[segment.address]) for segment in segments]


def _looked_up(address: str) -> Entry:
    if is_local(address):
        return _local_entry("", address)
    store, path = filesystem_at(address)
    try:
        return _remote_entry("", address, patiently(lambda: store.info(path), address))
    except StoreError:
        raise
    except OSError:
        return Entry("", address, 0, "")


def _segment_entry(segment: Segment, file: Entry) -> Entry:
    name, begin, duration = segment.name, segment.begin, segment.duration
    if duration is not None:
        name = f"{name} ({seconds_text(begin)} to {seconds_text(begin + duration)} s)"
    elif begin:
        name = f"{name} (from {seconds_text(begin)} s)"
    return replace(file, name=name, begin=begin, duration=duration)


def seconds_text(seconds: float) -> str:
    """Seconds as people write them, to a tenth of a microsecond, in which every sample at 16 kHz has its own.

    >>> seconds_text(30.0), seconds_text(86400.5)
    ('30', '86400.5')
    """
    return f"{seconds:.7f}".rstrip("0").rstrip(".")


def _is_listed(path: str) -> bool:
    name = posixpath.basename(path)
    return not name.startswith(".") and posixpath.splitext(name)[1].lower() in LISTED


def _last_part(address: str) -> str:
    path = address.partition("://")[2].partition("?")[0] if "://" in address else os.path.abspath(address)
    return posixpath.basename(path.replace(os.sep, "/").rstrip("/")) or "root"
