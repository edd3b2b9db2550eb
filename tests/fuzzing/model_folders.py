"""Fuzzing of the files in a folder of transformers: one is the damaged one, the others are good."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzzing.reading import inspected

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.request import Source
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.weights.to_torchaudio import hashed, to_torchaudio

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
_SHARD = "one.safetensors"


@cache
def good_files() -> dict[str, bytes]:
    """The files of a small model's folder, and an index of its weights in a file of another name."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_stand_in("bio", folder / "x.pt", geometry="tiny")
        files = {
            path.name: path.read_bytes() for path in fairseq_to_transformers(Source(folder / "x.pt"), folder / "x")
        }
        listed = dict.fromkeys(read_checkpoint(folder / "x").tensors, _SHARD)
    return {**files, INDEX: json.dumps({"metadata": {"total_size": 1}, "weight_map": listed}).encode()}


def settings() -> list[bytes]:
    """Both files of settings, and what another model's say."""
    others = ({"model_type": "wavlm"}, {"model_type": "hubert", "architectures": ["HubertForCTC"], "vocab_size": 9}, {})
    return [good_files()[CONFIG], good_files()[PREPROCESSOR], *(json.dumps(each).encode() for each in others)]


def weights() -> list[bytes]:
    """The weights, and files of a single tensor whose headers are easier hit."""
    made = [good_files()[WEIGHTS]]
    for dtype, size in (("F32", 4), ("BF16", 2), ("I64", 8), ("F8_E4M3", 1), ("U16", 2)):
        entry = {"masked_spec_embed": {"dtype": dtype, "shape": [24], "data_offsets": [0, 24 * size]}}
        header = json.dumps(entry).encode()
        made.append(len(header).to_bytes(8, "little") + header + bytes(24 * size))
    return made


def indexes() -> list[bytes]:
    """The index, and small ones."""
    places = ("../x.safetensors", _SHARD, "", "x.bin")
    small = [json.dumps({"weight_map": {"masked_spec_embed": place}}).encode() for place in places]
    return [good_files()[INDEX], *small]


def folder_with(*names: str) -> Callable[[Path], None]:
    """Read a file in the place of each of these in turn, as conversions and ``inspect`` do; problems are raised."""

    def read(path: Path) -> None:
        problems: list[str] = []
        for name in names:
            with TemporaryDirectory() as folder:
                _lay_out(Path(folder), name, path.read_bytes())
                for parse in (_converted, inspected):
                    try:
                        parse(Path(folder))
                    except InputError as error:  # noqa: PERF203 - what the other finds is wanted too
                        problems += error.problems
        if problems:
            raise InputError(*problems)

    return read


def _lay_out(folder: Path, name: str, content: bytes) -> None:
    for file, good in good_files().items():
        if file == WEIGHTS and name == INDEX:
            (folder / _SHARD).write_bytes(good)
        elif file != INDEX:
            (folder / file).write_bytes(good)
    (folder / name).write_bytes(content)


def _converted(folder: Path) -> None:
    checkpoint = read_checkpoint(folder)
    hashed(to_torchaudio(checkpoint), checkpoint)
