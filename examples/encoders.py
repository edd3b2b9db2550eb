"""What the examples share: every form of one encoder, as a function from clips to vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.progress import status
from aves_artifacts.configurations.catalog import catalog
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.convert import torchaudio_to_onnx
from aves_convert.graph.options import OnnxOptions
from aves_convert.weights.state_dict import read_state_dict
from aves_verify.backends.backend import Backend
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.sounds.clip import Clip
from aves_verify.sounds.inputs import network_input
from aves_verify.subjects import subject
from aves_verify.subjects.subject import Subject

ORDINARY_EXPORT = "torch.onnx.export"
FORMS = ("fairseq", "torchaudio", "onnx", ORDINARY_EXPORT)

Vectors = NDArray[np.float32]  # [clips, dim]
Thing = TypeVar("Thing")


@contextmanager
def ports_of(checkpoint: Path | None) -> Iterator[Subject]:
    """The files of a checkpoint's ports, made here and removed after; None: of a full-size stand-in. InputError."""
    made = subject.stand_in(catalog()["bio"]) if checkpoint is None else subject.converted(checkpoint)
    with ExitStack() as stack:
        with status("making the ports"):
            ports = stack.enter_context(made)
        yield ports


def load(form: str, ports: Subject) -> Backend:
    """One of the ``FORMS`` of an encoder; the last is exported here, beside the others. Raises InputError."""
    if form == "fairseq":
        from aves_verify.backends.fairseq_hubert import FairseqBackend  # fairseq need not be installed

        return FairseqBackend(read_checkpoint(present(ports.fairseq)))
    if form == "torchaudio":
        return load_torchaudio(ports)
    if form == "onnx":
        return OnnxBackend(present(ports.onnx))
    weights = present(ports.torchaudio)
    exported = weights.with_name("ordinary_export.onnx")
    options = OnnxOptions(exporter="torch")
    return OnnxBackend(torchaudio_to_onnx(weights, present(ports.config), exported, options, force=True))


def load_torchaudio(ports: Subject) -> TorchaudioBackend:
    """The TorchAudio port, which can also be trained."""
    config = EncoderConfig.read(present(ports.config))
    return TorchaudioBackend(config, read_state_dict(present(ports.torchaudio), config))


def embed(form: str, ports: Subject, clips: Sequence[Clip]) -> Vectors:
    """One vector [dim] for each clip, by one form of the encoder."""
    with status(f"loading {form}"):
        encoder = load(form, ports)
    return embed_with(encoder, ports, clips, f"embedding with {form}")


def embed_all(ports: Subject, clips: Sequence[Clip]) -> Mapping[str, Vectors]:
    """The vectors of every form of the encoder, the original's first."""
    return {form: embed(form, ports, clips) for form in FORMS}


def embed_with(encoder: Backend, ports: Subject, clips: Sequence[Clip], description: str) -> Vectors:
    """Each clip's embeddings [frames, dim], averaged over time.

    Clips are run one by one: padding them to one length would change every frame.
    """
    return np.stack([_mean(encoder, clip, ports) for clip in progress(clips, description)])


def raise_if_changed(changed: Mapping[str, int], what: str) -> None:
    """Raise DoesNotHoldError where something changed in our ports; the ordinary export may differ from fairseq."""
    ours = {form: count for form, count in changed.items() if count and form != ORDINARY_EXPORT}
    if ours:
        raise DoesNotHoldError(*(f"{form}: {count} {what} are not those of fairseq" for form, count in ours.items()))


def progress(things: Sequence[Thing], description: str) -> Iterator[Thing]:
    """Go through clips with a bar on a terminal, and quietly in a pipe."""
    console = Console(stderr=True)
    return iter(track(things, description, console=console, transient=True, disable=not console.is_terminal))


def _mean(encoder: Backend, clip: Clip, ports: Subject) -> Vectors:
    waveform = network_input(clip, normalize=ports.normalize is True)
    mean: Vectors = encoder.run(waveform)["final"][0].mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def present(path: Path | None) -> Path:
    """A file that must be there."""
    if path is None:
        raise InputError("not all ports of this encoder are here")
    return path
