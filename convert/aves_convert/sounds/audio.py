"""Reading audio files: any rate and channel count in, mono at 16 kHz out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import as_text, reason_of
from aves_artifacts.base.quiet import quiet
from aves_artifacts.files.file_record import version_of_file
from aves_artifacts.files.walking import visible_files
from aves_convert.sounds.clip import SAMPLE_RATE, Clip, StoredClip

EXTENSIONS = frozenset({".wav", ".flac", ".ogg", ".mp3"})
MAX_SECONDS = 300  # attention takes memory with the square of a clip's length: a base encoder for this one about 60 GiB
RATES = range(1000, 1_000_001)  # Hz; from slow hydrophones to ultrasound detectors
LARGEST = 1e30  # what float32, and a network's squares of it, cannot carry
_BLOCK = 2**20  # values read at a time


def read_clips(paths: Sequence[Path]) -> tuple[tuple[StoredClip, ...], tuple[str, ...]]:
    """Read every audio file that ``paths`` (files and folders) hold, to tell what is wrong with it before it is used.

    Returns the clips, whose samples are not kept but read again, and one line for each file that could not be read: a
    bad file does not lose the others.
    Raises InputError for a path that is missing or holds no audio, and when not one file could be read.
    """
    clips: list[StoredClip] = []
    unreadable: list[str] = []
    for path in find_audio(paths):
        version = version_of_file(path)
        result = _clip_or_reason(path)
        if isinstance(result, Clip):
            again = partial(_read_again, path, version)
            clips.append(StoredClip(result.name, result.source, result.samples, again))
        else:
            unreadable.append(result)
    if not clips and unreadable:
        more = f" (and {len(unreadable) - 1} more files that cannot be read)" if len(unreadable) > 1 else ""
        raise InputError(unreadable[0] + more)
    return tuple(clips), tuple(unreadable)


def find_audio(paths: Sequence[Path]) -> list[Path]:
    """Find the audio files among ``paths``: files as given, folders searched to any depth, each folder's files sorted.

    In folders the extension decides (WAV, FLAC, OGG, MP3 in any case), links to folders are followed, and what is
    hidden is left out. No file comes twice. Raises InputError for a missing path, a folder that cannot be read, or one
    without audio.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for file in _files(path):
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def read_clip(path: Path) -> Clip:
    """Read one audio file: channels averaged and resampled to 16 kHz in float64, then rounded to float32.

    The clip is named by the path, relative to the working folder where it lies in that. Raises InputError for a file
    that is missing, not readable, not audio, empty, longer than 5 minutes, or that holds NaN or infinite values.
    """
    with explained(str(path)):
        _refuse_non_files(path)
        with quiet(), SoundFile(os.fsencode(path)) as file:
            mono = read_mono(file, str(path))
    return Clip(_name(path), mono.astype(np.float32), str(path))


class SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """An audio file that is read straight on, until its data end.

    soundfile seeks after each piece to where libsndfile stands already. At the end of a FLAC from a pipe, whose header
    tells no length, that fails.
    """

    def seekable(self) -> bool:
        """No, so that it does not; ``seek`` works all the same."""
        return False


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise InputError for what the system or libsndfile refuses while the block runs."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {reason_of(error)}") from None
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: headerless .raw
        detail = getattr(error, "error_string", str(error)).rstrip(".")
        raise InputError(
            f"{where}: damaged, or not audio (libsndfile: {detail}); expected WAV, FLAC, OGG or MP3"
        ) from None


def rate_of(file: SoundFile, where: str) -> int:
    """The sample rate in Hz. Raises InputError for one that no recorder has."""
    rate = int(file.samplerate)
    if rate not in RATES:
        raise InputError(f"{where}: a sample rate of {rate} Hz; expected {RATES[0]} to {RATES[-1]} Hz")
    return rate


def read_mono(file: SoundFile, where: str, span: range | None = None) -> NDArray[np.float64]:
    """Read the mean over the channels [samples] at 16 kHz: of all that the file holds, or of the frames ``span``.

    For a span the file stands at its first frame already, and what lies around it is as silence to the resampler.
    Read and resampled in blocks until the data end: the length in a header may be wrong or unknown, and a small file
    may hold hundreds of millions of samples. Raises InputError for more than 5 minutes where no span is given, for
    fewer frames than the span has, for none, and for NaN or infinite values, with their place.
    """
    rate = rate_of(file, where)
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float64", quality="VHQ")
    parts, samples, bad = [np.zeros(0)], 0, _Bad()
    for block in _blocks(file, None if span is None else len(span)):
        if span is None and samples + len(block) > MAX_SECONDS * rate:
            raise InputError(f"{where}: longer than {MAX_SECONDS} s; cut the recording into shorter clips")
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            # One channel after the other: numpy's mean adds in an order that depends on the processor.
            mono = sum(block.T[1:], start=block.T[0]) / file.channels
        bad.look_at(mono, samples)
        samples += len(block)
        if not bad.count:
            parts.append(mono if rate == SAMPLE_RATE else resampler.resample_chunk(mono))
    if bad.first is not None:
        at, value = bad.first
        raise InputError(
            f"{where}: {bad.count} of {samples} samples are NaN, infinite or absurdly large, first at "
            f"{(at + (span.start if span else 0)) / rate:.3f} s ({value}); repair or leave out the file"
        )
    if span is not None and samples < len(span):
        raise InputError(f"{where}: damaged: it ends at {(span.start + samples) / rate:.3f} s, before it should")
    if samples == 0:
        raise InputError(f"{where}: holds no samples; give a recording")
    if rate != SAMPLE_RATE:
        parts.append(resampler.resample_chunk(np.zeros(0), last=True))
    return np.concatenate(parts)


def _read_again(path: Path, version: tuple[int, ...] | None) -> Clip:
    """The same clip. Raises InputError where the file is another by now."""
    clip = read_clip(path)
    if version_of_file(path) != version:
        raise InputError(f"{path}: changed while it was in use; run again when nothing writes to it")
    return clip


def _clip_or_reason(path: Path) -> Clip | str:
    try:
        return read_clip(path)
    except InputError as error:
        return str(error)


def _files(path: Path) -> list[Path]:
    """A path itself, or a folder's audio files. Raises InputError."""
    try:
        path.stat()
        return _in_folder(path) if path.is_dir() else [path]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder; give audio files or folders with audio files") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from None


def _in_folder(folder: Path) -> list[Path]:
    """Audio files in a folder and its subfolders, sorted by their path. Raises InputError when there are none."""
    files = [path for name in visible_files(folder) if (path := folder / name).suffix.lower() in EXTENSIONS]
    if not files:
        raise InputError(f"{folder}: no audio in this folder; expected files that end in .wav, .flac, .ogg or .mp3")
    return sorted(files)


def _refuse_non_files(path: Path) -> None:
    """Tell apart what libsndfile only calls a system error. Raises InputError or OSError."""
    if not path.exists():
        raise InputError(f"{path}: no such file; give an audio file")
    if not path.is_file():  # opening a pipe would wait for ever
        raise InputError(f"{path}: not a file; give an audio file")
    with path.open("rb") as file:
        if not file.read(1):
            raise InputError(f"{path}: the file is empty; give an audio file")


@dataclass
class _Bad:
    """Samples that no network can take: how many, and the first one's place and value."""

    count: int = 0
    first: tuple[int, float] | None = None

    def look_at(self, block: NDArray[np.float64], begin: int) -> None:
        good = np.abs(block) < LARGEST  # false for NaN, too
        if not good.all():
            at = int(np.argmin(good))
            self.first = self.first or (begin + at, float(block[at]))
            self.count += int(np.count_nonzero(~good))


def _blocks(file: SoundFile, most: int | None) -> Iterator[NDArray[np.float64]]:
    """The file's next samples [samples, channels] from -1 to 1 in pieces; float files as they are."""
    size = max(1, _BLOCK // file.channels)
    while most is None or most > 0:
        block = file.read(size if most is None else min(size, most), dtype="float64", always_2d=True)
        if len(block) == 0:
            return
        most = None if most is None else most - len(block)
        yield block


def _name(path: Path) -> str:
    try:
        return as_text(path.absolute().relative_to(Path.cwd()).as_posix())
    except ValueError:
        return as_text(path.as_posix())
