"""Running an encoder in a process of its own, with limits: a file may loop without end, and a runtime may crash.

``SeparateBackend`` is in this process; ``opened``, ``run`` and ``facts`` are what it calls in the other one.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import first_line, printable, quoted
from aves_artifacts.base.process import LimitError, Limits, borrowed, call_apart, give_back
from aves_convert.sounds.clip import SAMPLE_RATE
from aves_verify.backends.backend import Backend, Embeddings, Encoder, Given, Implementation, RunError
from aves_verify.sounds.memory import needed

# What a file may take. Its weights lie in memory several times while a runtime arranges them anew.
_MEMORY, _FILES, _FORWARD = 1 << 30, 6, 4  # bytes; times the file's size; times what a forward pass is known to take
_FOREIGN = 8 << 30  # bytes in the place of the first, of what nobody here has measured: other devices, other packages
_UNKNOWN = 64 << 10  # bytes for each sample, where the geometry is not known
_SECONDS, _SLOWER, _PACE = 60.0, 30, 5.0  # in all; times what the reference took; for each second of sound


@dataclass(frozen=True)
class About:
    """What is known of an encoder that was loaded elsewhere: its library, how it runs, and what its file says."""

    version: str
    settings: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    gives_layers: bool = False
    outputs: tuple[str, ...] = ()  # by the names that ``run`` gives them; none: not known
    metadata: Mapping[str, str] = field(default_factory=dict)
    unknown_outputs: tuple[str, ...] = ()
    fixed_shape: tuple[int, int] | None = None  # of the input [batch, samples], where the file takes no other at all


class Loan:
    """A process that is given back once no backend uses it any more; each was allowed so much memory to load a file."""

    def __init__(self, memory: int) -> None:
        self.process = borrowed()
        weakref.finalize(self, give_back, self.process, memory)


class SeparateBackend:
    """An encoder in a process of its own, of any implementation.

    Its limits follow from the file's size, the encoder's geometry and ``reference_seconds``: how long the reference
    took for a second of sound, at most.
    """

    def __init__(self, row: Implementation, given: Given, *, loan: Loan | None = None) -> None:
        """Load the file. ``loan`` is the process in which that is done, beside another one, by default one of its own.

        Raises InputError for what cannot be loaded, or takes too long or too much memory.
        """
        from aves_convert.graph_files.weights import bytes_of_files  # onnx is not needed in the other process

        self.row, self.given, self.path = row, given, given.path
        self.name, self.kind, self.reference_seconds = row.name, row.kind, 0.0
        self._sessions = 1 if loan is None else 2
        size = bytes_of_files(self.path) if row.is_graph else self.path.stat().st_size
        self._memory = (_MEMORY if self.is_known else _FOREIGN) + self._sessions * _FILES * size
        self._loan = loan or Loan(self._memory)
        self._process = self._loan.process
        try:
            loaded: tuple[int, About] = self._process.call(
                __name__, "opened", row, given, loan is not None, limits=self._limits(_SECONDS + size / 5e6)
            )
        except LimitError as error:
            raise InputError(f"{self.path}: {row.called} cannot load it within limits: {error}") from None
        self._number, self._about = loaded

    @property
    def is_known(self) -> bool:
        """Does it run on the processor, by a runtime that was measured here?"""
        options = self.given.options
        where = options.get("provider", options.get("device", "")).upper()
        return not self.row.package and where in ("CPU", "CPUEXECUTIONPROVIDER")

    @property
    def version(self) -> str:
        """The version of the library that computes."""
        return str(self._about.version)

    @property
    def about(self) -> About:
        """What is known of it, by now: some is known once it has run. Of a process that is gone, what was known."""
        if self._process.is_running:
            with suppress(InputError, LimitError):
                self._about = self._process.call(__name__, "facts", self._number, limits=self._limits(_SECONDS))
        return self._about

    @property
    def gives_layers(self) -> bool:
        """Whether it computes each layer too."""
        return bool(self._about.gives_layers)

    @property
    def gives(self) -> tuple[str, ...]:
        """The names of its outputs, as ``run`` gives them; none where that is not known."""
        return self._about.outputs

    @property
    def fixed_batch(self) -> int | None:
        """How many waveforms a file of a fixed shape takes at once.

        None where samples are free: a file that takes any length and one batch size alone was frozen by mistake.
        """
        return None if self._about.fixed_shape is None else self._about.fixed_shape[0]

    @property
    def fixed_samples(self) -> int | None:
        """How many samples each must have in a file of a fixed shape."""
        return None if self._about.fixed_shape is None else self._about.fixed_shape[1]

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        """See ``Encoder.run``. Raises InputError where layers are wanted and the file gives only the last.

        A file of a fixed batch gets as many waveforms at once, at the end some once more. Raises RunError where it
        fails, or hits a limit.
        """
        batch = self.fixed_batch
        if batch is None or len(waveform) == batch:
            return self._run(waveform, layers=layers)
        turns = -(-len(waveform) // batch)
        rows = waveform[np.arange(turns * batch) % len(waveform)]
        found = [self._run(part, layers=layers) for part in np.split(rows, turns)]
        return {name: np.concatenate([each[name] for each in found])[: len(waveform)] for name in found[0]}

    def _run(self, waveform: NDArray[np.float32], *, layers: bool) -> Embeddings:
        try:
            found: Embeddings = self._process.call(
                __name__, "run", self._number, waveform, layers, limits=self.limits(waveform.shape, layers=layers)
            )
        except LimitError as error:
            shape = list(waveform.shape)
            raise RunError(
                f"{self.path}: {self.row.called} does not run a waveform {shape} within limits: {error}"
            ) from None
        return found

    def with_options(self, **options: str) -> Given:
        """What it was loaded from, with some options changed, to load it once more."""
        return replace(self.given, options={**self.given.options, **options})

    def limits(self, shape: tuple[int, ...], *, layers: bool = False, passes: int = 1) -> Limits:
        """What ``passes`` on a waveform of this shape may take: far more than any encoder of this geometry does."""
        samples, config = int(np.prod(shape)), self.given.config
        forward = _UNKNOWN * samples if config is None else shape[0] * needed(config, shape[-1], layers=layers)
        pace = max(_PACE, _SLOWER * self.reference_seconds)
        return self._limits(
            _SECONDS + passes * pace * samples / SAMPLE_RATE, self._sessions * passes * _FORWARD * forward
        )

    def _limits(self, seconds: float, memory: int = 0) -> Limits:
        return Limits(seconds, self._memory + memory, addresses=self.is_known)


def about(backend: Backend) -> About:
    """What reports tell of a backend; of one that runs in this process, its version."""
    if isinstance(backend, SeparateBackend):
        return backend.about
    return About(backend.version, getattr(backend, "settings", {}))


def check(row: Implementation, options: Mapping[str, str]) -> None:
    """Raise InputError where a backend cannot be imported, or cannot be run with these options."""
    row.check_installed()
    try:
        call_apart(__name__, "checked", row, row.chosen(options), limits=Limits(_SECONDS, _FOREIGN, addresses=False))
    except LimitError as error:
        raise InputError(f"{row.called} cannot be imported within limits: {error}") from None


# --- in the other process


def checked(row: Implementation, options: Mapping[str, str]) -> None:
    """Import what loads an encoder, and have it look at the options."""
    with _told(row, f"{row.called} cannot be imported", InputError):
        row.maker()
        row.checker()(options)


_OPENED: dict[int, tuple[Implementation, Path, Encoder]] = {}


def opened(row: Implementation, given: Given, beside: bool) -> tuple[int, About]:
    """Load a file and keep it, ``beside`` others or instead; return the number that it goes by. Raises InputError."""
    if not beside:
        _OPENED.clear()
    with _told(row, f"{given.path}: {row.called} cannot load it", InputError):
        _OPENED[len(_OPENED)] = row, given.path, row.maker()(given)
        number = len(_OPENED) - 1
        return number, facts(number)


def facts(number: int) -> About:
    """What is known of the encoder of this number."""
    row, path, encoder = _OPENED[number]
    with _told(row, f"{path}: {row.called} does not tell what it is", InputError):
        known = getattr(encoder, "facts", None)
        if isinstance(known, About):
            return known
        if not callable(getattr(encoder, "run", None)):
            raise TypeError(f"{printable(row.make)} returns {quoted(encoder)}, which has no run")
        return About(
            version=printable(str(encoder.version)),
            settings={
                printable(str(name)): printable(str(value))
                for name, value in dict(getattr(encoder, "settings", {})).items()
            },
            problems=tuple(printable(str(problem)) for problem in getattr(encoder, "problems", ())),
            gives_layers=bool(getattr(encoder, "gives_layers", False)),
        )


def run(number: int, waveform: NDArray[np.float32], layers: bool) -> Embeddings:
    """Run the encoder of this number, see ``Encoder.run``."""
    row, path, encoder = _OPENED[number]
    with _told(row, f"{path}: {row.called} fails on a waveform {list(waveform.shape)}", RunError):
        found: Any = encoder.run(waveform, layers=layers)
        if not isinstance(found, Mapping) or not found:
            raise TypeError(f"expected a mapping of names to arrays, found {quoted(found)}")
        for name, value in found.items():
            if not isinstance(name, str) or not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
                raise TypeError(f"expected arrays of numbers by name, found {quoted(value)} as {quoted(name)}")
        return {str(name): np.ascontiguousarray(value) for name, value in found.items()}


@contextmanager
def _told(row: Implementation, where: str, raised: type[InputError]) -> Iterator[None]:
    """Whatever a runtime raises becomes one line; what is our own stays as it is."""
    try:
        yield
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, InputError) and (isinstance(error, RunError) or not row.package):
            raise
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise raised(f"{where}: {kind}{first_line(error)}") from None
