"""What the examples share: every form of one encoder, as a function from clips to vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts import Bundle, DoesNotHoldError, EncoderConfig
from aves_convert import OnnxOptions, Source, Target, load_model, make_bundle, read_state_dict, torchaudio_to_onnx
from aves_verify import Clip, Plan, of_bundle
from console import progress, status

ORDINARY_EXPORT = "torch.onnx.export"
FORMS = ("fairseq", "torchaudio", "onnx", ORDINARY_EXPORT)
SMALLER = ("onnx.float16-weights", "onnx.float16", "onnx.int8")  # ports that may cost more than rounding

Vectors = NDArray[np.float32]  # [clips, dim]


@dataclass(frozen=True)
class Ports:
    """A fairseq checkpoint, and the bundle that was made of it."""

    checkpoint: Path
    bundle: Bundle
    smaller: tuple[str, ...] = ()  # those of ``SMALLER`` that the bundle has


@contextmanager
def ports_of(checkpoint: Path | None, smaller: tuple[str, ...] = ()) -> Iterator[Ports]:
    """A checkpoint's ports, made here and removed after; None: of a full-size stand-in. Raises InputError.

    ``smaller``: which of ``SMALLER`` are made, too.
    """
    with TemporaryDirectory(prefix="aves-ports-") as folder:
        with status("making the ports"):
            source = Source(checkpoint) if checkpoint else Source.stand_in("bio", Path(folder) / "aves-base-bio.pt")
            bundle = make_bundle(source, Target(Path(folder) / "bundle", source.path.stem, also=smaller))
        yield Ports(source.path, bundle, smaller)


def embed(form: str, ports: Ports, clips: Sequence[Clip]) -> Vectors:
    """One vector [dim] for each clip by one form of the encoder: its embeddings, averaged over time.

    ``form``: of ``FORMS`` or ``SMALLER``.
    """
    files = of_bundle(ports.bundle.folder, fairseq=ports.checkpoint)
    backend = form
    if form == ORDINARY_EXPORT:
        backend, files = "onnx", dataclasses.replace(files, onnx=ordinary_export(ports.bundle))
    outputs = Plan(tuple(clips), backends=(backend,)).embed(files)
    embeddings = (given[backend]["final"][0] for given in progress(outputs, len(clips), f"embedding with {form}"))
    return np.stack([_mean(frames) for frames in embeddings])


def embed_all(ports: Ports, clips: Sequence[Clip]) -> Mapping[str, Vectors]:
    """The vectors of every form of the encoder, the original's first."""
    return {form: embed(form, ports, clips) for form in (*FORMS, *ports.smaller)}


def embed_with(encoder: torch.nn.Module, ports: Ports, clips: Sequence[Clip]) -> Vectors:
    """Embed clips as ``embed`` does, by a TorchAudio model that was trained further.

    Clips are run one by one: padding them to one length would change every frame.
    """
    with torch.inference_mode():
        bar = progress(clips, len(clips), "embedding with the trained encoder")
        return np.stack([_mean(encoder(network_input(clip, ports))[0][0].numpy()) for clip in bar])


def ordinary_export(bundle: Bundle) -> Path:
    """The graph as everybody makes it, beside the bundle."""
    out = bundle.folder.with_name("ordinary_export.onnx")
    options = OnnxOptions(exporter="torch")
    return torchaudio_to_onnx(bundle.path("torchaudio"), bundle.path("config"), out, options, force=True)


def load_torchaudio(ports: Ports) -> torch.nn.Module:
    """The TorchAudio port, which can be trained."""
    config = EncoderConfig.read(ports.bundle.path("config"))
    model: torch.nn.Module = load_model(config, read_state_dict(ports.bundle.path("torchaudio"), config))
    return model


def network_input(clip: Clip, ports: Ports) -> torch.Tensor:
    """A clip as the encoder takes it [1, samples]: as it is, or with mean 0 and variance 1."""
    waveform = torch.tensor(clip.waveform)[None]
    if not ports.bundle.manifest.encoder.normalize:
        return waveform
    return torch.nn.functional.layer_norm(waveform, waveform.shape[-1:])


def raise_if_changed(changed: Mapping[str, int], what: str) -> None:
    """Raise DoesNotHoldError where something changed in our ports of full size; the others may differ from fairseq."""
    ours = {form: count for form, count in changed.items() if count and form not in (ORDINARY_EXPORT, *SMALLER)}
    if ours:
        raise DoesNotHoldError(*(f"{form}: {count} {what} are not those of fairseq" for form, count in ours.items()))


def _mean(frames: NDArray[np.float32]) -> Vectors:
    """The mean of embeddings [frames, dim] over time."""
    mean: Vectors = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean
