"""The audio of a search: some of it is searched on, and the rest only judges what was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.sounds.audio import read_clips
from aves_convert.sounds.clip import SAMPLE_RATE, AnyClip, Clip, too_short
from aves_convert.sounds.signals import ORDINARY, reference_signals

LONGEST = 10 * SAMPLE_RATE  # samples of a recording
MOST = 30 * SAMPLE_RATE  # samples of all that is searched on, and of all that is held out


@dataclass(frozen=True)
class Calibration:
    """Clips that are searched on, clips that are held out, and a line for everything that is not used as it is."""

    searched_on: tuple[Clip, ...]
    held_out: tuple[Clip, ...]
    remarks: tuple[str, ...] = ()

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All of them."""
        return (*self.searched_on, *self.held_out)


def calibration(paths: Sequence[Path], config: EncoderConfig) -> Calibration:
    """Take the recordings in these files and folders, or without any the ordinary reference signals.

    The same audio is divided in the same way, whatever its files are called. Raises InputError for what is no audio,
    and where nothing is left to hold out.
    """
    return _of_recordings(paths, config) if paths else _of_signals(config)


def _of_signals(config: EncoderConfig) -> Calibration:
    """Every other one of the ordinary signals; silence and other hard cases are for verifying."""
    signals = reference_signals(receptive_field=config.receptive_field, hop=config.hop)
    clips = [clip for clip in signals if clip.name in ORDINARY and not too_short(clip, config.receptive_field)]
    if len(clips) < 2:
        raise InputError("the reference signals are too short for this encoder", hint="give {calibrate} PATH")
    return Calibration(tuple(clips[::2]), tuple(clips[1::2]))


def _of_recordings(paths: Sequence[Path], config: EncoderConfig) -> Calibration:
    clips, told = read_clips(paths)
    remarks = [*told]
    usable: dict[str, AnyClip] = {}  # by what is in them: the same audio on both sides would hold nothing out
    for clip in clips:
        if reason := too_short(clip, config.receptive_field):
            remarks.append(reason)
        elif (hashed := Clip(clip.name, clip.waveform).sha256) in usable:
            remarks.append(f"{clip.source}: the same audio as {usable[hashed].source}, left out")
        else:
            usable[hashed] = clip
    ordered = [usable[hashed] for hashed in sorted(usable)]
    if len(ordered) == 1:
        return _halves(ordered[0], config, remarks)
    if not ordered:
        raise InputError(*remarks)
    searched_on, held_out = (_within(ordered[first::2], remarks) for first in (0, 1))
    named = _numbered([*searched_on, *held_out])
    return Calibration(named[: len(searched_on)], named[len(searched_on) :], tuple(remarks))


def _halves(clip: AnyClip, config: EncoderConfig, remarks: list[str]) -> Calibration:
    """The first half of the only recording, and its second half."""
    waveform, name = clip.waveform, Path(clip.name).name
    middle = len(waveform) // 2
    halves = [Clip(f"{name}, first half", waveform[:middle]), Clip(f"{name}, second half", waveform[middle:])]
    if any(too_short(half, config.receptive_field) for half in halves):
        raise InputError(f"{clip.source}: too short to search on one half of it and to hold out the other")
    searched_on, held_out = (_within([half], remarks) for half in halves)
    return Calibration(searched_on, held_out, tuple(remarks))


def _within(clips: Sequence[AnyClip], remarks: list[str]) -> tuple[Clip, ...]:
    """As many of the clips as there is room for, of each its middle; the others are told."""
    kept: list[Clip] = []
    left = MOST
    for clip in clips:
        samples = min(clip.samples, LONGEST)
        if samples > left:
            remarks.append(f"{clip.source}: left out, as {MOST // SAMPLE_RATE} s are enough")
            continue
        left -= samples
        kept.append(_middle(clip, remarks))
    return tuple(kept)


def _middle(clip: AnyClip, remarks: list[str]) -> Clip:
    waveform, name = clip.waveform, Path(clip.name).name
    if len(waveform) > LONGEST:
        remarks.append(f"{clip.source}: of its {clip.duration:.1f} s the middle {LONGEST // SAMPLE_RATE} are taken")
    start = max(0, len(waveform) - LONGEST) // 2
    return Clip(name, np.ascontiguousarray(waveform[start : start + LONGEST]), clip.source)


def _numbered(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Give clips of the same name a number each: two folders may have a file that is called so."""
    names: dict[str, int] = {}
    made = []
    for clip in clips:
        names[clip.name] = names.get(clip.name, 0) + 1
        again = names[clip.name]
        made.append(clip if again == 1 else dataclasses.replace(clip, name=f"{clip.name} ({again})"))
    return tuple(made)
