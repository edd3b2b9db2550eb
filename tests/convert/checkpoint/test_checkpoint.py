"""What is read of a checkpoint, whatever else is in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.hostile_files import HOSTILE_FILES, HostileFile
from tests.support.pickle_bytes import Raw, checkpoint, opcodes, tensor
from tests.support.torch_file_bytes import torch_zip
from tests.support.trainers_files import CFG, MODEL, fake, read
from tests.support.watched import nothing_runs

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.forms import kind_of
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.torch_files.reader import open_torch_file


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


def test_a_fine_tuned_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dictionary = fake(monkeypatch, "fairseq.data.dictionary.Dictionary")
    inner = {"model": {"label_rate": "${task.label_rate}"}, "task": {"label_rate": 50.0}}
    cfg = {"model": {"_name": "hubert_ctc", "w2v_args": inner}, "task": {"_name": "hubert", "label_rate": 1.0}}

    result = read(
        tmp_path, {"cfg": cfg, "model": MODEL, "task_state": {"target_dictionary": dictionary(symbols=["a", "b"])}}
    )

    assert result.dictionary_sizes == (2,)
    assert result.model_config["w2v_args"]["model"] == {"label_rate": 50.0}


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
    "Hugging Face state dict": "the weights of a model of transformers; give their folder",
    "fairseq state dict": r"it has no feature_extractor\.conv_layers\.0\.0\.weight, which every HuBERT",
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
        read(tmp_path, {"model": {}, "step": 3})
    with pytest.raises(InputError, match="a state dict of another model: it has no feature_extractor"):
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
