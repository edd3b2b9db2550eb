"""Recordings of an original: what is in them, and that nothing else is taken for one."""

import dataclasses
import json
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from tests.support.tiny_encoders import TINY

from aves_artifacts.base.errors import InputError
from aves_verify.backends.backend import Embeddings
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.sounds.inputs import Input
from aves_verify.verification.recording import record

KIND = "aves-verify recording"


class Counting:
    """A backend whose outputs tell which input they belong to."""

    name, kind, version = "fairseq", "fairseq", "0.12.2"

    def run(self, waveform: np.ndarray, *, layers: bool = False) -> Embeddings:
        final = np.full((len(waveform), 2, 3), waveform.sum(), dtype=np.float32)
        return {"final": final, "logits": -final} | ({"layer.0": 2 * final} if layers else {})


def waveform(value: float, samples: int = 8, batch: int = 1) -> np.ndarray:
    return np.full((batch, samples), value, dtype=np.float32)


GIVEN = [Input("a", waveform(1)), Input("b", waveform(2, samples=16)), Input("batch of 3", waveform(3, batch=3))]


def made(path: Path, layers: Any = "last") -> Path:
    record(Counting(), GIVEN, path, layers=layers, normalize=True, config=TINY, weights="f" * 64)
    return path


def test_what_was_recorded_is_given_again(tmp_path: Path) -> None:
    backend = RecordedBackend(made(tmp_path / "ref"))
    assert (backend.name, backend.version, backend.config) == ("fairseq", "0.12.2", TINY)
    assert (backend.about.normalize, backend.about.weights, backend.about.layers) == (True, "f" * 64, "last")
    assert backend.about.names == ("a", "b", "batch of 3")
    for item in reversed(GIVEN):
        found, expected = backend.run(item.waveform), Counting().run(item.waveform)
        assert set(found) == {"final", "logits"}
        for name, array in found.items():
            assert array.dtype == np.float32
            assert np.array_equal(array, expected[name])


def test_layers_are_given_where_they_were_recorded_and_wanted(tmp_path: Path) -> None:
    every = RecordedBackend(made(tmp_path / "ref", layers="all"))
    assert set(every.run(GIVEN[0].waveform, layers=True)) == {"final", "logits", "layer.0"}
    assert set(every.run(GIVEN[0].waveform)) == {"final", "logits"}
    last = RecordedBackend(made(tmp_path / "ref"))
    with pytest.raises(InputError, match=r"ref: only the last layer was recorded; record with `layers` all"):
        last.run(GIVEN[0].waveform, layers=True)


@pytest.mark.parametrize(
    "other",
    [
        waveform(1.0000001),
        waveform(1, samples=9),
        waveform(1, samples=4, batch=2),  # the same samples in another shape
        waveform(-1),
    ],
)
def test_another_waveform_is_refused(tmp_path: Path, other: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"holds no output for a waveform .* recorded on 3 .* \(a, b, batch of 3\)"):
        RecordedBackend(made(tmp_path / "ref")).run(other)


def test_a_recording_is_tensors_and_text(tmp_path: Path) -> None:
    path = made(tmp_path / "ref")
    with safe_open(path, framework="numpy") as file:
        assert set(file.metadata()) == {KIND}
        assert len(list(file.keys())) == 2 * len(GIVEN)
    assert path.stat().st_size < 4096  # 2 x 2 x 3 numbers for each of five rows, and the description
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0


def test_a_run_that_fails_leaves_the_old_recording(tmp_path: Path) -> None:
    path = made(tmp_path / "ref")
    before = path.read_bytes()
    broken = [*GIVEN, Input("broken", None)]  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        record(Counting(), broken, path, layers="last", normalize=False, config=TINY, weights="")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    """Write a recording anew, with its description and its tensors changed."""
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()[KIND])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    change(about, tensors)
    save_file(tensors, path, metadata={KIND: json.dumps(about)})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("schema", 2, "schema 2, this version reads 1"),
        ("schema", None, "schema None"),
        ("backend", "onnx", "unusable backend"),
        ("backend", "[bold]\x1b[31m", "unusable backend"),
        ("backend", ["fairseq"], "unusable backend"),
        ("version", 3, "unusable version"),
        ("layers", "some", "unusable layers"),
        ("normalize", "no", "unusable normalize"),
        ("config", {}, "unusable config"),
        ("weights", None, "unusable weights"),
        ("inputs", "abc", "unusable inputs"),
        ("inputs", ["x", 1, "y"], "unusable inputs"),
        ("inputs", ["x"], "1 inputs with 3 names"),
        ("names", [1, 2, 3], "unusable names"),
        ("names", ["a", "b"], "3 inputs with 2 names"),
        ("more", "text", "unexpected keyword"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, name: str, value: Any, reason: str) -> None:
    path = made(tmp_path / "ref")
    rewrite(path, lambda about, _: about.update({name: value}))
    with pytest.raises(InputError, match=rf"ref: no recording \(.*{reason}.*\); write one with: aves-verify record"):
        RecordedBackend(path)


@pytest.mark.parametrize("name", ["backend", "inputs", "names", "config", "weights"])
def test_a_description_that_lacks_something_is_refused(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "ref")
    rewrite(path, lambda about, _: about.pop(name))
    with pytest.raises(InputError, match=r"ref: no recording \(.*missing.*\)"):
        RecordedBackend(path)


def test_a_recording_of_nothing_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "ref")
    rewrite(path, lambda about, _: about.update(inputs=[], names=[]))
    with pytest.raises(InputError, match=r"no recording \(0 inputs with 0 names\)"):
        RecordedBackend(path)


def test_a_config_that_is_none_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "ref")
    rewrite(path, lambda about, _: about.update(config='{"encoder_embed_dim": -1}'))
    with pytest.raises(InputError, match=r"ref: not a wav2vec2_model config"):
        RecordedBackend(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop("1/final"), "the output for b is missing"),
        (lambda tensors: tensors.update({"1/final": np.zeros((1, 2, 3))}), "1/final is 'F64'"),
        (lambda tensors: tensors.update({"1/final": np.zeros((1, 2), np.float32)}), r"1/final is 'F32' \[1, 2\]"),
        (lambda tensors: tensors.update({"0/layer.0": np.zeros((1, 2, 3), np.int32)}), "0/layer.0 is 'I32'"),
    ],
)
def test_outputs_that_are_none_are_refused(
    tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None], reason: str
) -> None:
    path = made(tmp_path / "ref")
    rewrite(path, lambda _, tensors: change(tensors))
    with pytest.raises(InputError, match=rf"ref: no recording \({reason}"):
        RecordedBackend(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ref"
    with pytest.raises(InputError, match=r"ref: no recording \(.+\)"):
        RecordedBackend(path)
    save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(InputError, match="a safetensors file of something else"):
        RecordedBackend(path)
    for text in ("", "[]", "[" * 100_000, '"text"', "{not json", "1" * 5000):
        save_file({"x": np.zeros(3, np.float32)}, path, metadata={KIND: text})
        with pytest.raises(InputError, match=r"ref: no recording \(.+\)"):
            RecordedBackend(path)
    for content in (b"", b"<html>", b"\x80\x02}q\x00.", struct.pack("<Q", 2**62) + b"{}", b"\0" * 64):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"ref: no recording \(.+\)") as caught:
            RecordedBackend(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"no recording \(.+\)"):
        RecordedBackend(tmp_path)


def test_a_cut_off_recording_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "ref")
    whole = path.read_bytes()
    for length in (4, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"ref: no recording \(.+\)"):
            RecordedBackend(path)


def test_a_recording_that_is_cut_off_meanwhile_is_told(tmp_path: Path) -> None:
    path = made(tmp_path / "ref")
    backend = RecordedBackend(path)
    os.truncate(path, 100)
    with pytest.raises(InputError, match="ref: became shorter while it was read"):
        backend.run(GIVEN[0].waveform)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ([], "1/final is None None"),
        ({"dtype": "F32", "shape": [1, 2, 3], "data_offsets": [0, 25]}, "1/final does not lie in the file"),
        ({"dtype": "F32", "shape": [1, 2, 3], "data_offsets": [10**6, 10**6 + 24]}, "1/final does not lie in the file"),
        ({"dtype": "F32", "shape": [1, -2, 3], "data_offsets": [0, 24]}, r"1/final is 'F32' \[\.\.\.\]"),
        ({"dtype": "F32", "shape": [0, 2, 3], "data_offsets": [24]}, "1/final does not lie in the file"),
    ],
)
def test_an_output_that_does_not_lie_where_the_header_says(tmp_path: Path, entry: Any, reason: str) -> None:
    path = made(tmp_path / "ref")
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:begin]) | {"1/final": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[begin:])
    with pytest.raises(InputError, match=rf"no recording \({reason}\)"):
        RecordedBackend(path)


def test_a_recording_says_everything_of_itself(tmp_path: Path) -> None:
    given = record(Counting(), GIVEN, tmp_path / "ref", layers="all", normalize=False, config=TINY, weights="0")
    found = RecordedBackend(tmp_path / "ref").about
    assert dataclasses.asdict(found) == dataclasses.asdict(given)
