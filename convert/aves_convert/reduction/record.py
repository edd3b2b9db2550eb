"""F.search.json: what a search measured, chose and why; written as it goes, and taken up again from there."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import as_text, reason_of
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.files.writing import REPLACE, replacing
from aves_convert.graph_files.weighted import raw_bytes
from aves_convert.reduction.bounds import Worst
from aves_convert.reduction.sensitivity import Tenths
from aves_convert.reduction.trial import Trial
from aves_convert.sounds.clip import Clip

SCHEMA = 1


def weights_sha256(config: EncoderConfig, state_dict: Mapping[str, Any]) -> str:
    """Hash an encoder: its geometry, and its tensors by name."""
    digest = hashlib.sha256(config.to_json().encode())
    for name in sorted(state_dict):
        array = np.asarray(state_dict[name])
        digest.update(f"{name} {array.dtype.str} {list(array.shape)}\n".encode())
        digest.update(raw_bytes(array))
    return digest.hexdigest()


def clip_entries(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """What is written down of clips."""
    return [{"name": clip.name, "seconds": round(clip.duration, 3), "sha256": clip.sha256} for clip in clips]


@dataclass
class Record:
    """What is known of a search. ``inputs``: all that its measurements depend on, and they are for no other.

    Noise is that of each clip that is searched on, frame by frame, in tenths of a dB of the frame; see ``tenths``.
    """

    path: Path | None
    inputs: Mapping[str, Any]
    noise: dict[str, list[Tenths]] = field(default_factory=dict)
    trials: dict[tuple[str, ...], Trial] = field(default_factory=dict)

    def take_up(self, *, force: bool) -> None:
        """Read what an earlier run left. With ``force`` what is of no use here is replaced when something is written.

        Raises InputError for a file that is none of ours, or of another encoder or other audio, without ``force``.
        """
        if self.path is None:
            return
        try:
            document = parse_json(read_file(self.path))
            found = document["inputs"]
            noise = {entry["name"]: [_tenths(each) for each in entry["noise"]] for entry in document["products"]}
            trials = [_trial(entry) for entry in document["trials"]]
            lengths = [[len(each) for each in clips] for clips in noise.values()]
            if document["schema"] != SCHEMA or any(each != found["frames"] for each in lengths):
                found = None
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {reason_of(error)}") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            found = None
        if found == self.inputs:
            self.noise, self.trials = noise, {trial.wide: trial for trial in trials}
        elif not force:
            whose = "the search of another encoder, with other settings or on other audio" if found else "no search"
            raise InputError(f"{self.path}: already there, and {whose}; nothing was written", hint=REPLACE)

    def write(self, products: Sequence[Mapping[str, Any]] = (), **more: Any) -> None:
        """Write everything down that is known by now; ``products`` and ``more`` are what is known in the end."""
        if self.path is None:
            return
        told = {entry["name"]: entry for entry in products}
        noise = {name: [" ".join(map(str, each.tolist())) for each in found] for name, found in self.noise.items()}
        document = {
            "schema": SCHEMA,
            "inputs": self.inputs,
            **more,
            "products": [{**told.get(name, {"name": name}), "noise": found} for name, found in noise.items()],
            "trials": [_entry(trial) for trial in self.trials.values() if _can_be_written(trial)],
        }
        with replacing(self.path) as temporary:
            text = json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False)
            temporary.write_text(f"{text}\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """What JSON can hold. It has no infinity: where there is no noise, its ratio is null; and no bytes of a path."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, str):
        return as_text(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _can_be_written(trial: Trial) -> bool:
    """JSON has one null for both infinities, and here it means that there is no noise."""
    return min(trial.searched_on.snr, trial.held_out.snr) > -math.inf


def _entry(trial: Trial) -> dict[str, Any]:
    """A trial as it is written; how long it took is another number each time."""
    return {key: each for key, each in asdict(trial).items() if key != "seconds"}


def _trial(entry: Mapping[str, Any]) -> Trial:
    wide = tuple(str(each) for each in entry["wide"])
    return Trial(wide, int(entry["size"]), _worst(entry["searched_on"]), _worst(entry["held_out"]))


def _worst(entry: Mapping[str, Any]) -> Worst:
    snr = math.inf if entry["snr"] is None else float(entry["snr"])
    return Worst(snr, str(entry["snr_clip"]), float(entry["cosine"]), str(entry["cosine_clip"]))


def _tenths(text: str) -> Tenths:
    return np.array([int(each) for each in text.split()], np.int64)
