"""Weights are found where transformers looks for them; indexes and files that are not what they say are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.support.commands import invoke
from tests.support.hostile_files import HOSTILE_FILES, HostileFile
from tests.support.pickle_bytes import COMMAND, SYSTEM, pickled, reduced
from tests.support.watched import nothing_runs

from aves_artifacts.base.errors import InputError
from aves_convert.cli import main
from aves_convert.hugging_face.stored_tensors import stored_tensors, weight_files

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def sharded(folder: Path) -> Path:
    """The folder with its weights in two files."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = list(tensors)
    places = {name: ONE if name in names[:25] else TWO for name in names}
    for file in (ONE, TWO):
        save_file({name: tensors[name] for name in names if places[name] == file}, folder / file)
    write_index(folder, {"metadata": {"total_size": 1}, "weight_map": places})
    return folder


def index(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / INDEX).read_text())["weight_map"]
    return found


def write_index(folder: Path, entries: object) -> None:
    (folder / INDEX).write_text(json.dumps(entries))


def refusal(folder: Path) -> str:
    """The one line in which the folder is refused, by the library and by the command alike."""
    with pytest.raises(InputError) as raised:
        stored_tensors(weight_files(folder))
    (problem,) = raised.value.problems
    assert problem.isprintable()
    out = folder.parent / "out"
    result = invoke(main, "bundle", folder, "--out", out)
    assert result.exit_code == 2
    assert result.output.splitlines() == [f"Error: {problem}"]
    assert not out.exists()
    return problem


def test_tensors_come_in_the_order_of_the_index(sharded: Path) -> None:
    assert [path.name for path in weight_files(sharded)] == [INDEX, ONE, TWO]
    assert list(stored_tensors(weight_files(sharded))) == list(index(sharded))


NOT_BESIDE = ("../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "", ".", "x.bin", "x\0.safetensors")


@pytest.mark.parametrize("file", [*NOT_BESIDE, "\x1b.safetensors", f"{'9' * 5000}.safetensors", 3, None, ["x"]])
def test_an_index_leads_to_files_beside_it_alone(file: Any, sharded: Path) -> None:
    listed: dict[str, Any] = index(sharded)
    write_index(sharded, {"weight_map": {**listed, "masked_spec_embed": file}})
    assert "expected one beside it that ends with .safetensors" in refusal(sharded)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([], "no index of weights"),
        ({}, "no index of weights"),
        ({"weight_map": []}, "no index of weights"),
        ({"weight_map": {}}, "no index of weights"),
        (
            {"weight_map": {f"t{n}": f"{n}.safetensors" for n in range(1001)}},
            "lists 1,001 files, expected at most 1,000",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_index(entries: object, told: str, sharded: Path) -> None:
    write_index(sharded, entries)
    assert told in refusal(sharded)


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "truncated": b"{",
    "a name twice": b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}',
    "deep": b"[" * 100_000,
    "no UTF-8": b"\xff",
    "large": b" " * (17 << 20),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_index(content: bytes, sharded: Path) -> None:
    (sharded / INDEX).write_bytes(content)
    assert f"{INDEX}: cannot read the index" in refusal(sharded)


def test_a_shard_that_is_missing(sharded: Path) -> None:
    (sharded / TWO).unlink()
    assert f"{TWO}: " in refusal(sharded)


def test_a_shard_that_lacks_a_tensor_or_has_another(sharded: Path) -> None:
    tensors = load_file(sharded / TWO)
    name, tensor = tensors.popitem()
    save_file({**tensors, "\x1b[31m": tensor}, sharded / TWO)
    with pytest.raises(InputError, match="the files are not those that it lists") as raised:
        stored_tensors(weight_files(sharded))
    assert [problem.isprintable() for problem in raised.value.problems] == [True, True]
    assert f"{TWO} lacks {name}" in raised.value.problems[0]
    assert "which is not its" in raised.value.problems[1]


def test_a_tensor_of_one_shard_that_the_index_puts_into_another(sharded: Path) -> None:
    listed = index(sharded)
    name = next(name for name, file in listed.items() if file == ONE)
    write_index(sharded, {"weight_map": {**listed, name: TWO}})
    with pytest.raises(InputError) as raised:
        stored_tensors(weight_files(sharded))
    assert len(raised.value.problems) == 2


@pytest.mark.parametrize("other", ["tf_model.h5", "flax_model.msgpack"])
def test_weights_of_other_libraries_are_named(other: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / other)
    assert f"no weights (there is {other}, which is another library's)" in refusal(folder)


# --- pytorch_model.bin
def as_torch_saves(folder: Path, contents: object) -> Path:
    (folder / "model.safetensors").unlink(missing_ok=True)
    torch.save(contents, folder / "pytorch_model.bin")
    return folder


def test_a_pickle_that_wants_to_run_something(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickled([reduced(SYSTEM, COMMAND), {"a": 1}]))
    assert "system" in refusal(folder)
    assert not (folder / "EXECUTED").exists()
    with nothing_runs(), pytest.raises(InputError):
        stored_tensors(weight_files(folder))


@pytest.mark.slow
@pytest.mark.parametrize("file", HOSTILE_FILES, ids=lambda file: file.name)
def test_hostile_files_are_refused(file: HostileFile, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name in ("model.safetensors", "pytorch_model.bin"):
        (folder / name).write_bytes(file.make())
        if (name, file.name) != ("model.safetensors", "foreign_safetensors"):  # which is what belongs there
            refusal(folder)
        (folder / name).unlink()
    assert not (folder / "EXECUTED").exists()


SOMETHING_ELSE: dict[str, object] = {
    "list": [torch.ones(3)],
    "nested": {"model": {"a": torch.ones(3)}},
    "text": {"a": torch.ones(3), "b": "text"},
    "number": {1: torch.ones(3)},
    "tensor": torch.ones(3),
}


@pytest.mark.parametrize("contents", SOMETHING_ELSE.values(), ids=SOMETHING_ELSE)
def test_a_file_of_something_else(contents: object, folder: Path) -> None:
    assert "holds something else than a state dict" in refusal(as_torch_saves(folder, contents))


def test_a_tensor_that_is_stored_once_and_repeated(folder: Path) -> None:
    tensors = {name: torch.from_numpy(each) for name, each in load_file(folder / "model.safetensors").items()}
    tensors["masked_spec_embed"] = torch.ones(1).expand(24)
    as_torch_saves(folder, tensors)
    result = invoke(main, "bundle", folder, "--out", folder.parent / "out")
    assert result.exit_code == 2
    assert "repeats the 1 values" in result.output


def test_an_index_of_what_torch_saved_lists_no_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "x.safetensors")
    listed = {"weight_map": {"masked_spec_embed": "x.safetensors"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(listed))
    assert "expected one beside it that ends with .bin" in refusal(folder)


def test_integers_stay_what_they_are(folder: Path) -> None:
    save_file({"a": np.arange(3)}, folder / "model.safetensors")
    assert stored_tensors(weight_files(folder))["a"].read().tolist() == [0, 1, 2]
