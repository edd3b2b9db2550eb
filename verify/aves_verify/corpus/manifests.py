"""Manifests: files that name recordings, or segments of them.

A path on each line; a table with a column of paths, as text or Parquet; JSON lines as NeMo writes them; recordings and
cuts of Lhotse. Relative paths are taken from the manifest's folder.
"""

from __future__ import annotations

import itertools
import math
import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aves_artifacts.base.errors import MOST_TOLD, InputError
from aves_artifacts.base.messages import printable, printable_address, quoted, reason_of
from aves_convert.sounds.audio import EXTENSIONS
from aves_verify.corpus.addresses import is_local, localised, open_at, told
from aves_verify.corpus.manifest_rows import (
    JSON_ENDINGS,
    PATH_COLUMNS,
    TABLE_ENDINGS,
    TEXT_ENDINGS,
    BadRow,
    begins_as_manifest,
    rows,
)
from aves_verify.corpus.tars import looks_like_tar

_ENDINGS = (*TEXT_ENDINGS, *TABLE_ENDINGS, *JSON_ENDINGS, ".parquet")
_SOUNDS = (*EXTENSIONS, ".tar")
_MOST_SEGMENTS = 10_000_000
_LONGEST_PATH = 4096  # characters
_LATEST = 1e9  # seconds, which are 30 years


@dataclass(frozen=True)
class Segment:
    """What a manifest names: a recording's name and address, and the seconds of it that are meant."""

    name: str
    address: str
    begin: float = 0.0
    duration: float | None = None


class _BadError(Exception):
    """Why a row names no recording."""


def is_manifest(address: str) -> bool:
    """Whether a file is a manifest: by its extension, and by what it begins with where that tells nothing.

    Raises InputError and StoreError where it cannot be read.
    """
    name = address.partition("?")[0].lower() if not is_local(address) else address.lower()
    if name.endswith(_SOUNDS):
        return False
    if name.removesuffix(".gz").endswith(_ENDINGS):
        return True
    try:
        with open_at(address) as stream:
            begin = stream.read(4096)
    except OSError:
        return False  # told where the recording is read
    return not looks_like_tar(begin) and begins_as_manifest(begin)


def read_manifest(address: str) -> Sequence[Segment]:
    """Read the segments that a manifest names, in its order; none comes twice.

    A segment is named by its path as the manifest has it, and where that is absolute, by what is different in these.
    Raises InputError for a manifest that cannot be read, and for rows that name nothing, with their line's numbers.
    """
    name = told(address)
    found: dict[Segment, None] = {}
    problems: list[str] = []
    try:
        with open_at(address) as stream:
            for number, row in rows(stream, name):
                try:
                    found.setdefault(_segment(row, address))
                except _BadError as error:
                    problems.append(f"{name}: line {number}: {error}")
                if len(problems) > MOST_TOLD or len(found) > _MOST_SEGMENTS:
                    break
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {reason_of(error)}") from None
    if problems:
        more = ["and maybe more"] if len(problems) > MOST_TOLD else []
        raise InputError(*problems[:MOST_TOLD], *more, hint="correct the manifest, or leave these lines out")
    if len(found) > _MOST_SEGMENTS:
        raise InputError(
            f"{name}: names more than {_MOST_SEGMENTS:,} recordings; give several manifests, one at a time"
        )
    if not found:
        raise InputError(f"{name}: names no recordings; expected a path on each line, or a table with a column of them")
    return _named(list(found))


def _segment(row: Mapping[str, Any] | str, manifest: str) -> Segment:
    """What a row names; its name is the path as it stands there. Raises _BadError."""
    if isinstance(row, BadRow):
        raise _BadError(row)
    if isinstance(row, str):
        return Segment(row, _address(row, manifest))
    if "sources" in row:
        path = _source(row)
        return Segment(path, _address(path, manifest))
    if "start" in row and ("recording" in row or "supervisions" in row):
        return _cut(row, manifest)
    if "tracks" in row:
        raise _BadError("a cut that is mixed of several; expected a cut of one recording")
    return _plain(row, manifest)


def _plain(row: Mapping[str, Any], manifest: str) -> Segment:
    """A row of a table, or of NeMo's. Without an offset a duration says how long the file is, not what is meant."""
    lowered = {key.lower(): value for key, value in row.items()}
    column = next((each for each in PATH_COLUMNS if each in lowered), None)
    if column is None:
        raise _BadError("names no file")
    path = lowered[column]
    if lowered.get("offset") is None:
        return Segment(_text(path, column), _address(path, manifest))
    begin = _seconds(lowered["offset"], "offset")
    duration = None if lowered.get("duration") is None else _seconds(lowered["duration"], "duration")
    return Segment(_text(path, column), _address(path, manifest), begin, duration)


def _cut(row: Mapping[str, Any], manifest: str) -> Segment:
    """A cut of Lhotse's."""
    recording = row.get("recording")
    if not isinstance(recording, Mapping):
        raise _BadError("a cut without its recording; expected one that has both")
    path = _source(recording)
    channels = recording["sources"][0].get("channels")
    meant = row.get("channel", channels)
    if isinstance(channels, list) and len(channels) > 1 and meant != channels:
        raise _BadError(f"a cut of some of {len(channels)} channels, which are averaged here; expected all of them")
    begin, duration = _seconds(row.get("start"), "start"), _seconds(row.get("duration"), "duration")
    is_whole = begin == 0 and duration == recording.get("duration")
    return Segment(path, _address(path, manifest), begin, None if is_whole else duration)


def _source(recording: Mapping[str, Any]) -> str:
    """The file of a recording of Lhotse's. Raises _BadError."""
    sources = recording.get("sources")
    one = sources[0] if isinstance(sources, list) and len(sources) == 1 else None
    if not isinstance(one, Mapping):
        raise _BadError("a recording in several files, or in none; expected one")
    if one.get("type") not in ("file", "url"):
        raise _BadError(f"a source of the type {quoted(one.get('type'))}, which is not run; expected 'file' or 'url'")
    return _text(one.get("source"), "source")


def _text(value: object, column: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _BadError(f"{printable(column)} is {quoted(value)}; expected a path")
    return value


def _seconds(value: object, column: str) -> float:
    try:
        seconds = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= _LATEST or (column == "duration" and seconds == 0):
        raise _BadError(f"{column} is {quoted(value)}; expected seconds")
    return seconds


def _address(path: object, manifest: str) -> str:
    """The address that a path in a manifest means. Raises _BadError."""
    text = _text(path, "path").strip()
    if len(text) > _LONGEST_PATH or "\0" in text:
        raise _BadError(f"{quoted(text)} is no path")
    if "://" in text:
        try:
            return localised(text)
        except InputError as error:
            raise _BadError(str(error)) from None
    if os.path.isabs(text):
        return os.path.normpath(text)
    if is_local(manifest):
        return os.path.normpath(os.path.join(os.path.dirname(manifest), text))
    scheme, _, rest = manifest.partition("?")[0].partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(posixpath.dirname(rest), text))}"


def _named(segments: Sequence[Segment]) -> Sequence[Segment]:
    """The segments by the names that they have on every machine."""
    relative = {}
    for segment in segments:
        path = posixpath.normpath(segment.name.strip().replace(os.sep, "/"))
        if "://" not in path and ":/" not in path and not path.startswith(("/", "../")):
            relative[segment.name] = path
    others = [_shown(segment.address).split("/") for segment in segments if segment.name not in relative]
    shared = 0
    if others:
        folders = (min(others)[:-1], max(others)[:-1])  # what these two share all others do
        shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*folders, strict=False)))
    return [
        replace(segment, name=relative.get(segment.name) or "/".join(_shown(segment.address).split("/")[shared:]))
        for segment in segments
    ]


def _shown(address: str) -> str:
    """An address without what may be secret in it."""
    try:
        return address if is_local(address) else printable_address(address)
    except ValueError:
        return address.rpartition("@")[2]
