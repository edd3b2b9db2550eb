"""What a backend is: an encoder that is loaded and can run waveforms; and the table of the ways to load one.

Whoever writes another runtime adds a way from a package of their own: by an entry point in the group ``GROUP`` whose
name is the backend's, and whose object is an ``Implementation``. Nothing of it is imported before somebody names it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError, TerminatedError
from aves_artifacts.base.extras import MODULES, is_installed, ways
from aves_artifacts.base.messages import first_line, printable, quoted
from aves_artifacts.bundle.manifest import REDUCED
from aves_artifacts.encoder import EncoderConfig
from aves_convert.weights.heads import NO_HEADS, Heads
from aves_verify.comparison.compare import TOLERANCES
from aves_verify.subjects.subject import FILES

GROUP = "aves_verify.backends"
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_MAKER = re.compile(r"[\w.]+:\w+")

# "final" -> what the original returns, "layer.0" … -> each transformer layer's output, "logits" -> that of a fine-tuned
# model's head, before any softmax; "layer.8.projection" and so on -> see ``Output``. Arrays are [batch, frames, dim],
# those of units int64 [batch, frames].
Embeddings = Mapping[str, NDArray[Any]]


def with_axes(waveform: NDArray[np.float32], axes: int) -> NDArray[np.float32]:
    """Waveforms [batch, samples] as a graph takes them: with three ``axes`` there is one for their only channel."""
    return np.ascontiguousarray(waveform[:, None] if axes == 3 else waveform)


class RunError(InputError):
    """A port that loads, but does not run on an input that the original takes."""


class Encoder(Protocol):
    """An encoder that is loaded and can run waveforms: what the maker of an ``Implementation`` returns.

    It may have more than this: ``gives_layers``, whether ``run`` gives each layer where it is asked to; ``settings``, a
    mapping of text to text that reports tell, such as the device; ``problems``, sentences that fail the verification.
    """

    @property
    def version(self) -> str:
        """The version of the library that computes."""
        ...

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """Compute the embeddings of waveforms [batch, samples] at 16 kHz: float32 [batch, frames, dim] by name.

        ``final`` is what the original returns; with ``layers`` there are ``layer.0``, ``layer.1``, … too, and
        ``logits`` where there is a head. A graph whose outputs were named gives those, whatever is asked: see
        ``GraphOutputs``, which tells what a graph's names mean. Raises RunError for an input that it does not run on.
        """
        ...


class Backend(Encoder, Protocol):
    """An encoder that is loaded, with the name that reports give it and the row of the table of tolerances."""

    @property
    def name(self) -> str:
        """Its implementation's name."""
        ...

    @property
    def kind(self) -> str:
        """The row of the table of tolerances."""
        ...


@dataclass(frozen=True)
class Given:
    """What an encoder is loaded from: the file, the encoder's geometry, and the options.

    ``config`` is the original's; of an implementation that reads ``torchaudio``, what the file beside the weights says.
    It is None only where an ONNX file is run by itself.
    """

    path: Path
    config: EncoderConfig | None
    options: Mapping[str, str] = field(default_factory=dict)
    pretrained: Path | None = None  # what a fairseq checkpoint was made from, where it lacks that one's config
    geometry: str | None = None  # the published size of a checkpoint's weights, where it lacks all settings
    heads: Heads = NO_HEADS  # what TorchAudio's weights and fairseq's checkpoint have no place for; in this process


@dataclass(frozen=True)
class Implementation:
    """A way to run an encoder: its name, the file that it reads, and the function that loads it.

    ``reads``: ``fairseq`` (a checkpoint), ``torchaudio`` (weights, with their config), ``onnx`` (a graph), one of
    ``REDUCED`` (a smaller one) or ``transformers`` (a folder). ``make``: a function as ``module:function``, which takes
    a ``Given`` and returns an ``Encoder``; it is imported and called in a process of its own, with limits of time and
    memory. ``kind``: the row of the table of tolerances, of what reads a smaller graph ``reduced``. ``modules``: what
    must be installed; ``install`` says how. ``options``: those that it takes, with their defaults. ``check``: a
    function like ``make`` that takes the options alone, before any file is made, and raises InputError for those that
    cannot be. Raises InputError for what is no such row.
    """

    name: str
    reads: str
    make: str
    kind: str = "onnx"
    title: str = ""  # what people call it
    modules: tuple[str, ...] = ()
    install: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    package: str = ""  # that brings it; empty: this one
    here: bool = field(default=False, kw_only=True)  # runs in this process: torch alone, whose files we read ourselves

    def __post_init__(self) -> None:
        """Check what a program that was written elsewhere may have got wrong."""
        for value, form, what in (
            (self.name, _NAME, "name is {}, expected small letters, digits, underscores, dots and dashes"),
            (self.make, _MAKER, "make is {}, expected module:function"),
            (self.check or self.make, _MAKER, "check is {}, expected module:function"),
        ):
            if not isinstance(value, str) or not form.fullmatch(value):
                raise InputError(what.format(quoted(value)))
        for value, known, what in ((self.reads, FILES, "reads"), (self.kind, tuple(TOLERANCES), "kind")):
            if value not in known:
                raise InputError(f"{what} is {quoted(value)}, expected one of {', '.join(known)}")
        if self.is_reduced != (self.kind == "reduced"):
            raise InputError(
                f"kind is {quoted(self.kind)}, and reads {quoted(self.reads)}: what reads one of {', '.join(REDUCED)} "
                "is of the kind 'reduced', and nothing else is"
            )
        if not isinstance(self.modules, tuple) or not all(isinstance(module, str) for module in self.modules):
            raise InputError(f"modules is {quoted(self.modules)}, expected a tuple of names, such as ('toy_runtime',)")
        if not isinstance(self.options, Mapping):
            raise InputError(f"options is {quoted(self.options)}, expected text by name, such as {{'device': 'cpu'}}")
        for text in (*self.options, *self.options.values()):
            if not isinstance(text, str):
                raise InputError(f"options has {quoted(text)}, expected text by name, such as {{'device': 'cpu'}}")

    @property
    def is_graph(self) -> bool:
        """Whether it reads an ONNX file."""
        return self.reads == "onnx" or self.is_reduced

    @property
    def is_reduced(self) -> bool:
        """Whether it reads a graph that costs more than rounding, and is held to what that may cost."""
        return self.reads in REDUCED

    @property
    def called(self) -> str:
        """Its name for people, with the package that brings it."""
        return f"{self.name} of the package {self.package}" if self.package else self.title or self.name

    def maker(self) -> Callable[[Given], Encoder]:
        """Import the function that loads an encoder."""
        made: Callable[[Given], Encoder] = _imported(self.make)
        return made

    def checker(self) -> Callable[[Mapping[str, str]], None]:
        """Import the function that looks at the options."""
        check: Callable[[Mapping[str, str]], None] = _imported(self.check) if self.check else lambda _: None
        return check

    def check_installed(self) -> None:
        """Raise InputError where something is missing that it needs."""
        missing = [module for module in self.modules if not is_installed(module)]
        if missing:
            told = f"the backend {self.name} needs {', '.join(missing)}, not installed here"
            raise InputError(f"{told}; {self.install}" if self.install else told)

    def chosen(self, options: Mapping[str, str]) -> dict[str, str]:
        """The options with their defaults. Raises InputError for one that it does not take."""
        unknown = [name for name in options if name not in self.options]
        if unknown:
            known = ", ".join(self.options) or "none"
            raise InputError(f"the backend {self.name} takes no option {quoted(unknown[0])}; it takes {known}")
        return {**self.options, **options}


def check_threads(runtime: str, threads: str) -> None:
    """Raise InputError for an option ``threads`` that is neither empty nor a number of threads."""
    if threads and not (threads.isascii() and threads.isdecimal() and int(threads)):
        raise InputError(f"{runtime}: threads is {printable(threads)}, expected a whole number from 1 on")


def _imported(reference: str) -> Any:
    module, _, function = reference.partition(":")
    return getattr(importlib.import_module(module), function)


ONNX_RUNTIME = ("onnx", *REDUCED)  # the ports that run in ONNX Runtime: these files are looked into as well
_ONNX_OPTIONS = {"provider": "CPUExecutionProvider", "optimisation": "all", "threads": "", "device": ""}
IMPLEMENTATIONS = {
    row.name: row
    for row in (
        Implementation(  # the original: it is held to nothing, and its kind decides nothing
            "fairseq", "fairseq", "aves_verify.backends.fairseq_hubert:load", kind="torchaudio", here=True
        ),
        Implementation(
            "torchaudio", "torchaudio", "aves_verify.backends.torchaudio_encoder:load", kind="torchaudio", here=True
        ),
        Implementation(
            "onnx",
            "onnx",
            "aves_verify.backends.onnx_runtime:load",
            title="ONNX Runtime",
            options=_ONNX_OPTIONS,
            check="aves_verify.backends.onnx_runtime:check",
        ),
        *(
            Implementation(
                port,
                port,
                "aves_verify.backends.onnx_runtime:load",
                kind="reduced",
                title="ONNX Runtime",
                options=_ONNX_OPTIONS,
                check="aves_verify.backends.onnx_runtime:check",
            )
            for port in REDUCED
        ),
        Implementation(
            "transformers",
            "transformers",
            "aves_verify.backends.transformers_model:load",
            kind="transformers",
            title="Hugging Face transformers",
            modules=MODULES["transformers"],
            install=ways("transformers"),
            options={"attention": "default"},
            check="aves_verify.backends.transformers_model:check",
            here=True,
        ),
        Implementation(
            "openvino",
            "onnx",
            "aves_verify.backends.openvino_runtime:load",
            title="OpenVINO",
            modules=MODULES["openvino"],
            install=ways("openvino"),
            options={"device": "CPU", "precision": "f32", "threads": ""},
            check="aves_verify.backends.openvino_runtime:check",
        ),
    )
}
DEFAULT = ("fairseq", "torchaudio", "onnx")
REFERENCES = (*DEFAULT, "transformers")  # what others can be compared with


def implementation(name: str) -> Implementation:
    """Find a way to run an encoder by its name. Raises InputError where there is none, or where a package's is broken.

    >>> implementation("onnx").reads
    'onnx'
    """
    if name in IMPLEMENTATIONS:
        return IMPLEMENTATIONS[name]
    brought = _brought()
    if name not in brought:
        known = [*IMPLEMENTATIONS, *brought]
        near = "".join(f"; did you mean {close}?" for close in get_close_matches(name, known, 1))
        raise InputError(
            f"unknown backend {printable(name)}; there are {', '.join(map(printable, known))}{near}",
            hint="" if near else "give two or more with {backends}",
        )
    packages = {_package(entry): entry for entry in brought[name]}
    if len(packages) > 1:
        raise InputError(f"several packages bring a backend {name}: {', '.join(packages)}; keep one of them installed")
    ((package, entry),) = packages.items()
    return _loaded(name, package, entry)


def _brought() -> dict[str, list[EntryPoint]]:
    """What other packages bring, by name; nothing of it is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def _package(entry: EntryPoint) -> str:
    return printable(entry.dist.name if entry.dist is not None else entry.value)


def _loaded(name: str, package: str, entry: EntryPoint) -> Implementation:
    """What a package has at its entry point. Raises InputError for what does not import, or is something else."""
    where = f"the package {package} does not bring the backend {name} that it names"
    try:
        found = entry.load()
    except TerminatedError:
        raise
    except (Exception, SystemExit) as error:  # whatever a package does when it is imported
        raise InputError(f"{where}: {printable(entry.value)}: {type(error).__name__}: {first_line(error)}") from None
    if not isinstance(found, Implementation):
        kind = printable(type(found).__name__)
        raise InputError(f"{where}: {printable(entry.value)} is of {kind}, expected aves_verify.Implementation")
    if found.name != name:
        raise InputError(f"{where}: {printable(entry.value)} calls itself {found.name}")
    return replace(found, package=package, here=False)
