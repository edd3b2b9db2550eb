from __future__ import annotations

import argparse
import enum
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.hostile_files import HOSTILE_FILES, HostileFile
from tests.support.pickle_bytes import Raw, checkpoint, name, new, opcodes, reduced, tensor
from tests.support.torch_file_bytes import torch_zip
from tests.support.watched import nothing_runs

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.checkpoint import Checkpoint, kind_of
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.checkpoint.settings import plain
from aves_convert.pickles.reader import read_pickle
from aves_convert.torch_files.reader import open_torch_file

MODEL = {"mask_emb": torch.arange(3.0), "encoder.layers.0.self_attn.k_proj.weight": torch.ones(2, 2)}
CFG = {
    "model": {"_name": "hubert", "encoder_layers": 2, "label_rate": 50.0, "dropout": 0.1, "conv_bias": False},
    "task": {"_name": "hubert_pretraining", "labels": ["km"], "normalize": False, "sample_rate": 16_000},
}


class Plain:
    """Stands for a class of fairseq or omegaconf: pickled as an ordinary object, by its name."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def fake(monkeypatch: pytest.MonkeyPatch, qualified: str, cls: Any = None) -> Any:
    """A class that pickle writes under the name ``qualified``; its package need not be installed."""
    module, _, attribute = qualified.rpartition(".")
    cls = cls or type(attribute, (Plain,), {"__module__": module})
    parts = module.split(".")
    for package in (".".join(parts[: count + 1]) for count in range(len(parts))):
        if package not in sys.modules:
            monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setattr(sys.modules[module], attribute, cls, raising=False)
    return cls


def read(tmp_path: Path, contents: object, **options: Any) -> Checkpoint:
    path = tmp_path / "checkpoint.pt"
    torch.save(contents, path, **options)
    return read_checkpoint(path)


@pytest.mark.parametrize("zip_layout", [True, False])
def test_a_checkpoint_as_the_trainer_writes_it(
    zip_layout: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictionary = fake(monkeypatch, "fairseq.data.dictionary.Dictionary")
    words = ["<s>", "<pad>", "</s>", "<unk>", "0", "1"]
    contents = {
        "args": None,
        "cfg": CFG,
        "model": MODEL,
        "criterion": None,
        "optimizer_history": [{"num_updates": 1}, {"num_updates": 7, "lr_scheduler_state": {"best": None}}],
        "task_state": {"dictionaries": [dictionary(symbols=words, count=[1] * 6, indices={"0": 4})]},
        "extra_state": {"metrics": {}, "previous_training_time": 1.5, "val_loss": np.float64(2.5)},
        "last_optimizer_state": {"state": {0: {"step": 3, "exp_avg": torch.zeros(3)}}, "param_groups": []},
    }

    result = read(tmp_path, contents, _use_new_zipfile_serialization=zip_layout)

    assert result.path == tmp_path / "checkpoint.pt"
    assert result.model_config == CFG["model"]
    assert result.task_config == CFG["task"]
    assert list(result.tensors) == list(MODEL)
    assert all(np.array_equal(result.tensors[key].read(), value) for key, value in MODEL.items())
    assert result.dictionaries == (tuple(words),)
    assert result.dictionary_sizes == (6,)
    assert (result.num_updates, result.has_optimizer_state, result.has_ema) == (7, True, False)


def test_settings_of_omegaconf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = fake(monkeypatch, "omegaconf.dictconfig.DictConfig")
    listing = fake(monkeypatch, "omegaconf.listconfig.ListConfig")
    node = fake(monkeypatch, "omegaconf.nodes.AnyNode")
    metadata = fake(monkeypatch, "omegaconf.base.ContainerMetadata")
    choices = enum.Enum("Choices", {"layer_norm": "layer_norm"}, module="fairseq.dataclass.constants")
    fake(monkeypatch, "fairseq.dataclass.constants.Choices", choices)

    def config_of(value: object, parent: object = None) -> object:
        kinds = {dict: config, list: listing}
        made = kinds.get(type(value), node)(_metadata=metadata(object_type=dict, flags={}), _parent=parent)
        if isinstance(value, dict):
            made._content = {key: config_of(item, made) for key, item in value.items()}
        elif isinstance(value, list):
            made._content = [config_of(item, made) for item in value]
        else:
            made._val = value
        return made

    settings: dict[str, Any] = {
        "model": {**CFG["model"], "extractor_mode": choices.layer_norm, "label_rate": "${task.label_rate}", "x": None},
        "task": {**CFG["task"], "label_rate": "${model.rate}", "deep": [[1, "${task.normalize}"]]},
    }
    settings["model"] |= {"rate": 25.0, "unknown": "${nowhere.at.all}", "circle": "${model.circle}", "text": "a ${b}"}

    result = read(tmp_path, {"cfg": config_of(settings), "model": MODEL})

    expected = {"extractor_mode": "layer_norm", "label_rate": 25.0, "x": None, "rate": 25.0}
    kept = {"unknown": "${nowhere.at.all}", "circle": "${model.circle}", "text": "a ${b}"}
    assert result.model_config == {**CFG["model"], **expected, **kept}
    assert result.task_config == {**CFG["task"], "label_rate": 25.0, "deep": [[1, False]]}
    json.dumps([result.model_config, result.task_config])


def test_settings_of_a_namespace(tmp_path: Path) -> None:
    args = argparse.Namespace(arch="wav2vec2", task="audio_pretraining", encoder_layers=12, normalize=True)

    result = read(tmp_path, {"args": args, "model": MODEL, "optimizer_history": []})

    assert result.model_config["_name"] == "wav2vec2"
    assert result.task_config["_name"] == "audio_pretraining"
    assert result.model_config["encoder_layers"] == 12
    assert result.task_config["normalize"] is True
    assert result.num_updates is None
    assert not result.has_optimizer_state


def test_a_namespace_within_cfg(tmp_path: Path) -> None:
    result = read(tmp_path, {"cfg": {"model": argparse.Namespace(a=1), "task": None}, "model": MODEL})

    assert (result.model_config, result.task_config) == ({"a": 1}, {})


def test_a_fine_tuned_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dictionary = fake(monkeypatch, "fairseq.data.dictionary.Dictionary")
    inner = {"model": {"label_rate": "${task.label_rate}"}, "task": {"label_rate": 50.0}}
    cfg = {"model": {"_name": "hubert_ctc", "w2v_args": inner}, "task": {"_name": "hubert", "label_rate": 1.0}}

    result = read(
        tmp_path, {"cfg": cfg, "model": MODEL, "task_state": {"target_dictionary": dictionary(symbols=["a", "b"])}}
    )

    assert result.dictionary_sizes == (2,)
    assert result.model_config["w2v_args"]["model"] == {"label_rate": 50.0}


def test_numpy_scalars_bytes_and_paths_become_plain(tmp_path: Path) -> None:
    model = {
        "i": np.int64(-5),
        "u": np.uint8(200),
        "f": np.float32(0.5),
        "d": np.float64(0.1),
        "b": np.bool_(True),
        "big": np.array(3, dtype=">i4")[()],
        "bytes": b"\xff",
        "path": Path("/data/train"),
        "set": {1},
    }
    contents = {"cfg": {"model": {**model, "dtype": torch.float16}}, "model": MODEL}

    result = read(tmp_path, {**contents, "optimizer_history": [{"num_updates": np.int64(9)}]})

    shown = dict(result.model_config)
    assert repr(shown.pop("dtype")) == "Global(module='torch', name='float16')"
    assert shown == {**model, "path": "/data/train", "set": [1]}
    assert type(shown["i"]) is int
    assert type(shown["f"]) is float
    assert result.num_updates == 9


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_an_ema_copy(dtype: torch.dtype, tmp_path: Path) -> None:
    halves = {key: value.to(dtype) for key, value in MODEL.items()}
    ema = {"ema": {key: value + 1 for key, value in MODEL.items()}}

    result = read(tmp_path, {"cfg": CFG, "model": halves, "extra_state": ema})

    assert result.has_ema
    assert all(np.array_equal(result.tensors[key].float32(), value) for key, value in MODEL.items())


def test_unknown_classes_where_they_are_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = fake(monkeypatch, "my_plugin.tasks.State")
    cfg = {"model": {"mine": mine(a=1)}, "task": {}}

    result = read(tmp_path, {"cfg": cfg, "model": MODEL, "extra_state": mine(), "task_state": mine(dictionaries=[])})

    assert repr(result.model_config["mine"]) == "<record of my_plugin.tasks.State>"
    assert result.dictionaries == ()


STATE_DICTS = {
    "TorchAudio state dict": ["encoder.transformer.pos_conv_embed.conv.weight_g"],
    "TorchAudio state dict (parametrizations)": [
        "encoder.transformer.pos_conv_embed.conv.parametrizations.weight.original0"
    ],
    "Hugging Face state dict": ["hubert.feature_projection.projection.weight", "hubert.encoder.layers.0.attention.q"],
    "fairseq state dict": ["encoder.layers.0.self_attn.k_proj.weight"],
    "state dict": ["conv1.weight"],
}
ADVICE = {
    "TorchAudio state dict": r"\(weight_g, weight_v\), already converted.*aves-convert torchaudio2onnx",
    "TorchAudio state dict (parametrizations)": r"\(parametrizations.weight\), already converted.*torchaudio2onnx",
    "Hugging Face state dict": "a Hugging Face model, expected the checkpoint of fairseq",
    "fairseq state dict": "without their settings; expected the whole file",
    "state dict": "a state dict of another model",
}


@pytest.mark.parametrize("kind", STATE_DICTS)
def test_other_files_are_recognised(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({key: torch.ones(1) for key in STATE_DICTS[kind]}, path)

    assert kind_of(open_torch_file(path).root) == kind
    with pytest.raises(InputError, match=ADVICE[kind]):
        read_checkpoint(path)


def test_weights_without_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a dict with the entries 'model', 'step', no fairseq checkpoint"):
        read(tmp_path, {"model": MODEL, "step": 3})
    with pytest.raises(InputError, match="no settings of the model"):
        read(tmp_path, {"cfg": {"task": {}}, "model": MODEL})


def test_too_many_symbols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dictionary = fake(monkeypatch, "fairseq.data.dictionary.Dictionary")
    monkeypatch.setattr("aves_convert.checkpoint.checkpoint._MAX_SYMBOLS", 10)
    with pytest.raises(InputError, match="more than 10 symbols"):
        read(
            tmp_path,
            {"cfg": CFG, "model": MODEL, "task_state": {"dictionaries": [dictionary(symbols=["a"] * 5)] * 2}},
        )


def test_settings_that_repeat_one_value_cost_no_more_than_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_convert.checkpoint.settings.MAX_SIZE", 100)
    shared = list(range(30))

    assert plain([shared] * 3) == [shared] * 3
    with pytest.raises(ValueError, match="deeper or larger"):
        plain([shared] * 4)


@pytest.mark.slow
def test_a_hundred_thousand_tensors(tmp_path: Path) -> None:
    path = tmp_path / "many.pt"
    six = tensor()
    path.write_bytes(torch_zip(checkpoint(model={f"layer.{index}.weight": six for index in range(100_000)})))

    assert len(read_checkpoint(path).tensors) == 100_000


@pytest.mark.parametrize("hostile", HOSTILE_FILES, ids=lambda hostile: hostile.name)
def test_hostile_files(hostile: HostileFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("hostile.pt")
    path.write_bytes(hostile.make())

    with nothing_runs(), pytest.raises(InputError) as caught:
        read_checkpoint(path)

    message = str(caught.value)
    assert message.startswith("hostile.pt")
    assert hostile.says in message
    assert message.isprintable()
    assert len(message) < 900
    assert list(Path().iterdir()) == [path]


def test_hostile_names_are_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "f.pt"
    path.write_bytes(torch_zip(checkpoint(model={"\x1b[2J": Raw(opcodes("\x1b")), "\u202e": 1})))
    with pytest.raises(InputError, match=r"'\\x1b\[2J' is '\\x1b', '\\u202e' is 1"):
        read_checkpoint(path)


def test_records_that_only_look_like_settings() -> None:
    def plain_of(raw: Raw) -> Any:
        return plain(read_pickle(b"\x80\x02" + raw.opcodes + b".", "").root)

    scalar, dtype = name("numpy.core.multiarray", "scalar"), name("numpy", "dtype")
    for raw in (
        reduced(scalar),
        reduced(scalar, 1, 2),
        reduced(scalar, reduced(dtype), "x"),
        reduced(scalar, reduced(dtype, "O8"), "x"),
        reduced(scalar, reduced(dtype, ["f8"]), "x"),
        reduced(scalar, reduced(dtype, "f8"), reduced(name("_codecs", "encode"), "short", "latin1")),
        reduced(name("_codecs", "encode"), "x", "rot13"),
        reduced(name("_codecs", "encode"), "\u0400", "latin1"),
        reduced(name("_codecs", "encode"), "x" * 5000, "latin1"),
        reduced(name("pathlib", "PosixPath"), 1),
        reduced(name("pathlib", "PosixPath"), "x" * 5000),
        reduced(name("fairseq", "Enum"), []),
        new(name("omegaconf.nodes", "AnyNode"), [1]),
        new(name("argparse", "Namespace"), 1),
    ):
        assert repr(plain_of(raw)).startswith("<record of ")
