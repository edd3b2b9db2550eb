"""Settings of every form in which trainers have saved them become plain values."""

from __future__ import annotations

import argparse
import enum
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.pickle_bytes import Raw, name, new, reduced
from tests.support.trainers_files import CFG, MODEL, fake, read

from aves_convert.checkpoint.settings import plain
from aves_convert.pickles.reader import read_pickle


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


def test_settings_that_repeat_one_value_cost_no_more_than_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aves_convert.checkpoint.settings.MAX_SIZE", 100)
    shared = list(range(30))

    assert plain([shared] * 3) == [shared] * 3
    with pytest.raises(ValueError, match="deeper or larger"):
        plain([shared] * 4)


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
