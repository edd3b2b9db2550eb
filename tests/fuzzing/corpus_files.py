"""Parts of a corpus and lists of recordings, with what reads them."""

from __future__ import annotations

import gzip
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow
import pyarrow.parquet

from aves_artifacts.base.process import Limits
from aves_artifacts.files.address import open_address
from aves_verify.comparison.compare import Comparison, Tolerance
from aves_verify.comparison.evidence import Evidence
from aves_verify.corpus import manifest_rows
from aves_verify.corpus.index import Recording, from_table, to_table
from aves_verify.corpus.manifests import read_manifest
from aves_verify.corpus.shards import joined
from aves_verify.parts import outputs, part, port_check
from aves_verify.parts.listing import COMPARISONS, KIND, SCHEMA, Listing, listings
from aves_verify.parts.outputs import OutputRow, RecordedShard
from aves_verify.parts.part import Facts, Part, PartFile
from aves_verify.parts.port_check import PortCheck, read_check
from aves_verify.parts.row import Arrays, Row, Sums, Where
from aves_verify.verdict.gathering import Gathered

_FLOATS = np.float32([0.5, -0.25, 0.125])
_SIZES = {"max_abs": 1e-6, "max_rel": 1e-3, "mean_abs": 1e-7, "cosine_min": 1.0, "min_tolerance": 1e-6}
_COMPARED = Comparison("onnx", "fairseq", "gull.wav", "final", Tolerance(), "pass", "", **_SIZES)
_WAVEFORM = _FLOATS[None]


def parts() -> list[bytes]:
    """One of each kind of part."""
    rows = (
        Row.of(Where("gull.wav", "ab" * 32, 0, 3, 0.1, 0.0, 0.5), _COMPARED, Sums(3, 1e-9, 1.0)),
        Row.of(Where("gull.wav", "ab" * 32, 3, 3), _COMPARED, None, Arrays(_FLOATS, Evidence(*[_FLOATS] * 3))),
        Row(Where("torn.wav", "cd" * 32, 0, 0), "unreadable", "torn.wav: no sound"),
    )
    facts = Facts(1, "run", "audio", 3, 2, 6, {"onnx": {"version": "1"}}, {"cpu": "x"}, {"onnx": {"final": {9: 3}}})
    check = PortCheck("x", "file", "fairseq", {}, (), (), {}, {}, {}, "run", None, (_COMPARED,))
    about = {"run": "run", "audio": "audio", "backend": "fairseq", "version": "1", "environment": {}}
    given = OutputRow("gull.wav", "ab" * 32, 0, 3, _WAVEFORM, {"final": _FLOATS[None, None]})
    recording = Recording("gull.wav", "/gull.wav", None, 50, "ab" * 32, "WAV", 16_000, 1, 0, 3)
    return [
        part.to_bytes(Part(facts, rows)),
        port_check.to_bytes(check),
        outputs.to_bytes(about, [given]),
        to_table([recording]),
    ]


def read_part(path: Path) -> None:
    """Add a part up, as a report does."""
    Gathered().add(path.name, PartFile(path.read_bytes(), "x"))


def read_port(path: Path) -> None:
    """Read what is said of a port."""
    read_check(path.read_bytes(), "x").report()


def read_outputs(path: Path) -> None:
    """Read what was recorded of a window."""
    RecordedShard(path, "x").run(_WAVEFORM)


def read_index(path: Path) -> None:
    """Read a block of the index."""
    from_table(path.read_bytes())


def lists() -> list[bytes]:
    """One of each kind of list of recordings, and a list of parts."""
    columns = pyarrow.table({"path": ["gull.wav", "owl.wav"], "offset": [0.0, 1.0], "duration": [1.0, 2.0]})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(columns, sink)
    nemo = [{"audio_filepath": "gull.wav", "offset": 0.5, "duration": 1.0}, {"audio_filepath": "owl.wav"}]
    source = {"type": "file", "channels": [0], "source": "gull.wav"}
    lhotse = [{"id": "a", "sources": [source], "sampling_rate": 16000, "num_samples": 9, "duration": 1.0}]
    shards = ("dd" * 32,)
    digests = "aa" * 32, "bb" * 32, joined(shards)
    listing = Listing(SCHEMA, KIND, COMPARISONS, "x", "file", *digests, 1, 2, 3.0, 10.0, 10.0, shards)
    lines = ["\n".join(map(json.dumps, each)).encode() for each in (nemo, lhotse)]
    return [
        b"# birds\ngull.wav\nowl.wav\n",
        b'path,label\ngull.wav,1\n"owl,""s.wav",2\n',
        bytes(sink.getvalue()),
        *lines,
        gzip.compress(lines[1], mtime=0),
        listing.to_bytes(),
    ]


def read_list(ending: str) -> Callable[[Path], None]:
    """What reads a file as a list of recordings, under this ending; in this process, whatever it is."""

    def here(module: str, function: str, *arguments: object, limits: Limits) -> object:
        del limits
        return getattr(importlib.import_module(module), function)(*arguments)

    def read(path: Path) -> None:
        named = path.with_name(f"list{ending}")
        named.write_bytes(path.read_bytes())
        try:
            with patch.object(manifest_rows, "call_apart", here):
                read_manifest(str(named))
        finally:
            named.unlink()

    return read


def read_listing(path: Path) -> None:
    """Read a folder whose only list of parts it is."""
    folder = path.with_name("listings")
    folder.mkdir(exist_ok=True)
    (folder / "a.json").write_bytes(path.read_bytes())
    try:
        listings(open_address(str(folder)), COMPARISONS)
    finally:
        (folder / "a.json").unlink()
        folder.rmdir()
