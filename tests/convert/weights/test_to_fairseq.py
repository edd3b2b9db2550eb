"""The way back is bit for bit, and what cannot go back is named."""

import hashlib
import importlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tests.support.round_trip import assert_same_checkpoint, there, there_and_back
from tests.support.stand_ins import TINY, VARIANTS
from tests.support.tensors import with_tensors

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import read_bundle
from aves_artifacts.encoder import EncoderConfig
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_torchaudio, torchaudio_to_fairseq
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.torch_files.reader import open_torch_file
from aves_convert.torch_files.writer import PickledObject, write_torch_file
from aves_convert.weights.to_fairseq import fairseq_port


def written(folder: Path, contents: dict[str, Any]) -> Path:
    path = folder / "original.pt"
    write_torch_file(contents, path)
    return path


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_returns_bit_by_bit(name: str, tmp_path: Path) -> None:
    original = written(tmp_path, checkpoint_contents({**TINY, **VARIANTS[name]}, seed="test"))
    returned, remarks = there_and_back(original)
    assert_same_checkpoint(returned, original)
    assert remarks == ()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_every_precision_returns_bit_by_bit(dtype: type[np.generic], tmp_path: Path) -> None:
    original = written(tmp_path, checkpoint_contents(TINY, seed="test", dtype=dtype))
    returned, remarks = there_and_back(original)
    assert_same_checkpoint(returned, original)
    assert remarks == ()


def test_weights_that_are_no_numbers_return_too(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    contents["model"]["encoder.layers.0.fc1.weight"][0, :2] = float("nan"), float("-inf")
    original = written(tmp_path, contents)
    assert_same_checkpoint(there_and_back(original, allow_non_finite=True)[0], original)


def test_the_newer_weight_norm_dialect_returns_too(tmp_path: Path) -> None:
    original = written(tmp_path, checkpoint_contents(TINY, seed="test"))
    weights, config = there(original)
    new = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in torch.load(weights).items()
    }
    torch.save(new, weights)
    torchaudio_to_fairseq(weights, config, original, tmp_path / "returned.pt")
    assert_same_checkpoint(tmp_path / "returned.pt", original)


def test_other_weights_replace_those_of_the_checkpoint(tmp_path: Path) -> None:
    original = written(tmp_path, checkpoint_contents(TINY, seed="other"))
    weights, config = there(written(tmp_path, checkpoint_contents(TINY, seed="test")))
    written(tmp_path, checkpoint_contents(TINY, seed="other"))
    made = fairseq_port(weights, EncoderConfig.read(config), original)
    test, other = (checkpoint_contents(TINY, seed=seed)["model"] for seed in ("test", "other"))
    for name, tensor in made.contents["model"].items():
        dropped = name in ("mask_emb", "label_embs_concat", "final_proj.weight", "final_proj.bias")
        assert np.array_equal(tensor, (other if dropped else test)[name]), name


def test_what_does_not_fit_into_half_precision_stays_float32(tmp_path: Path) -> None:
    weights, config = there(written(tmp_path, checkpoint_contents(TINY, seed="test")))
    like = written(tmp_path, checkpoint_contents(TINY, seed="test", dtype=np.float16))
    made = fairseq_port(weights, EncoderConfig.read(config), like)
    assert any("half precision" in remark and "fc1.weight" not in remark for remark in made.remarks)
    original = checkpoint_contents(TINY, seed="test")["model"]
    assert made.contents["model"]["encoder.layers.0.fc1.weight"].dtype == np.float32
    assert np.array_equal(
        made.contents["model"]["encoder.layers.0.fc1.weight"], original["encoder.layers.0.fc1.weight"]
    )
    assert made.contents["model"]["mask_emb"].dtype == np.float16


def test_optimizer_state_and_moving_average_are_left_out_in_so_many_words(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    contents["last_optimizer_state"] = {"state": {0: {"exp_avg": np.ones(3, np.float32)}}}
    contents["extra_state"]["ema"] = {"mask_emb": np.ones(24, np.float32)}
    contents["optimizer_history"][0]["optimizer"] = {"state": {}}
    contents["cfg"] |= {"ema": {"store_ema": True}, "optimizer": {"_name": "adam"}}
    returned, remarks = there_and_back(written(tmp_path, contents))
    assert [remark.split(" left out")[0] for remark in remarks] == ["optimizer state", "moving average (EMA)"]
    root: Any = open_torch_file(returned).root
    assert root["last_optimizer_state"] is None
    assert "optimizer" not in root["optimizer_history"][0]
    assert "ema" not in root["extra_state"]
    assert root["extra_state"]["train_iterator"] == {"epoch": 1, "iterations_in_epoch": 0}
    assert root["cfg"]["ema"] == {"store_ema": True}  # settings, no weights
    assert root["cfg"]["optimizer"] == {"_name": "adam"}


class _Odd:
    """A class whose objects cannot be made from their attributes alone."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Odd, (1, 2)


def saved(folder: Path, contents: dict[str, Any]) -> Path:
    """Written by torch itself, for objects that this project's writer does not have."""
    path = folder / "original.pt"
    torch.save({**with_tensors(contents), "task_state": {}}, path)
    return path


def test_what_fairseq_can_do_without_is_named(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    contents["extra_state"]["odd"] = _Odd()
    returned, remarks = there_and_back(saved(tmp_path, contents))
    assert len(remarks) == 1
    assert "extra_state.odd" in remarks[0]
    assert "_Odd" in remarks[0]
    root: Any = open_torch_file(returned).root
    assert sorted(root["extra_state"]) == ["stand_in", "train_iterator"]


def test_a_tensor_that_is_mentioned_many_times_does_not_swell_the_file(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    original = written(tmp_path, contents)
    whole = original.stat().st_size
    contents["extra_state"]["many"] = [np.zeros(whole // 40, np.float32)] * 20
    large = tmp_path / "large.pt"
    torch.save({**with_tensors(contents), "extra_state": _one_mentioned_often(contents), "task_state": {}}, large)
    returned, remarks = there_and_back(large)
    assert returned.stat().st_size < 3 * large.stat().st_size
    assert "more bytes than the file has" in remarks[0]


def _one_mentioned_often(contents: dict[str, Any]) -> dict[str, Any]:
    one = torch.from_numpy(contents["extra_state"]["many"][0])
    return {**contents["extra_state"], "many": {f"copy {i}": one for i in range(200)}}


def test_what_fairseq_needs_and_cannot_be_written_is_refused(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    contents["cfg"]["task"]["label_dir"] = _Odd()
    with pytest.raises(InputError, match=r"fairseq needs .* cfg.task.label_dir"):
        there_and_back(saved(tmp_path, contents))


def test_old_args_stay_a_namespace(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    cfg = contents.pop("cfg")
    state = {**cfg["task"], **cfg["model"], "arch": "hubert", "task": "hubert_pretraining"}
    contents |= {"args": PickledObject("argparse", "Namespace", state), "task_state": {}}
    original = written(tmp_path, contents)
    returned, _ = there_and_back(original)
    assert_same_checkpoint(returned, original)
    assert torch.load(returned, weights_only=False)["args"].arch == "hubert"


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_omegaconf_nodes_become_the_dicts_that_fairseq_writes_today(zipped: bool, tmp_path: Path) -> None:
    from aves_verify.backends.fairseq_import import import_hubert

    import_hubert()
    from omegaconf import OmegaConf

    contents = with_tensors(checkpoint_contents(TINY, seed="test"))
    cfg = contents["cfg"]
    contents |= {"cfg": OmegaConf.create(cfg), "task_state": {}}
    original = tmp_path / "original.pt"
    torch.save(contents, original, _use_new_zipfile_serialization=zipped)
    returned, remarks = there_and_back(original)
    assert_same_checkpoint(returned, original)
    assert remarks == ()
    root: Any = open_torch_file(returned).root
    assert root["cfg"] == cfg


def test_a_class_name_cannot_smuggle_opcodes(tmp_path: Path) -> None:
    """STACK_GLOBAL takes any text as a name; written as a line it would be more than a name."""
    contents = checkpoint_contents(TINY, seed="test")
    contents["extra_state"]["hook"] = PickledObject("pkg", "XXXXXXXXXX", {})
    original = written(tmp_path, contents)
    smuggled = b"X\nNcposix\nsystem\n".ljust(20, b"0")
    payload = b"\x8c\x03pkg\x8c" + bytes([len(smuggled)]) + smuggled + b"\x93"
    path = tmp_path / "hostile.pt"
    _replace_in_pickle(original, path, b"cpkg\nXXXXXXXXXX\n", payload)
    weights, config = there(original)
    with pytest.raises(InputError, match="wants to run"):
        fairseq_port(weights, EncoderConfig.read(config), path)


def _replace_in_pickle(source: Path, target: Path, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(source) as one, zipfile.ZipFile(target, "w") as other:
        for entry in one.infolist():
            content = one.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert content.count(old) == 1
                content = content.replace(old, new)
            other.writestr(entry.filename, content)


def test_another_geometry_is_refused_by_name(tmp_path: Path) -> None:
    weights, config = there(written(tmp_path, checkpoint_contents(TINY, seed="test")))
    like = written(tmp_path, checkpoint_contents({**TINY, "encoder_layers": 3, "dropout": 0.5}, seed="test"))
    with pytest.raises(InputError, match=r"encoder_num_layers is 2, there 3; give `like`") as caught:
        fairseq_port(weights, EncoderConfig.read(config), like)
    assert "dropout" not in str(caught.value)


def test_another_dropout_is_no_other_geometry(tmp_path: Path) -> None:
    original = written(tmp_path, checkpoint_contents(TINY, seed="test"))
    weights, config = there(original)
    config.write_text(json.dumps({**json.loads(config.read_text()), "encoder_dropout": 0.5}))
    assert fairseq_port(weights, EncoderConfig.read(config), original).remarks == ()


def test_a_projection_that_fairseq_has_no_place_for_is_refused(tmp_path: Path) -> None:
    original = written(tmp_path, checkpoint_contents({**TINY, **VARIANTS["no projection"]}, seed="test"))
    weights, config = there(original)
    state_dict = torch.load(weights)
    state_dict["encoder.feature_projection.projection.bias"][0] = 1e-9
    torch.save(state_dict, weights)
    with pytest.raises(InputError, match=r"projection.bias is no longer the identity"):
        fairseq_port(weights, EncoderConfig.read(config), original)


def test_the_command_says_what_it_left_out_and_replaces_only_when_told(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    contents["last_optimizer_state"] = {"state": {}}
    original = written(tmp_path, contents)
    weights, config = there(original)
    out = tmp_path / "returned.pt"
    arguments = ["torchaudio2fairseq", weights, "--config", config, "--like", original, "--out", out]
    first = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert first.exit_code == 0, first.output
    assert first.output.splitlines()[0] == str(out)
    assert "optimizer state left out" in first.output
    second = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert second.exit_code == 2
    assert "already there" in second.output


def test_the_manifest_has_the_hash_of_every_source_tensor(tmp_path: Path) -> None:
    original = written(tmp_path, checkpoint_contents(VARIANTS["no projection"] | TINY, seed="test"))
    bundle = make_bundle(Source(original), Target(tmp_path / "bundle", "x"))
    assert read_bundle(bundle.folder).manifest.ledger == bundle.manifest.ledger
    tensors = read_checkpoint(original).tensors
    hashes = {entry.source: entry.sha256 for entry in bundle.manifest.ledger if entry.source is not None}
    assert hashes == {name: hashlib.sha256(tensor.read().tobytes()).hexdigest() for name, tensor in tensors.items()}
    assert all(entry.sha256 is None for entry in bundle.manifest.ledger if entry.source is None)


# --- fairseq's own files, and its own loader


@pytest.fixture
def fairseq_load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """fairseq's own loader unpickles; these files are our own, so it may."""
    from aves_verify.backends.fairseq_import import import_hubert, quiet

    import_hubert()
    load: Any = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: load(*args, **{**kwargs, "weights_only": False}))
    loader = importlib.import_module("fairseq.checkpoint_utils").load_model_ensemble_and_task
    with quiet():
        yield lambda path: loader([str(path)])


@pytest.mark.trainer
def test_fairseq_loads_what_returned(trained: Path, tmp_path: Path, fairseq_load: Any) -> None:
    weights, config = fairseq_to_torchaudio(Source(trained), Target(tmp_path, "x"))
    returned = tmp_path / "returned.pt"
    remarks = torchaudio_to_fairseq(weights, config, trained, returned)
    assert len(remarks) == 1
    assert remarks[0].startswith("optimizer state left out")
    assert_same_checkpoint(returned, trained)

    (original,), original_config, original_task = fairseq_load(trained)
    (model,), model_config, task = fairseq_load(returned)
    assert model_config == original_config
    assert [d.symbols for d in task.dictionaries] == [d.symbols for d in original_task.dictionaries]
    for (name, one), (_, other) in zip(model.state_dict().items(), original.state_dict().items(), strict=True):
        assert torch.equal(one, other), name
