"""Checking a bundle: hashes, strange files, contents, what became of each tensor, and the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import install, is_installed
from aves_artifacts.base.messages import first_line
from aves_artifacts.base.process import Limits, call_apart
from aves_artifacts.bundle.attach import report_problems
from aves_artifacts.bundle.bundle import Bundle, file_problem, manifest_problem, read_bundle
from aves_artifacts.bundle.manifest import MANIFEST, REDUCED, TRANSFORMERS, Manifest, ReportRecord, Role
from aves_artifacts.bundle.report_document import parse_bundle_report
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import read_file

SCHEMA = 1
VERDICT_FAILED = "says that the verification failed"
_WEIGHTS: tuple[Role, ...] = ("torchaudio", "safetensors")
_GRAPH: tuple[Role, ...] = ("onnx", "onnx_data")
_FOLDER: tuple[Role, ...] = ("transformers_weights", *(role for role in TRANSFORMERS if role != "transformers_weights"))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file; ``problem`` is a sentence that begins with the file's name."""

    file: str
    problem: str


@dataclass(frozen=True)
class NotChecked:
    """What was left out of the check of one file, because a library is not installed, and the command that adds it."""

    file: str
    what: str


@dataclass(frozen=True)
class Checked:
    """What ``check_bundle`` found. ``manifest`` is None where it could not be read."""

    folder: Path
    manifest: Manifest | None
    problems: tuple[Problem, ...]
    not_checked: tuple[NotChecked, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong. A bundle that nobody verified passes; one whose report says failed does not."""
        return not self.problems

    @property
    def verified(self) -> bool | None:
        """Whether the report in the bundle says passed; None where there is no report."""
        report = self.manifest and self.manifest.report
        return report.passed if report else None

    def to_json(self) -> str:
        """What was found as JSON, for programs."""
        document = {
            "schema": SCHEMA,
            "bundle": str(self.folder),
            "passed": self.passed,
            "verified": self.verified,
            "problems": [asdict(problem) for problem in self.problems],
            "not_checked": [asdict(left) for left in self.not_checked],
        }
        return json.dumps(document, indent=2)


def check_bundle(folder: Path) -> Checked:
    """Hash every file, load what can be loaded, and hold manifest, files, ledger and report against each other.

    Without torch the weights are taken from the safetensors copy, without ONNX Runtime the graph is onnx's to judge;
    ``not_checked`` says so.

    Raises InputError where there is no bundle at all.
    """
    try:
        bundle = read_bundle(folder)
    except InputError as error:
        if not (folder / MANIFEST).exists():
            raise
        return Checked(folder, None, tuple(_unusable(error, folder / MANIFEST)))
    return Checked(folder, bundle.manifest, tuple(_problems(bundle)), tuple(_not_checked(bundle)))


def _problems(bundle: Bundle) -> Iterator[Problem]:
    manifest = bundle.manifest
    if problem := manifest_problem(bundle):
        yield Problem(MANIFEST, problem)
    sound: set[Role] = set()
    for role, record in manifest.files.items():
        if problem := file_problem(bundle.folder, record):
            yield Problem(record.name, problem)
        else:
            sound.add(role)
    yield from _strange_files(bundle)
    yield from _contents(bundle, sound)
    if manifest.report is not None:
        for problem in _report_problems(bundle, manifest.report):
            yield Problem(manifest.report.name, problem)


def _not_checked(bundle: Bundle) -> Iterator[NotChecked]:
    """What only a library that is missing here could tell."""
    loaders: tuple[tuple[Role, str, str], ...] = (
        ("torchaudio", "torch", "torch"),
        ("onnx", "onnxruntime", "ONNX Runtime"),
    )
    reduced = [(role, "onnxruntime", "ONNX Runtime") for role in REDUCED.values() if role in bundle.manifest.files]
    for role, module, library in (*loaders, *reduced):
        if not is_installed(module):
            yield NotChecked(bundle.manifest.files[role].name, f"not loaded with {library}: {install('verify')}")


def _strange_files(bundle: Bundle) -> Iterator[Problem]:
    """What lies in the folder and is not of the bundle; hidden files are other tools' and do no harm."""
    known = {MANIFEST, *(record.name for record in bundle.manifest.files.values())}
    known |= {bundle.manifest.report.name} if bundle.manifest.report else set()
    folders = {name.partition("/")[0] for name in known if "/" in name}
    inside = [f"{name}/{path.name}" for name in folders for path in _inside(bundle.folder / name)]
    for name in sorted(path.name for path in _inside(bundle.folder) if path.name not in folders) + sorted(inside):
        if name not in known:
            yield Problem(name, f"is no file of this bundle: {MANIFEST} does not record it")


def _inside(folder: Path) -> Iterator[Path]:
    """What is in a folder; nothing in what is none, which is told of in another place."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if not path.name.startswith("."))


def _contents(bundle: Bundle, sound: set[Role]) -> Iterator[Problem]:
    """What the files hold; those that are not the recorded ones are named already, and are not opened."""
    from aves_artifacts.bundle.contents import config_problems
    from aves_artifacts.bundle.transformers_contents import layout_problems

    weights = tuple(role for role in _WEIGHTS if role in sound and (role != "torchaudio" or is_installed("torch")))
    if "config" in sound:
        try:
            config = EncoderConfig.read(bundle.path("config"))
        except InputError as error:
            yield from _unusable(error, bundle.path("config"))
        else:
            name = bundle.manifest.files["config"].name
            yield from (Problem(name, problem) for problem in config_problems(config, bundle.manifest))
            yield from _loaded(bundle, weights, "tensor_problems", config, weights)
    if "heads" in sound:
        yield from _loaded(bundle, ("heads",), "head_problems")
    yield from (Problem(name, problem) for name, problem in layout_problems(bundle.manifest))
    folder = tuple(role for role in _FOLDER if role in sound)
    if folder:
        beside = weights[-1:]  # the safetensors copy, where both are there
        yield from _loaded(bundle, (*folder, *beside), "folder_problems", folder, *beside)
    graph = tuple(role for role in _GRAPH if role in bundle.manifest.files)
    for roles in (graph, *((role,) for role in REDUCED.values() if role in bundle.manifest.files)):
        if sound >= set(roles):
            yield from _loaded(bundle, roles, "graph_problems", roles[0], is_installed("onnxruntime"))


def _loaded(bundle: Bundle, roles: tuple[Role, ...], function: str, *args: object) -> Iterator[Problem]:
    """What a function of ``contents`` finds in these files, where it can take no more than they are worth."""
    records = [bundle.manifest.files[role] for role in roles]
    limits = Limits.of_loading(sum(record.size for record in records))
    try:
        found = call_apart("aves_artifacts.bundle.contents", function, bundle, *args, limits=limits) if roles else []
    except Exception as error:  # a limit, or whatever a library makes of a file that it did not write
        found = [(roles[0], f"is refused: {first_line(error)}")]
    yield from (Problem(bundle.manifest.files[role].name, problem) for role, problem in found)


def _report_problems(bundle: Bundle, record: ReportRecord) -> Iterator[str]:
    if problem := file_problem(bundle.folder, record):
        yield problem
        return
    try:
        report = parse_bundle_report(read_file(bundle.folder / record.name), record.name)
    except InputError as error:
        yield from (f"is no report: {problem}" for problem in error.problems)
        return
    yield from (f"does not belong here: {problem}" for problem in report_problems(report, bundle.manifest))
    if report.passed != record.passed:
        yield f"has another verdict than {MANIFEST} records"
    elif not record.passed:
        yield VERDICT_FAILED


def _unusable(error: InputError, path: Path) -> Iterator[Problem]:
    for problem in error.problems:
        yield Problem(path.name, f"is unusable: {problem.removeprefix(f'{path}: ')}")
