"""Loading a folder as transformers' users do, with ``from_pretrained``: it must be the model that is verified.

What a user gets depends on more than tensors: names that the library does not find are made up or passed over with a
warning, half precision is kept, and the feature extractor decides what the model is given.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aves_artifacts.base.messages import cut_off, first_line, listed, printable, quoted
from aves_artifacts.base.process import Limits, call_apart
from aves_artifacts.bundle.outputs import FINAL
from aves_artifacts.hugging_face.preprocessor import Preprocessor, read_preprocessor
from aves_verify.backends.transformers_model import TransformersBackend, as_run, import_transformers
from aves_verify.comparison.noise import rms
from aves_verify.loading.as_documented import Content, content

_MEMORY = 4 << 30  # bytes for torch and transformers, beside the weights
_SECONDS = 240.0
_MOST_TOLD = 5
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
# The same weights in another process, perhaps with other threads: at most rounding apart. Relative to the RMS.
_SAME = 1e-4
# A waveform after normalisation: the feature extractor adds 1e-7 to its variance, fairseq 1e-5, of 0.01 here.
_PREPARED = 5e-3
_PADDED = 1e-3  # what padding may do to a clip that a mask tells the model the end of, likewise


@dataclass(frozen=True)
class Documented:
    """What ``from_pretrained`` makes of a folder, and what comes out of it for one waveform."""

    dtype: str
    training: bool
    tensors: dict[str, Content]
    unlike: tuple[str, ...]  # tensors that were missing, unexpected or misshapen
    warned: tuple[str, ...]
    prepared: NDArray[np.float32]  # what the feature extractor makes of the waveform
    final: NDArray[np.float32]
    padding: float  # how far padding with a mask moves a shorter clip, relative to the RMS; 0 where there is no mask
    preprocessor: Preprocessor  # what the feature extractor was told
    letters: Letters | None  # of a model with a head, where there is a tokenizer


@dataclass(frozen=True)
class Letters:
    """What the tokenizer makes of a head's rows: letters by row, the row for no letter, and rows that it decoded."""

    rows: dict[str, int]
    blank: int | None
    decoded: str


@dataclass(frozen=True)
class Difference:
    """Something that ``from_pretrained`` makes otherwise. ``own``: it is so by the class, or by the folder's settings.

    That is wrong in a port. Of an original it is how it is, and who uses it must know.
    """

    text: str
    own: bool = False


def folder_differences(backend: TransformersBackend, *, normalize: bool) -> Iterator[Difference]:
    """Tell where ``from_pretrained`` gives another model than the one that is verified.

    ``normalize``: whether the original wants normalised waveforms. Only for a folder that our own reader has accepted;
    transformers opens it in a process of its own all the same.
    """
    where, waveform = backend.path, probe(backend)
    shorter = waveform.shape[1] - 9 * backend.folder.config.encoder.hop
    size = sum(path.stat().st_size for path in backend.path.iterdir() if path.is_file())
    limits = Limits(_SECONDS + size / 5e6, _MEMORY + 8 * size, addresses=False)
    name = as_run(backend.folder.config).model_class
    try:
        threads = torch.get_num_threads()
        given = (where, name, waveform, shorter, threads, backend.probe_rows)
        found: Documented = call_apart(__name__, "documented", *given, limits=limits)
    except Exception as error:  # whatever transformers makes of a folder that it did not write
        yield Difference(f"transformers: {name}.from_pretrained does not load {where}: {first_line(error)}")
        return
    for each in (*_of_loading(found, backend), *_of_computing(found, backend, waveform, normalize)):
        yield replace(each, text=f"transformers: {where}: {each.text}")


def probe(backend: TransformersBackend) -> NDArray[np.float32]:
    """A waveform [1, samples] that normalisation changes beyond doubt: of noise at a tenth, with an offset."""
    samples = backend.folder.config.encoder.receptive_field + 20 * backend.folder.config.encoder.hop
    noise = np.random.default_rng(0).standard_normal((1, samples))
    return (0.1 * noise + 0.05).astype(np.float32)


def _of_loading(found: Documented, backend: TransformersBackend) -> Iterator[Difference]:
    """What the library says of tensors, and the tensors that it made."""
    expected = backend.left_out | ({backend.mask} if backend.lacks_mask else set())
    unlike = [each for each in found.unlike if each.partition(": ")[2] not in backend.expected_beside]
    own = [each for each in unlike if each.partition(": ")[2] in expected]
    yield from (Difference(f"from_pretrained tells of a tensor {each}", own=True) for each in own)
    told, left = cut_off([each for each in unlike if each not in own], _MOST_TOLD)
    yield from (Difference(f"from_pretrained tells of a tensor {each}") for each in told)
    if left:
        yield Difference(f"from_pretrained tells of {left} more tensors")
    yield from (Difference(f"from_pretrained warns: {line}") for line in found.warned)
    if found.dtype != "float32":
        yield Difference(f"loads in {found.dtype}, which its config asks for; users compute in that", own=True)
    if found.training:
        yield Difference("loads in training mode, which masks and drops frames")
    tensors = {name: content("cpu", tensor) for name, tensor in _tensors(backend.model).items()}
    names = (tensors.keys() | found.tensors.keys()) - ({backend.mask} if backend.lacks_mask else set())
    different = sorted(name for name in names if tensors.get(name) != found.tensors.get(name))
    if different and len(own) == len(unlike) and found.dtype == "float32":  # else told already
        yield Difference(f"from_pretrained gives other tensors than the files hold: {listed(different, _MOST_TOLD)}")


def _of_computing(
    found: Documented, backend: TransformersBackend, waveform: NDArray[np.float32], normalize: bool
) -> Iterator[Difference]:
    """What goes into the model, and what comes out."""
    if found.preprocessor != backend.folder.preprocessor:
        told = f"{found.preprocessor}, its files say {backend.folder.preprocessor}"
        yield Difference(f"its feature extractor is {told}")
    given = _normalized(waveform) if normalize else waveform
    if found.prepared.shape != given.shape or not np.allclose(found.prepared, given, rtol=0, atol=_PREPARED):
        said = "normalised waveforms" if normalize else "waveforms as they are"
        yield Difference(f"its feature extractor gives the model another input: the original was trained on {said}")
        return
    final = backend.run(found.prepared)[FINAL]
    same = final.shape == found.final.shape and _rms(final - found.final) <= _SAME * max(_rms(final), 1e-30)
    if not same and found.dtype == "float32":  # else told already: rounded weights give other numbers
        yield Difference("from_pretrained gives a model that computes something else than the class with these weights")
    if not found.padding <= _PADDED:
        yield Difference(f"padding with its own mask moves a clip by {found.padding:.2g} of its RMS", own=True)
    yield from _of_letters(found.letters, backend)


def _of_letters(found: Letters | None, backend: TransformersBackend) -> Iterator[Difference]:
    """What its tokenizer makes of the head's rows: by ``vocab.json`` they are letters, and the blank is none."""
    letters = backend.letters
    if letters is None:
        return
    if found is None:
        yield Difference("there is a vocab.json, and no tokenizer loads", own=True)
        return
    expected = "".join(letter for row in backend.probe_rows for letter, at in letters.items() if at == row)
    if found.blank != backend.folder.config.blank:
        blank = backend.folder.config.blank
        yield Difference(f"its tokenizer's padding token is row {found.blank}, the model's {blank}", own=True)
    if any(found.rows.get(letter) != row for letter, row in letters.items()) or found.decoded != expected:
        yield Difference(
            f"its tokenizer decodes {quoted(found.decoded)} where vocab.json has {quoted(expected)}", own=True
        )


def _normalized(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    normalized: NDArray[np.float32] = torch.nn.functional.layer_norm(
        torch.from_numpy(waveform), waveform.shape[1:]
    ).numpy()
    return normalized


def _tensors(model: Any) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.detach().float().contiguous().numpy() for name, tensor in model.state_dict().items()}


# --- in the other process


def documented(
    folder: Path, name: str, waveform: NDArray[np.float32], shorter: int, threads: int, rows: tuple[int, ...]
) -> Documented:
    """Load a folder as the documentation of transformers says, and run it on one waveform.

    Its first ``shorter`` samples are run too, alone and padded, where the folder asks for a mask; ``rows`` of a head
    are decoded, with the blank between them.
    """
    library = import_transformers()
    torch.set_num_threads(threads)
    warned: list[str] = []
    with _listening(warned):
        model, info = getattr(library, name).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
        extractor = library.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        letters = _letters(library, folder, rows)
    unlike = tuple(f"{kind.removesuffix('_keys')}: {printable(str(key))}" for kind, key in _keys(info))
    prepared = _prepared(extractor, waveform[0])
    dtype, training = str(model.dtype).removeprefix("torch."), bool(model.training)
    tensors = {name: content("cpu", values) for name, values in _tensors(model).items()}
    model = model.eval().float()
    return Documented(
        dtype=dtype,
        training=training,
        tensors=tensors,
        unlike=unlike,
        warned=tuple(warned),
        prepared=prepared["input_values"].numpy(),
        final=_final(model, prepared),
        padding=_padding(model, extractor, waveform[0], shorter),
        preprocessor=read_preprocessor(extractor.to_dict(), str(folder)),
        letters=letters,
    )


def _letters(library: Any, folder: Path, rows: tuple[int, ...]) -> Letters | None:
    """What the tokenizer of a folder makes of these rows; None where none loads."""
    if not rows:
        return None
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        blank = tokenizer.pad_token_id
        between = [row for each in rows for row in (each, each, blank if blank is not None else 0)]
        known = {str(letter): int(row) for letter, row in tokenizer.get_vocab().items()}
        return Letters(known, blank, str(tokenizer.decode(between)))
    except Exception:  # whatever transformers makes of files that it did not write
        return None


def _prepared(extractor: Any, *waveforms: NDArray[np.float32]) -> Any:
    """What its feature extractor makes of waveforms: ``input_values``, and a mask where the folder asks for one."""
    return extractor(list(waveforms), sampling_rate=extractor.sampling_rate, return_tensors="pt", padding=True)


def _final(model: Any, inputs: Any) -> NDArray[np.float32]:
    encoder = getattr(model, model.base_model_prefix, model)
    with torch.inference_mode():
        final: NDArray[np.float32] = encoder(**inputs).last_hidden_state.numpy()
    return final


def _padding(model: Any, extractor: Any, waveform: NDArray[np.float32], shorter: int) -> float:
    """How far padding moves a shorter clip; 0 where there is no mask: then every frame moves by the model's nature."""
    both = _prepared(extractor, waveform, waveform[:shorter])
    if "attention_mask" not in both:
        return 0.0
    alone = _final(model, _prepared(extractor, waveform[:shorter]))
    padded = _final(model, both)[1:, : alone.shape[1]]
    return _rms(padded - alone) / max(_rms(alone), 1e-30)


def _rms(values: NDArray[np.float32]) -> float:
    return rms(values.astype(np.float64))


def _keys(info: Any) -> Iterator[tuple[str, object]]:
    """Every entry that the library has of tensors that it did not find, or had no use for."""
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        for key in sorted(map(str, info.get(kind) or ())):
            yield kind, key


class _Lines(logging.Handler):
    """Keeps the first line of each warning."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one; the table of tensors is told by its entries."""
        line = printable(_COLOUR.sub("", record.getMessage().partition("\n")[0]))
        if "LOAD REPORT" not in line:
            self._lines.append(line)


@contextmanager
def _listening(lines: list[str]) -> Iterator[None]:
    """Collect what transformers warns of; twice the same counts once."""
    logger, handler = logging.getLogger("transformers"), _Lines(lines)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        lines[:] = dict.fromkeys(lines)
