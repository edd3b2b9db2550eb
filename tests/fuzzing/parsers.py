"""Every parser of users' files, with the seeds that its fuzzing begins with."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import soundfile
from tests.fuzzing import corpus_files as corpora
from tests.fuzzing import model_folders as folders
from tests.fuzzing.checkpoint_seeds import file_of
from tests.fuzzing.checkpoint_seeds import seeds as checkpoint_seeds
from tests.fuzzing.reading import inspected, whole_checkpoint

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import Manifest
from aves_artifacts.bundle.report_document import parse_report
from aves_artifacts.configurations.catalog import read_catalog
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.fetch.lock_file import LockFile
from aves_artifacts.release.index import Index
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.graph_files.constants import graph_constants
from aves_convert.graph_files.weights import graph_weights
from aves_convert.sounds.audio import read_clip
from aves_convert.sounds.clip import Clip
from aves_convert.torch_files.reader import wanted_calls
from aves_convert.weights.state_dict import read_state_dict
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.subjects.subject import of_bundle
from aves_verify.verification.recording import make_recording

_SMALL = 100_000  # bytes: a larger seed is cut, or its parser takes what is smaller


@dataclass(frozen=True)
class Parser:
    """What reads a file, and files to begin with; ``file`` makes the file of a seed."""

    name: str
    ending: str
    seeds: Callable[[], Iterable[bytes]]
    read: Callable[[Path], None]
    file: Callable[[bytes], bytes] = bytes


@cache
def good_files() -> dict[str, bytes]:
    """The files of a small encoder's bundle, its checkpoint and a recording of it, by their names."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_stand_in("bio", folder / "x.pt", geometry="tiny")
        make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x"))
        clip = Clip("noise", np.random.default_rng(0).normal(size=800).astype(np.float32), "synthesised")
        subject = of_bundle(folder / "bundle")
        make_recording(subject, "torchaudio", (clip,), folder / "x.reference", layers="last")
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- reading
def _each(*parsers: Callable[[Path], object]) -> Callable[[Path], None]:
    """Every one of these, whatever the others find; the last problem is raised."""

    def read(path: Path) -> None:
        problems: list[str] = []
        for parse in parsers:
            try:
                parse(path)
            except InputError as error:  # noqa: PERF203 - the others are wanted too
                problems += error.problems
        if problems:
            raise InputError(*problems)

    return read


def _state_dict(path: Path) -> None:
    config = EncoderConfig.from_json(good_files()["x.torchaudio.model_config.json"].decode())
    read_state_dict(path, config)


def _recording(path: Path) -> None:
    recorded = RecordedBackend(path)
    for name in recorded._places:
        recorded._output(name)


def _text(parse: Callable[[str], object]) -> Callable[[Path], object]:
    """A document that is read as text; what is no UTF-8 is the caller's to refuse."""
    return lambda path: parse(path.read_bytes().decode("utf-8", "replace"))


# --- seeds
def _of(*endings: str) -> Callable[[], list[bytes]]:
    return lambda: [content for name, content in good_files().items() if name.endswith(endings)]


def _torch_files() -> list[bytes]:
    return [*checkpoint_seeds(), good_files()["x.torchaudio.pt"][:_SMALL]]


def _graphs() -> list[bytes]:
    """A whole graph with small tensors, a graph in a graph, and an empty one."""
    model = onnx.load_from_string(good_files()["x.onnx"])
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > 64:
            tensor.ClearField("dims")
            tensor.dims.append(4)
            tensor.data_type, tensor.raw_data = onnx.TensorProto.FLOAT, bytes(16)
    inner = onnx.helper.make_graph([onnx.helper.make_node("RandomNormal", [], ["r"], shape=[1])], "b", [], [])
    branch = onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    nested = onnx.helper.make_model(onnx.helper.make_graph([branch], "g", [], []))
    external = onnx.TensorProto(name="w", dims=[3], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", "../x.data"), ("offset", "0"), ("length", "12")):
        external.external_data.add(key=key, value=value)
    outside = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [external]))
    models = [model, nested, outside]
    return [*(m.SerializeToString() for m in models), b"\x08\x08\x12\x04test\x3a\x00"]


def _recordings() -> list[bytes]:
    header = {"w": {"dtype": "F32", "shape": [1, 2, 3], "data_offsets": [0, 24]}, "__metadata__": {"a": "b"}}
    text = json.dumps(header).encode()
    return [good_files()["x.reference"], len(text).to_bytes(8, "little") + text + bytes(24)]


_LOCK = b'{"schema": 1, "files": {"x.pt": {"address": "https://e.org/x.pt", "size": 3, "etag": "e", "sha256": "aa"}}}'
_INDEX = b"""{"schema": 1, "version": "1.0.0", "signed": false, "documents": [{"name": "a", "size": 1, "sha256": "00"}],
"configurations": [{"name": "x", "waived": [], "files": [{"name": "x/x.onnx", "size": 1, "sha256": "00"}]}]}"""
_REPORT = b"""{"schema": 1, "passed": true, "configs": [{"name": "x", "passed": true, "comparisons": [
{"backend": "onnx", "reference": "fairseq", "clip": "c", "layer": "final", "status": "pass", "reason": "",
"max_abs": 1e-6, "max_rel": null}]}],
"environment": {"torch": "2.0"}, "tolerances": {"onnx": {"atol": 1e-5, "rtol": 1e-5, "error_ratio": 4.0}}}"""


def _documents() -> list[bytes]:
    return [*_of(".json")(), _LOCK, _INDEX, _REPORT, b"{}", b"[]", b"null", b'{"a": ' * 50]


_CATALOG = """address = "https://e.org/"
licence = "MIT"
[owls]
file_name = "owls"
dimension = 768
hours = 360
[owls.files]
original = "o.pt"
torchaudio = "https://e.org/t.pt"
config = "c.json"
onnx = "o.onnx"
[[owls.waivers]]
backend = "onnx"
clip = "silence"
reason = "as published"
"""


def _catalogues() -> list[bytes]:
    hostile = [f"a={'[' * 5000}", "a" + ".a" * 5000 + "=1", _CATALOG.replace("768", "9" * 5000), 'a="""\\u0000"""']
    return [_CATALOG.encode(), *(text.encode() for text in hostile), b"[[a]]\n" * 500]


def _sounds() -> list[bytes]:
    made, noise = [], 0.1 * np.random.default_rng(0).normal(size=(1600, 2))
    for kind, subtype in (("WAV", "PCM_16"), ("WAV", "DOUBLE"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)):
        out = io.BytesIO()
        soundfile.write(out, noise, 16000, format=kind, subtype=subtype)
        made.append(out.getvalue())
    return [*made, b"ID3\x03\0\0\0\0\0\0" * 300, b"RIFF\xff\xff\xff\xffWAVEfmt ", b""]


PARSERS = (
    Parser("checkpoints", ".pt", _torch_files, _each(whole_checkpoint, wanted_calls, _state_dict, inspected), file_of),
    Parser(
        "graphs",
        ".onnx",
        _graphs,
        _each(
            inspected, lambda path: [a.sum() for _, a in graph_weights(path)], lambda path: list(graph_constants(path))
        ),
    ),
    Parser("recordings", ".safetensors", _recordings, _each(_recording, inspected)),
    Parser(
        "documents",
        ".json",
        _documents,
        _each(
            _text(lambda text: Manifest.from_json(text)),
            EncoderConfig.read,
            lambda path: parse_report(path.read_bytes(), str(path)),
            lambda path: Index.from_json(path.read_bytes(), where=str(path)),
            lambda path: LockFile(path).entries(),
            inspected,
        ),
    ),
    Parser("settings", ".json", folders.settings, folders.folder_with(folders.CONFIG, folders.PREPROCESSOR)),
    Parser("weights", ".safetensors", folders.weights, folders.folder_with(folders.WEIGHTS)),
    Parser("indexes", ".json", folders.indexes, folders.folder_with(folders.INDEX)),
    Parser("catalogues", ".toml", _catalogues, _each(_text(lambda text: read_catalog(text, "catalog.toml")))),
    Parser("sounds", ".wav", _sounds, _each(read_clip)),
    Parser(
        "parts",
        ".parquet",
        corpora.parts,
        _each(corpora.read_part, corpora.read_port, corpora.read_outputs, corpora.read_index),
    ),
    Parser(
        "lists",
        ".list",
        corpora.lists,
        _each(*map(corpora.read_list, (".txt", ".csv", ".parquet", ".jsonl", ".jsonl.gz")), corpora.read_listing),
    ),
)
