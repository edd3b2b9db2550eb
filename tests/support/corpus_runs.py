"""Runs over a small corpus, as a program that calls the library has them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from aves_verify.corpus.windows import Cutting
from aves_verify.drivers.job import Settings
from aves_verify.parts.identity import Looking
from aves_verify.runs.driving import Crew
from aves_verify.runs.ordering import verified
from aves_verify.runs.run import Done
from aves_verify.subjects.subject import Subject, ready
from aves_verify.verification.plan import Plan

CUTTING = Cutting(0.5, 0.5, 4)  # windows of half a second, four of them in a shard or so
BACKENDS = ("torchaudio", "onnx")  # fairseq takes seconds to import
ALONE = Crew(settings=Settings(retries=1, pauses=(0.0,)), form="none")


def sounds(folder: Path, count: int = 4, seconds: float = 1.7) -> Path:
    """Write recordings of different length, level and offset; the last sample of each is in a shorter window."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(count)
    for i in range(count):
        samples = round((seconds + 0.3 * i) * 16_000)
        sound = draw.normal(size=samples) * 10 ** draw.uniform(-3, -1) + draw.uniform(-0.2, 0.2)
        soundfile.write(folder / f"{i}.wav", sound.astype(np.float32), 16_000, "PCM_16")
    return folder


def run_over(
    subject: Subject,
    audio: Path | Sequence[str],
    parts: Path | str,
    crew: Crew = ALONE,
    *,
    plan: Plan = Plan(backends=BACKENDS),
    looking: Looking = Looking(CUTTING),
    reference: str | None = None,
) -> Done:
    """Verify one subject on a corpus."""
    given = [str(audio)] if isinstance(audio, Path) else audio
    ((_, done),) = verified([ready(subject)], plan, looking, given, str(parts), crew, reference=reference)
    return done


def checked(whole: Path, parts: Path) -> Path:
    """A folder of parts with that about the port itself, which takes seconds to make."""
    parts.mkdir()
    for path in whole.glob("*signals*"):
        shutil.copy(path, parts)
    return parts


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the index, whose rows tell where recordings lie."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "index")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
