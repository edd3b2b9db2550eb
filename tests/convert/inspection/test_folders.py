"""A folder of transformers is told as a whole, by itself or by one of its files; so is why one cannot be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support.inspected import assert_usable, command
from tests.support.pickle_bytes import COMMAND, SYSTEM, pickled, reduced
from tests.support.transformers_folders import edit, source

from aves_convert.conversion.request import Source
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.inspection.identify import inspect

KIND = "folder of transformers"


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A folder of one's own, to change."""
    fairseq_to_transformers(Source(tiny_checkpoint), tmp_path / "tiny", heads=True)
    return tmp_path / "tiny"


def test_what_is_in_it_and_what_comes_next(folder: Path) -> None:
    found = inspect(folder)
    assert_usable(found, KIND)
    assert found.next == f"aves-convert bundle {folder} --out ports"
    facts = found.facts
    assert facts["files"] == ["config.json", "preprocessor_config.json", "model.safetensors"]
    assert facts["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    assert (facts["model_class"], facts["converts"]) == ("HubertModelWithFinalProj", True)
    assert (facts["tensors"], facts["precision"]) == (53, {"float32": 53})
    assert (facts["layers"], facts["dimension"], facts["norm"]) == (2, 24, "post-norm")
    assert (facts["normalize"], facts["sample_rate"]) == (False, 16_000)
    assert facts["projections"] == {"projection": 8}
    assert facts["dropped"].keys() == {"masked_spec_embed", "final_proj.weight", "final_proj.bias"}
    assert "unknown_config" not in facts
    result = command(folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{folder}: {KIND}\n")


def test_a_model_for_ctc(tmp_path: Path) -> None:
    fairseq_to_transformers(source("hubert-ctc-pre-norm", tmp_path), tmp_path / "folder")
    found = inspect(tmp_path / "folder")
    assert_usable(found, KIND)
    assert (found.facts["model_class"], found.facts["normalize"]) == ("HubertForCTC", True)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_by_one_of_its_files(file: str, folder: Path) -> None:
    assert inspect(folder / file) == inspect(folder)


@pytest.mark.parametrize("file", ["config.json", "pytorch_model.bin.index.json", "one.bin"])
def test_by_one_of_its_shards_or_their_index(file: str, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "one.bin")
    listed = {"weight_map": dict.fromkeys(tensors, "one.bin")}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(listed))
    found = inspect(folder / file)
    assert_usable(found, KIND)
    assert found == inspect(folder)


def test_weights_as_torch_saves_them(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert_usable(inspect(folder / "pytorch_model.bin"), KIND)


@pytest.mark.parametrize(
    ("file", "told"), [("model.safetensors", "without config.json"), ("pytorch_model.bin", "which has a config.json")]
)
def test_weights_alone_need_their_settings(file: str, told: str, folder: Path) -> None:
    if file == "pytorch_model.bin":
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    (problem,) = inspect(folder / file).problems
    assert told in problem
    (problem,) = inspect(folder).problems
    assert "a folder without config.json" in problem
    assert command(folder / file).exit_code == 2


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("config.json", {"model_type": "wavlm"}, "WavLM"),
        ("config.json", {"layer_norm_eps": 1e-6}, "norms with another epsilon"),
        ("config.json", {"num_hidden_layers": 3}, "missing encoder.layers.2."),
        ("config.json", {"num_hidden_layers": 10**4}, "layers"),
        ("config.json", {"auto_map": {"AutoModel": "x.Model"}}, "code of its own, which is not run"),
        ("preprocessor_config.json", {"do_normalize": 1}, "do_normalize is 1"),
    ],
)
def test_why_one_cannot_be_used(file: str, changes: dict[str, object], told: str, folder: Path) -> None:
    edit(folder / file, changes)
    for given in (folder, folder / "config.json"):
        result = command(given, "--json")
        assert result.exit_code == 2, result.output
        assert told in result.stderr
        found = json.loads(result.stdout)
        assert (found["kind"], found["usable"], found["next"]) == (KIND, False, None)


def test_a_folder_without_what_prepares_waveforms(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    (problem,) = inspect(folder).problems
    assert "preprocessor_config.json is missing" in problem


def test_what_a_pickle_wants_to_run_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickled([reduced(SYSTEM, COMMAND), {"a": 1}]))
    for given in (folder, folder / "pytorch_model.bin"):
        assert "system" in "\n".join(inspect(given).problems)
    assert not (folder / "EXECUTED").exists()


# --- what only looks like one
def test_a_config_of_torchaudio_by_that_name(bundle: Path, tmp_path: Path) -> None:
    shutil.copy(bundle / "tiny.torchaudio.model_config.json", tmp_path / "config.json")
    assert_usable(inspect(tmp_path / "config.json"), "TorchAudio model config")


def test_a_file_that_lies_beside_one(folder: Path, tiny_checkpoint: Path) -> None:
    shutil.copy(tiny_checkpoint, folder / "original.pt")
    assert_usable(inspect(folder / "original.pt"), "fairseq checkpoint")
    (folder / "other.json").write_text("{}")
    assert inspect(folder / "other.json").kind == "unusable"


def test_a_bundle_is_one_with_the_folder_in_it(bundle: Path, folder: Path) -> None:
    for path in folder.iterdir():
        shutil.copy(path, bundle / path.name)  # as on the Hub
    try:
        assert inspect(bundle).kind == "bundle"
        assert_usable(inspect(bundle / "config.json"), KIND)
    finally:
        for path in folder.iterdir():
            (bundle / path.name).unlink()


def test_a_copy_of_torchaudio_weights_is_what_it_was(bundle: Path) -> None:
    (problem,) = inspect(bundle / "tiny.safetensors").problems
    assert "this is a safetensors file" in problem
