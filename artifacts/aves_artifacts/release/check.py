"""Checking a published release: its index, sums, reports, provenance and signature."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from aves_artifacts.base.errors import MOST_TOLD, DoesNotHoldError, InputError
from aves_artifacts.base.messages import first_of, printable, quoted, size_text
from aves_artifacts.base.progress import Watcher
from aves_artifacts.bundle.attach import report_problems
from aves_artifacts.bundle.manifest import MANIFEST, REPORT, Manifest
from aves_artifacts.bundle.report_document import parse_bundle_report
from aves_artifacts.configurations.waivers import Waiver
from aves_artifacts.files.address import Address
from aves_artifacts.files.concurrency import each
from aves_artifacts.files.documents import MAX_DOCUMENT
from aves_artifacts.files.file_record import FileRecord
from aves_artifacts.release.gate import settle_failures
from aves_artifacts.release.index import CLAIM, INDEX, Index, IndexedConfiguration, is_claim
from aves_artifacts.release.provenance import PublicKey, opened, read_statement
from aves_artifacts.release.staging import SUMS


@dataclass(frozen=True)
class Listed:
    """An index that was read from a release's address."""

    index: Index
    record: FileRecord  # of the index itself


def read_index(address: Address) -> Listed:
    """Read the index of a release. Raises InputError where there is none, or something else."""
    content = address.read(INDEX)
    if content is None:
        raise InputError(
            f"{address.url}: no release: {INDEX} is not there; give the address of a version that is published"
        )
    index = Index.from_json(content, where=f"{address.url}/{INDEX}")
    return Listed(index, FileRecord(INDEX, len(content), hashlib.sha256(content).hexdigest()))


def check_release(listed: Listed, address: Address, watcher: Watcher, key: PublicKey | None = None) -> tuple[str, ...]:
    """Read every file of a release and check it; return remarks on what could not be looked at.

    With ``key``, the provenance must be signed by it. Without, nobody vouches that the release is whose it seems.
    Raises DoesNotHoldError with all that is wrong.
    """
    files = listed.index.files
    watcher.announce({Path(name): file.size for name, file in files.items()})
    found = each(partial(_changed, address, watcher), list(files.values()))
    names = address.names()
    first = (_claim_problem(listed, address), *_place_problems(listed.index, address), *found)
    problems = [problem for problem in (*first, *_strange_files(listed.index, names or ())) if problem]
    if not problems:  # what follows reads the same files, and would tell of them once more
        try:
            problems += _document_problems(listed, address, key)
        except DoesNotHoldError as error:
            problems += error.problems
    if problems:
        raise DoesNotHoldError(*(f"{address.url}: {problem}" for problem in first_of(problems, MOST_TOLD)))
    if names is None:
        return (f"whether there are files that {INDEX} does not list is not known: this address has no list of them",)
    return ()


def summary(listed: Listed, key: Path | None) -> Iterator[str]:
    """Tell people in lines what was checked."""
    index = listed.index
    for configuration in index.configurations:
        notes = ["a stand-in, never trained"] if configuration.stand_in else []
        notes += [f"{len(configuration.waived)} failures waived"] if configuration.waived else []
        yield f"{configuration.name}: verified against the original{''.join(f'; {note}' for note in notes)}"
    yield f"version {index.version}: {len(index.files)} files, {size_text(index.size)}, are as the index lists them"
    if key is not None:
        yield f"the provenance is signed by {key}"
    elif index.is_signed:
        yield "the provenance is signed; by whom was not checked, which needs the signer's public key"
    else:
        yield "it is not signed: nobody vouches for it but the address"


def _claim_problem(listed: Listed, address: Address) -> str:
    """Why index and statement cannot be those that were published; empty where they can."""
    index = listed.index
    claim = address.read(CLAIM)
    if claim is None:
        return f"{CLAIM} is missing"
    if index.schema == 1:  # the index lists the statement
        same = is_claim(claim, index.version, listed.record, None)
        return "" if same else f"{INDEX} is not the one that {CLAIM} names"
    statement = address.record(index.statement, most=MAX_DOCUMENT)
    if statement is None:
        return f"{index.statement} is missing"
    same = is_claim(claim, index.version, listed.record, statement)
    return "" if same else f"{INDEX} or {index.statement} is not the one that {CLAIM} names"


def _place_problems(index: Index, address: Address) -> Iterator[str]:
    """Whether a release lies where another version is looked for; an address may have a name in percent signs."""
    name = posixpath.basename(address.root.rstrip("/"))
    if index.version not in (name, unquote(name)):
        yield f"it is version {printable(index.version)}, and lies at the address of {quoted(unquote(name))}"


def _strange_files(index: Index, names: Sequence[str]) -> Iterator[str]:
    """What lies there beside a release, vouched for by nobody; hidden files are halves of publishers that go on."""
    known = {*index.files, index.statement, INDEX, CLAIM}
    for name in sorted(set(names) - known):
        if not any(part.startswith(".") for part in name.split("/")):
            yield f"{printable(name)} is no file of this release: {INDEX} does not list it"


def _changed(address: Address, watcher: Watcher, file: FileRecord) -> str:
    found = address.record(file.name, partial(watcher.held, Path(file.name)), most=file.size)
    if found is None:
        return f"{file.name} is missing"
    return "" if found == file else f"{file.name} is not the file that {INDEX} lists (size or SHA-256 differ)"


def _document_problems(listed: Listed, address: Address, key: PublicKey | None) -> Iterator[str]:
    index = listed.index
    yield from _sums_problems(index, address)
    yield from _provenance_problems(listed, address, key)
    yield from _folder_problems(index)
    for configuration in index.configurations:
        for problem in _bundle_problems(configuration, index, address):
            yield f"{configuration.name}: {problem}"


def _folder_problems(index: Index) -> Iterator[str]:
    """What would be looked at by nobody: files of no configuration. Whether a configuration has files shows later."""
    names = [configuration.name for configuration in index.configurations]
    folders = dict.fromkeys(name.partition("/")[0] for name in index.files if "/" in name)
    yield from (
        f"{INDEX} lists files in {folder}, which is no configuration of it" for folder in folders if folder not in names
    )
    if len(set(names)) < len(names):
        yield f"{INDEX} has a configuration twice"


def _sums_problems(index: Index, address: Address) -> Iterator[str]:
    expected = "".join(f"{file.sha256}  {name}\n" for name, file in index.files.items() if name != SUMS)
    if _text(address, SUMS, index) != expected:
        yield f"{SUMS} does not list the files of {INDEX}"


def _provenance_problems(listed: Listed, address: Address, key: PublicKey | None) -> Iterator[str]:
    index, name = listed.index, listed.index.statement
    if key is not None and not index.is_signed:
        yield "it is not signed"
        return
    if key is not None and index.schema == 1:
        yield (
            f"it was signed by an older version of this tool, which did not sign {INDEX}: nobody vouches for what that "
            "says of waivers and weights; have it published anew under another version"
        )
    try:
        text = _decoded(address.read(name) or b"", name)
        statement = read_statement(opened(text, key) if index.is_signed else text)
    except DoesNotHoldError as error:
        yield f"{name}: {error}"
        return
    expected = {file: record.sha256 for file, record in index.files.items()}
    if index.schema == 1:
        expected = {file: sha256 for file, sha256 in expected.items() if file not in (name, SUMS)}
    else:
        expected[INDEX] = listed.record.sha256
    if statement.version != index.version:
        yield f"{name} is about version {printable(statement.version)}, {INDEX} about {printable(index.version)}"
    if statement.subjects != expected:
        yield f"{name} is not about {INDEX} and the files that it lists"


def _bundle_problems(configuration: IndexedConfiguration, index: Index, address: Address) -> Iterator[str]:
    """Whether the report in a bundle is about its files, and passes but for what the index says is waived."""
    name = configuration.name
    try:
        manifest = Manifest.from_json(_text(address, f"{name}/{MANIFEST}", index), where=MANIFEST)
        document = _text(address, f"{name}/{REPORT}", index)
        report = parse_bundle_report(document.encode(), REPORT)
    except InputError as error:
        yield from error.problems
        return
    records = [*manifest.files.values(), *([manifest.report] if manifest.report else [])]
    for record in records:
        published = index.files.get(f"{name}/{record.name}")
        if published is None or (published.size, published.sha256) != (record.size, record.sha256):
            yield f"{record.name} is not the file that {MANIFEST} records"
    if manifest.report is None:
        yield f"{MANIFEST} records no report"
    says = manifest.name, manifest.source.stand_in, manifest.source.sha256
    if says != (name, configuration.stand_in, configuration.source_sha256):
        yield f"{MANIFEST} is of {manifest.name}, or says something else of its weights than {INDEX}"
    yield from report_problems(report, manifest)
    waivers = [Waiver(w.backend, w.reason, w.clip, w.layer) for w in configuration.waived]
    yield from settle_failures(report, waivers, manifest.ports)[1]


def _text(address: Address, name: str, index: Index) -> str:
    """A document whose hash was checked. Raises DoesNotHoldError where the index does not list it."""
    if name not in index.files:
        raise DoesNotHoldError(f"{INDEX} lists no {name}")
    content = address.read(name, index.files[name].size) or b""
    if hashlib.sha256(content).hexdigest() != index.files[name].sha256:
        raise DoesNotHoldError(f"{name} changed while it was checked")
    return _decoded(content, name)


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise DoesNotHoldError(f"{name} is no text") from None
