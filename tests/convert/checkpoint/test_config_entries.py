"""The table of config entries is whole, and an entry that is in no table is not passed over in silence."""

import argparse
import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from tests.support.stand_ins import TINY, WAV2VEC2, write
from tests.support.tensors import with_tensors

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import read_bundle
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.config_entries import (
    DEFAULTS,
    INEXPRESSIBLE,
    MOST_RECORDED,
    SHAPING,
    TRAINER,
    TRAINING,
    unknown_entries,
)
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.backends.fairseq_import import import_hubert, quiet

MODELS = {"hubert", "wav2vec2", "hubert_ctc", "wav2vec_ctc"}
TASKS = {"hubert_pretraining", "audio_pretraining", "audio_finetuning"}


def fields(config: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


def test_every_entry_of_fairseqs_models_and_tasks_is_in_the_table() -> None:
    import_hubert()
    models, tasks = importlib.import_module("fairseq.models"), importlib.import_module("fairseq.tasks")
    theirs = [models.MODEL_DATACLASS_REGISTRY[name] for name in MODELS]
    theirs += [tasks.TASK_DATACLASS_REGISTRY[name] for name in TASKS]
    ours = SHAPING | INEXPRESSIBLE.keys() | frozenset().union(*TRAINING.values())
    assert frozenset().union(*map(fields, theirs)) <= ours


def test_every_option_of_fairseqs_trainer_is_in_the_table() -> None:
    import_hubert()
    with quiet():
        for name in ("criterions", "optim", "optim.lr_scheduler", "scoring", "data.encoders"):
            importlib.import_module(f"fairseq.{name}")
    whole = importlib.import_module("fairseq.dataclass.configs").FairseqConfig
    parts = [field.type for field in dataclasses.fields(whole) if dataclasses.is_dataclass(field.type)]
    for registry in importlib.import_module("fairseq.registry").REGISTRIES.values():
        parts += registry["dataclass_registry"].values()
    assert frozenset().union(*map(fields, parts)) - {"_name"} <= TRAINER


def test_no_entry_is_of_two_kinds() -> None:
    training = frozenset().union(*TRAINING.values())
    assert not SHAPING & INEXPRESSIBLE.keys()
    assert not training & (SHAPING | INEXPRESSIBLE.keys())
    assert not TRAINER & (DEFAULTS.keys() | INEXPRESSIBLE.keys())


def described(model: dict[str, Any], task: dict[str, Any] | None = None) -> Checkpoint:
    return Checkpoint(Path("x.pt"), {"_name": "hubert", **model}, task or {}, {})


@pytest.mark.parametrize("value", [True, 1, 0.5, "on", [1], {"a": 0}, float("nan")])
def test_an_unknown_entry_that_is_set_stops_the_conversion(value: object) -> None:
    checkpoint = described({"brand_new_option": value})
    with pytest.raises(InputError, match=r"^x\.pt: the config says model\.brand_new_option=.*`allow_unknown_config`"):
        architecture(checkpoint)
    (entry,) = architecture(checkpoint, allow_unknown_config=True).unknown
    assert entry.name == "model.brand_new_option"


@pytest.mark.parametrize("value", [False, None, 0, 0.0, "", [], {}, "???"])
def test_one_that_is_not_set_does_nothing(value: object) -> None:
    assert unknown_entries(described({"brand_new_option": value}, {"another": value})) == ()


def test_everything_is_told_at_once() -> None:
    checkpoint = described({"one": 1, "layer_type": "conformer", "two": 2}, {"three": 3})
    with pytest.raises(InputError) as caught:
        architecture(checkpoint)
    told = "\n".join(caught.value.problems)
    assert all(word in told for word in ("conformer layers", "model.one=1", "model.two=2", "task.three=3"))
    assert len(caught.value.problems) == 4


def test_within_a_fine_tuned_model() -> None:
    inner = {"model": {"_name": "hubert", "deep": 1}, "task": {"labels": ["km"], "deeper": 2}}
    checkpoint = described({"_name": "hubert_ctc", "w2v_args": inner, "outer": 3}, {"labels": ["ltr"]})
    names = [entry.name for entry in unknown_entries(checkpoint)]
    assert names == ["model.outer", "model.w2v_args.model.deep", "model.w2v_args.task.deeper"]
    flat = {"arch": "hubert", "task": "hubert_pretraining", "clip_norm": 10.0, "deep": 1}
    checkpoint = described({"_name": "hubert_ctc", "w2v_args": flat})
    assert [entry.name for entry in unknown_entries(checkpoint)] == ["model.w2v_args.deep"]


def test_settings_of_fine_tuning_that_replace_the_pretrained_ones() -> None:
    inner = {"model": {"_name": "wav2vec2", "layer_type": "transformer"}, "task": {}}
    model = {"_name": "wav2vec_ctc", "w2v_args": inner, "layer_type": "trf_adp", "adp_num": 1}
    with pytest.raises(InputError, match="this model has adapters in its layers") as caught:
        architecture(described(model))
    assert len(caught.value.problems) == 2


def test_the_options_of_a_whole_training(tmp_path: Path) -> None:
    """The layout from before ``cfg``: in ``cfg`` the trainer's options have places of their own."""
    contents = with_tensors(checkpoint_contents({**TINY, **WAV2VEC2}, seed="test"))
    model = {name: value for name, value in contents["cfg"]["model"].items() if name != "_name"}
    options = {**model, "arch": "wav2vec2", "task": "audio_pretraining", "clip_norm": 25, "lr": [0.1], "infonce": True}
    contents |= {"cfg": None, "args": argparse.Namespace(**options)}
    torch.save(contents, tmp_path / "x.pt")
    to_torchaudio(read_checkpoint(tmp_path / "x.pt"))
    contents["args"].surprise = 1
    torch.save(contents, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"args\.surprise=1") as caught:
        to_torchaudio(read_checkpoint(tmp_path / "x.pt"))
    assert len(caught.value.problems) == 1
    assert [entry.name for entry in unknown_entries(described({"clip_norm": 25}))] == ["model.clip_norm"]


@pytest.mark.parametrize(
    ("model", "task", "criterion", "words"),
    [
        ("wav2vec2", "audio_pretraining", "wav2vec", []),
        ("wav2vec_ctc", "audio_finetuning", "ctc", ["--w2v-path", "x.pt"]),
        ("hubert", "hubert_pretraining", "hubert", ["--labels", "[1]"]),
    ],
)
def test_fairseqs_own_command_line_has_nothing_unknown(model: str, task: str, criterion: str, words: list[str]) -> None:
    import_hubert()
    with quiet():
        options = importlib.import_module("fairseq.options")
        importlib.import_module("fairseq.optim.lr_scheduler")
        parser = options.get_training_parser(default_task=task)
        of_training = ["--optimizer", "adam", "--lr-scheduler", "polynomial_decay", "--total-num-update", "10"]
        words = ["data", "--task", task, "--arch", model, "--criterion", criterion, *of_training, *words]
        given = vars(options.parse_args_and_arch(parser, words))
    assert len(given) > 150
    assert unknown_entries(described({**given, "_name": given["arch"]}, {**given, "_name": given["task"]})) == ()


def test_what_the_published_contentvec_has_left_in_its_config() -> None:
    """Its authors made their "legacy" file from the trainer's by another ``_name``; the model's entries stayed."""
    left = {"encoder_layers_1": 3, "ctr_layers": [-6], "logit_temp_ctr": 0.1, "num_negatives": 100}
    assert unknown_entries(described(left, {"crop": True, "spk2info": "spk2info.dict"})) == ()


def test_hostile_names_and_values_are_cut_and_escaped() -> None:
    checkpoint = described({"a\n\x1b" + "b" * 10_000: "c" * 10_000, 7: 1, **{f"x{i}": i for i in range(1, 500)}})
    with pytest.raises(InputError) as caught:
        architecture(checkpoint)
    assert all(problem.isprintable() and len(problem) < 500 for problem in caught.value.problems)
    assert "and 481 more" in caught.value.problems[-1]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_commands_tell_it(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pt", {"brand_new_option": True})
    for command in ("bundle", "fairseq2torchaudio", "fairseq2onnx"):
        out = tmp_path / (f"{command}.onnx" if command == "fairseq2onnx" else command)
        refused = run(command, path, "--out", out)
        assert refused.exit_code == 2
        assert refused.output.count("\n") == 1
        assert "model.brand_new_option=True" in refused.output
        assert "--allow-unknown-config converts as if such entries were not there" in refused.output
        assert not out.exists()
        done = run(command, path, "--out", out, "--allow-unknown-config")
        assert done.exit_code == 0, done.output
        assert "passed over model.brand_new_option=True" in done.stderr
    manifest = read_bundle(tmp_path / "bundle").manifest
    assert manifest.source.unknown_config == {"model.brand_new_option": "True"}
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["source"]["unknown_config"]


def test_inspect_tells_it_beside_what_the_model_is(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pt", {"brand_new_option": True})
    found = json.loads(run("inspect", path, "--json").stdout)
    assert found["facts"]["unknown_config"] == {"model.brand_new_option": "True"}
    assert (found["facts"]["converts"], found["facts"]["layers"], found["usable"]) == (False, 2, False)
    assert "model.brand_new_option=True" in found["problem"]
    assert run("inspect", path).exit_code == 2


def test_a_manifest_does_not_grow_with_a_hostile_config(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pt", {f"x{i}": i for i in range(1, 500)})
    assert run("bundle", path, "--out", tmp_path / "b", "--allow-unknown-config").exit_code == 0
    assert len(read_bundle(tmp_path / "b").manifest.source.unknown_config) == MOST_RECORDED
