"""Reading clips with their labels: a folder for each label, or a table for clips with several."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aves_artifacts import InputError
from aves_verify import Clip, read_clips
from calls import synthesised_calls

SHORTEST = 400  # samples: what one frame of every published HuBERT sees


@dataclass(frozen=True, eq=False)
class LabelledClips:
    """Clips, and which of the labels each has."""

    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    truth: NDArray[np.bool_]  # [clips, labels]
    one_label_each: bool  # in the whole set: labels exclude each other
    unusable: tuple[str, ...] = ()  # a line for each file that was left out

    def only(self, these: NDArray[np.bool_]) -> LabelledClips:
        """Some of the clips, chosen by ``these`` [clips]."""
        clips = tuple(clip for clip, chosen in zip(self.clips, these, strict=True) if chosen)
        return LabelledClips(clips, self.labels, self.truth[these], self.one_label_each)

    def names(self, chosen: NDArray[np.bool_]) -> list[str]:
        """The labels of ``chosen`` [clips, labels] as text, one line for each clip."""
        return ["; ".join(label for label, has in zip(self.labels, row, strict=True) if has) for row in chosen]


def read_labelled(path: Path) -> LabelledClips:
    """Read a folder with a subfolder of recordings for each label, or a CSV table with the columns file and label.

    In a table a file has a row for each of its labels, and a row with an empty label when it has none; files are
    relative to the table. What is no audio, or too short for a frame, is left out and named. Raises InputError.
    """
    if path.suffix.lower() == ".csv":
        return _of_table(path)
    clips, subfolders, unusable = _read(_subfolders(path), path)
    return labelled({clip: {name} for clip, name in zip(clips, subfolders, strict=True)}, unusable)


def read_unlabelled(folder: Path) -> tuple[list[Clip], list[str], tuple[str, ...]]:
    """Read a folder's recordings at any depth: clips, the subfolder that each is in, and what was left out. InputError.

    The subfolder is the first below ``folder``, and empty for a file that lies in no subfolder.
    """
    return _read([folder], folder)


def synthesised(of_each: int = 36, variety: float = 1.0) -> LabelledClips:
    """The examples' own set: synthesised calls of five kinds."""
    made = synthesised_calls(of_each, variety)
    return labelled({clip: {kind} for kind, clips in made.items() for clip in clips})


def labelled(clips: Mapping[Clip, set[str]], unusable: tuple[str, ...] = ()) -> LabelledClips:
    """Clips with the labels that each has."""
    labels = tuple(sorted(set().union(*clips.values())))
    truth = np.array([[label in own for label in labels] for own in clips.values()])
    return LabelledClips(tuple(clips), labels, truth, bool((truth.sum(axis=1) == 1).all()), unusable)


def _read(paths: Sequence[Path], root: Path) -> tuple[list[Clip], list[str], tuple[str, ...]]:
    """The clips of files and folders, the subfolder of ``root`` that each is in, and a line for each of the others."""
    stored, unreadable = read_clips(paths)
    clips = [clip.read() for clip in stored]
    usable = [clip for clip in clips if clip.samples >= SHORTEST]
    unusable = (*unreadable, *(_too_short(clip) for clip in clips if clip.samples < SHORTEST))
    if not usable:
        raise InputError(unusable[0])
    inside = (Path(clip.source).relative_to(root).parts for clip in usable)
    return usable, [parts[0] if len(parts) > 1 else "" for parts in inside], unusable


def _too_short(clip: Clip) -> str:
    return f"{clip.source}: {clip.samples} samples at 16 kHz are too short for a frame, which has {SHORTEST}"


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with a subfolder of recordings for each label, or a .csv")
    subfolders = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not subfolders:
        raise InputError(f"{folder}: no subfolders; expected one for each label, with recordings in it")
    return subfolders


def _of_table(path: Path) -> LabelledClips:
    """The clips that a table names, with all labels of each."""
    clips: dict[Clip, set[str]] = {}
    unusable: list[str] = []
    for file, labels in _rows(path).items():
        found, problems = _of_file(file)
        clips |= dict.fromkeys(found, labels)
        unusable += problems
    if not clips:
        raise InputError(unusable[0])
    return labelled(clips, tuple(unusable))


def _of_file(file: Path) -> tuple[Sequence[Clip], Sequence[str]]:
    try:
        clips, _, unusable = _read([file], file.parent)
    except InputError as error:
        return (), (str(error),)
    return clips, unusable


def _rows(path: Path) -> dict[Path, set[str]]:
    """File -> its labels."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}; expected CSV in UTF-8") from None
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise InputError(f"{path}: expected a header with file and label, and a row for each label of each file")
    found: dict[Path, set[str]] = {}
    for number, row in enumerate(rows, start=2):
        if not row["file"]:
            raise InputError(f"{path}: row {number} names no file")
        found.setdefault(path.parent / row["file"], set()).update({row["label"] or ""} - {""})
    return found
