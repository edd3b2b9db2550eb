"""Reading the catalogue of published encoders: ``catalog.toml``, and one of the user's own beside it.

A user's catalogue is named by ``$AVES_CATALOG`` and not by an option: one setting then reaches every command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urljoin, urlsplit

from aves_artifacts.base.errors import InputError, raise_if_any
from aves_artifacts.base.messages import printable, quoted, reason_of
from aves_artifacts.configurations.settings import path_in
from aves_artifacts.configurations.waivers import Waiver, waiver_problems, waivers_of
from aves_artifacts.files.documents import parse_toml, read_file

PublishedRole = Literal["original", "torchaudio", "config", "onnx"]
ROLES: tuple[PublishedRole, ...] = ("original", "torchaudio", "config", "onnx")

# Names become folders, file names and arguments of commands.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Configuration:
    """One published encoder, as the catalogue describes it."""

    name: str
    file_name: str  # stem of its files, e.g. aves-base-bio
    dimension: int  # of an embedding
    files: Mapping[PublishedRole, str] = field(default_factory=dict)  # addresses of what is published of it
    pretraining: str = ""  # data
    hours: int | None = None  # of audio in pretraining
    near_zero_drift: str = ""  # a peculiarity: who reports it
    licence: str = ""  # SPDX identifier of the weights' licence; empty: not known
    citation: str = ""  # how the authors are cited
    waivers: tuple[Waiver, ...] = ()  # what may fail and not keep it from being published

    @property
    def has_original(self) -> bool:
        """Whether the fairseq checkpoint is published; of some encoders only ports are."""
        return "original" in self.files


def catalog() -> dict[str, Configuration]:
    """Every configuration by name, the shipped ones first. An entry of ``$AVES_CATALOG`` replaces one of its name.

    Raises InputError with every problem of a catalogue in one message.
    """
    shipped = resources.files("aves_artifacts.configurations").joinpath("catalog.toml").read_text(encoding="utf-8")
    known = read_catalog(shipped, "catalog.toml", mirror=os.environ.get("AVES_MIRROR", ""))
    path = path_in("AVES_CATALOG")
    if path is None:
        return known
    try:
        text = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the catalogue that $AVES_CATALOG names: {reason_of(error)}") from None
    return known | read_catalog(text, str(path), beside=known)


def read_catalog(
    text: str, where: str, *, mirror: str = "", beside: Mapping[str, Configuration] | None = None
) -> dict[str, Configuration]:
    """Read one catalogue from its TOML text; ``beside`` are the configurations that it will stand with.

    ``mirror`` takes the place of its ``address``. Raises InputError with every problem.
    """
    try:
        entries = parse_toml(text)
    except ValueError as error:
        raise InputError(f"{where}: not a catalogue: {reason_of(error)}") from None
    address = entries.pop("address", "")
    shared = {key: entries.pop(key) for key in ("licence", "citation") if isinstance(entries.get(key), str)}
    problems = [] if isinstance(address, str) else ["address is no text"]
    if mirror and not _is_address(mirror):
        problems.append(f"$AVES_MIRROR is {quoted(mirror)}, expected an http:// or https:// address")
    base = (mirror or str(address)).rstrip("/") + "/"
    for name, entry in entries.items():
        problems += [f"{printable(name)}: {problem}" for problem in _problems(name, entry, base)]
    stems = {name: configuration.file_name for name, configuration in (beside or {}).items()}
    stems |= {name: str(entry.get("file_name")) for name, entry in entries.items() if isinstance(entry, dict)}
    problems += _shared_stems(stems)
    raise_if_any(problems, f"{where}: not a catalogue")
    return {name: _configuration(name, shared | entry, base) for name, entry in entries.items()}


def named(names: Sequence[str]) -> list[Configuration | Path]:
    """Find what each name stands for: a configuration, or a checkpoint at that path. Raises InputError for neither."""
    known = catalog()
    unknown = [name for name in names if name not in known and not Path(name).is_file()]
    if unknown:
        have = ", ".join(known)
        raise InputError(*(f"{name}: neither a configuration nor a file; the catalogue has {have}" for name in unknown))
    return [known[name] if name in known else Path(name) for name in names]


def by_file_name(stem: str) -> Configuration | None:
    """Find the configuration whose files begin with this name; None where there is none. Raises InputError."""
    return next((configuration for configuration in catalog().values() if configuration.file_name == stem), None)


def _configuration(name: str, entry: dict[str, Any], base: str) -> Configuration:
    files = {cast("PublishedRole", role): urljoin(base, path) for role, path in entry["files"].items()}
    waivers = waivers_of(entry.get("waivers", []))
    return Configuration(**{**entry, "name": name, "files": files, "waivers": waivers})


def _problems(name: str, entry: object, base: str) -> Iterator[str]:
    """Every reason why ``entry`` does not describe a configuration."""
    if not _NAME.fullmatch(name):
        yield "a name is of letters, digits, '.', '_' and '-'"
    if not isinstance(entry, dict):
        yield "expected a table, [name] with file_name, dimension and files"
        return
    expected = {f.name for f in fields(Configuration)} - {"name"}
    yield from (f"unknown entry {quoted(key)}" for key in entry if key not in expected)
    yield from (f"missing entry {quoted(key)}" for key in ("file_name", "dimension", "files") if key not in entry)
    stem = entry.get("file_name", "x")
    if not isinstance(stem, str) or not _NAME.fullmatch(stem):
        yield f"file_name is {quoted(stem)}, expected the stem of a file name"
    for key in ("dimension", "hours"):
        value = entry.get(key, 1)
        if type(value) is not int or value < 1:
            yield f"{key} is {quoted(value)}, expected a whole number above 0"
    for key in ("pretraining", "near_zero_drift", "licence", "citation"):
        if not isinstance(entry.get(key, ""), str):
            yield f"{key} is {quoted(entry[key])}, expected text"
    yield from waiver_problems(entry.get("waivers", []))
    yield from _file_problems(entry.get("files", {}), base)


def _file_problems(files: object, base: str) -> Iterator[str]:
    if not isinstance(files, dict):
        yield "files is no table"
        return
    for role, path in files.items():
        if role not in ROLES:
            yield f"files has {quoted(role)}, expected {', '.join(ROLES)}"
        elif not isinstance(path, str) or not _is_address(path, base):
            yield f"files.{role} is {quoted(path)}, expected an http:// or https:// address, or a path below `address`"
    if ("torchaudio" in files) != ("config" in files):
        yield "files has one of torchaudio and config, which go together"


def _is_address(path: str, base: str = "") -> bool:
    try:
        text = urljoin(base, path)
        parts = urlsplit(text)
        readable = text.isprintable() and " " not in text
        return readable and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket without its partner
        return False


def _shared_stems(stems: Mapping[str, str]) -> Iterator[str]:
    """Configurations whose files would overwrite each other; case does not count on every disk."""
    owners: dict[str, str] = {}
    for name, stem in stems.items():
        owner = owners.setdefault(stem.lower(), name)
        if owner != name:
            yield f"{printable(owner)} and {printable(name)} have the same file_name {printable(stem)}"
