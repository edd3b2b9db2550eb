"""A search as a user asks for it, and what is refused before any work."""

import functools
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
from click.testing import Result
from tests.support.commands import invoke

from aves_convert.cli import main
from aves_convert.graph.transformer import products

run = functools.partial(invoke, main)
INT8 = ("--precision", "int8")


def searched(checkpoint: Path, out: Path, *options: object) -> Result:
    return run("fairseq2onnx", checkpoint, "--out", out, *options)


def wide_in(path: Path) -> list[str]:
    said = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert said["precision"] == "int8"
    found: list[str] = json.loads(said.get("wide", "[]"))
    return found


def test_a_graph_that_was_searched_has_its_record_beside_it(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"
    ended = searched(tiny_checkpoint, out, *INT8, "--min-snr", 42)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == f"{out}\n"
    *_, line = ended.stderr.splitlines()  # before it, on some processors, that eight bits are not faster there
    assert "of 12 products stay in float32" in line
    assert line.endswith("a.search.json says which and why")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "a.search.json"]
    told = json.loads((tmp_path / "a.search.json").read_text())
    assert sorted(told["result"]["wide"]) == wide_in(out) != []
    onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])


def test_a_record_is_taken_up_where_the_graph_is_gone(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"
    assert searched(tiny_checkpoint, out, *INT8, "--min-snr", 42).exit_code == 0
    kept = [out.read_bytes(), (tmp_path / "a.search.json").read_bytes()]
    refused = searched(tiny_checkpoint, out, *INT8, "--min-snr", 42)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "a.onnx: already there" in refused.stderr
    out.unlink()
    assert searched(tiny_checkpoint, out, *INT8, "--min-snr", 42).exit_code == 0
    assert [out.read_bytes(), (tmp_path / "a.search.json").read_bytes()] == kept


def test_both_ways_to_onnx_keep_the_same_wide(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert run("fairseq2torchaudio", tiny_checkpoint, "--out", tmp_path, "--name", "x").exit_code == 0
    weights, config = tmp_path / "x.torchaudio.pt", tmp_path / "x.torchaudio.model_config.json"
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    assert searched(tiny_checkpoint, one, *INT8, "--min-cosine", 0.9999).exit_code == 0
    again = run("torchaudio2onnx", weights, "--config", config, "--out", other, *INT8, "--min-cosine", 0.9999)
    assert again.exit_code == 0, again.output
    assert wide_in(one) == wide_in(other)
    assert (tmp_path / "one.search.json").read_bytes() == (tmp_path / "other.search.json").read_bytes()


@pytest.mark.slow
def test_recordings_are_searched_on_and_the_picture_is_drawn(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).standard_normal(16_000) * 0.1
        soundfile.write(folder / f"{number}.wav", noise, 16_000)
    out = tmp_path / "a.onnx"
    ended = searched(tiny_checkpoint, out, *INT8, "--min-snr", 42, "--calibrate", folder, "--explain")
    assert ended.exit_code == 0, ended.output
    told = json.loads((tmp_path / "a.search.json").read_text())
    names = {clip["name"] for side in ("searched_on", "held_out") for clip in told[side]}
    assert names == {"0.wav", "1.wav", "2.wav"}
    assert (tmp_path / "a.search.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--min-snr 30", "in a graph whose precision is float32; add --precision int8, or leave the bounds out"),
        ("--precision float16 --min-cosine 0.99", "in a graph whose precision is float16; add --precision int8"),
        ("--precision int8 --explain", "a picture of a search, and nothing to search for; add --min-snr DB or"),
        ("--precision int8 --calibrate x", "recordings to search on, and nothing to search for; add --min-snr DB or"),
        ("--precision int8 --min-snr 0", "a signal-to-noise ratio of 0 dB, expected more than 0 and at most 100"),
        ("--precision int8 --min-snr nan", "a signal-to-noise ratio of nan dB, expected"),
        ("--precision int8 --min-cosine 1", "a cosine of 1, expected more than 0 and less than 1"),
        ("--precision int8 --min-snr 30 --exporter torch", "int8 precision; --precision int8 needs --exporter graph"),
        ("--precision int8 --min-snr 30 --opset 9", "opset 9 cannot be written"),
        ("--precision int8 --min-snr 30 --outputs layer.7", "this encoder has the layers 0 to 1"),
        ("--precision int8 --min-snr 30 --wide nothing", "the graph has no such product to keep in float32: nothing"),
        ("--precision int8 --min-snr 30 --calibrate nowhere", "nowhere: no such file or folder; give audio files"),
    ],
)
def test_a_search_that_makes_no_sense_is_one_line_and_writes_nothing(
    options: str, words: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    ended = searched(tiny_checkpoint, tmp_path / "a.onnx", *options.split())
    assert (ended.exit_code, ended.stdout) == (2, ""), ended.output
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_a_bound_out_of_reach_tells_the_best_and_writes_no_graph(tiny_checkpoint: Path, tmp_path: Path) -> None:
    options = (*INT8, "--weights", "float16", "--min-snr", 95)
    ended = searched(tiny_checkpoint, tmp_path / "a.onnx", *options)
    assert (ended.exit_code, ended.stdout) == (2, ""), ended.output
    (line,) = ended.stderr.splitlines()
    assert "95 dB in every clip cannot be reached: with every product wide it is 6" in line
    assert line.endswith("give --weights float32, or ask for less")
    assert [path.name for path in tmp_path.iterdir()] == ["a.search.json"]


def test_with_everything_wide_nothing_is_left_in_eight_bits(tiny_checkpoint: Path, tmp_path: Path) -> None:
    every = ",".join(products(2))  # its layers
    ended = searched(tiny_checkpoint, tmp_path / "a.onnx", *INT8, "--wide", every)
    assert (ended.exit_code, ended.stdout) == (2, ""), ended.output
    (line,) = ended.stderr.splitlines()
    assert "every product stays in float32, and nothing is left in eight bits; ask for less" in line
    assert not (tmp_path / "a.onnx").exists()


def test_beside_eight_bits_the_rest_is_stored_in_half_precision(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for name, options in (("half", ()), ("whole", ("--weights", "float32"))):
        ended = searched(tiny_checkpoint, tmp_path / f"{name}.onnx", *INT8, *options)
        assert ended.exit_code == 0, ended.output
    said = [{e.key: e.value for e in onnx.load(tmp_path / f"{n}.onnx").metadata_props} for n in ("half", "whole")]
    assert [each.get("weights", "float32") for each in said] == ["float16", "float32"]
    assert (tmp_path / "half.onnx").stat().st_size < (tmp_path / "whole.onnx").stat().st_size


def test_a_picture_that_is_there_is_kept(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "a.search.svg").write_text("mine")
    ended = searched(tiny_checkpoint, tmp_path / "a.onnx", *INT8, "--min-snr", 40, "--explain")
    assert ended.exit_code == 2
    assert "a.search.svg: already there; nothing was written" in ended.stderr
    assert (tmp_path / "a.search.svg").read_text() == "mine"


def test_nothing_is_left_in_eight_bits_of_the_layers_that_are_written(tiny_checkpoint: Path, tmp_path: Path) -> None:
    every = ",".join(products(1))  # layer.0 needs no more
    options = (*INT8, "--outputs", "layer.0", "--wide", every)
    ended = searched(tiny_checkpoint, tmp_path / "a.onnx", *options)
    assert ended.exit_code == 2
    assert "nothing is left in eight bits" in ended.stderr
