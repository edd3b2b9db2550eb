"""Strict accounting: whatever is done to one tensor of a checkpoint, the conversion notices."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from tests.support.stand_ins import TINY, VARIANTS, write

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import hashed, to_torchaudio


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


@pytest.fixture
def checkpoint(variant: dict[str, Any], tmp_path: Path) -> Checkpoint:
    return read_checkpoint(write(tmp_path / "x.pt", variant))


def test_every_tensor_is_accounted_for(checkpoint: Checkpoint) -> None:
    converted = to_torchaudio(checkpoint)
    assert [e.source for e in converted.ledger if e.source is not None] == list(checkpoint.tensors)
    assert {e.target for e in converted.ledger if e.target is not None} == set(converted.state_dict)
    assert all(e.reason for e in converted.ledger if e.action != "mapped")
    for entry in converted.ledger:
        if entry.action == "mapped":
            assert np.array_equal(converted.state_dict[entry.target], checkpoint.tensors[entry.source].read())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_the_ledger_has_the_hash_of_what_the_file_stores(dtype: type[np.generic], tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write(tmp_path / "x.pt", {}, dtype=dtype))
    ledger = {entry.source: entry.sha256 for entry in hashed(to_torchaudio(checkpoint), checkpoint).ledger}
    stored = {name: tensor.read().tobytes() for name, tensor in checkpoint.tensors.items()}
    assert ledger == {name: hashlib.sha256(data).hexdigest() for name, data in stored.items()}


def test_the_model_loads_strictly_and_runs(checkpoint: Checkpoint) -> None:
    converted = to_torchaudio(checkpoint)
    model = load_model(converted.config, converted.state_dict)
    samples = converted.config.receptive_field + 3 * converted.config.hop
    with torch.inference_mode():
        output, _ = model(torch.zeros(1, samples))
    assert output.shape == (1, 4, converted.config.encoder_embed_dim)


def damaged(contents: dict[str, Any], path: Path) -> Checkpoint:
    write_torch_file(contents, path)
    return read_checkpoint(path)


def test_damage_to_any_one_tensor_is_caught(checkpoint: Checkpoint) -> None:
    for name, tensor in checkpoint.tensors.items():
        others = {n: t for n, t in checkpoint.tensors.items() if n != name}
        flat = dataclasses.replace(tensor, shape=(math.prod(tensor.shape) + 1,), stride=(1,))
        deeper = dataclasses.replace(tensor, shape=(*tensor.shape, 1), stride=(*tensor.stride, 1))
        for change, message in (
            ({}, f"missing {name}"),
            ({f"{name}_": tensor}, f"missing {name}"),
            ({name: flat}, f"{name} has shape"),
            ({name: deeper}, f"{name} has shape"),
        ):
            with pytest.raises(InputError) as caught:
                to_torchaudio(dataclasses.replace(checkpoint, tensors={**others, **change}))
            assert message in str(caught.value)


def test_an_added_tensor_is_caught(variant: dict[str, Any], tmp_path: Path) -> None:
    contents = checkpoint_contents({**TINY, **variant}, seed="test")
    contents["model"]["encoder.layers.0.adapter.weight"] = np.zeros((2, 2), np.float32)
    with pytest.raises(InputError, match=r"unknown encoder.layers.0.adapter.weight \[2, 2\]"):
        to_torchaudio(damaged(contents, tmp_path / "x.pt"))


def test_all_problems_are_listed_once(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    del contents["model"]["mask_emb"], contents["model"]["encoder.layers.1.fc1.bias"]
    contents["model"]["layer_norm.weight"] = np.zeros(3, np.float32)
    contents["model"]["extra"] = np.zeros(1, np.float32)
    with pytest.raises(InputError) as caught:
        to_torchaudio(damaged(contents, tmp_path / "x.pt"))
    message = str(caught.value)
    for part in ("missing mask_emb", "missing encoder.layers.1.fc1.bias", "unknown extra"):
        assert message.count(part) == 1


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_widened_exactly(dtype: type[np.generic], tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write(tmp_path / "x.pt", {}, dtype=dtype))
    converted = to_torchaudio(checkpoint)
    for entry in converted.ledger:
        if entry.target is not None and entry.source is not None:
            assert converted.state_dict[entry.target].dtype == np.float32
            source = checkpoint.tensors[entry.source].read()
            assert source.dtype == dtype
            assert np.array_equal(converted.state_dict[entry.target].astype(dtype), source)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_unless_asked_for(value: float, tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    contents["model"]["encoder.layers.0.fc1.weight"][3, 1] = value
    checkpoint = damaged(contents, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"layers.0.fc1.weight holds 1 values.*; `allow_non_finite` converts them"):
        to_torchaudio(checkpoint)
    converted = to_torchaudio(checkpoint, allow_non_finite=True)
    assert not np.isfinite(
        converted.state_dict["encoder.transformer.layers.0.feed_forward.intermediate_dense.weight"]
    ).all()


@pytest.mark.parametrize(
    ("entries", "feature"),
    [
        ({"layer_type": "conformer"}, "conformer"),
        ({"activation_fn": "relu"}, "exact GELU"),
        ({"activation_fn": "gelu_accurate"}, "exact GELU"),  # fairseq's name for the tanh approximation
        ({"pos_conv_depth": 5}, "stack of positional convolutions"),
        ({"conv_pos_batch_norm": True}, "batch-norm positional convolution"),
        ({"pos_enc_type": "rope"}, "rotary"),
        ({"pos_enc_type": "rel_pos"}, "relative"),
        ({"use_adp": True}, "adapters"),
        ({"quantize_input": True}, "quantised input"),
    ],
)
def test_what_torchaudio_cannot_express_is_refused_by_name(
    entries: dict[str, Any], feature: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=feature):
        _with_config(tmp_path, entries)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"_name": "data2vec_audio"}, "model 'data2vec_audio'"),
        ({"extractor_mode": "batch"}, "extractor_mode"),
        ({"encoder_layers": "12"}, "encoder_layers is '12'"),
        ({"encoder_layers": 10**12}, "encoder_num_layers"),
        ({"conv_feature_layers": "__import__('os').system('true')"}, "conv_feature_layers"),
        ({"encoder_attention_heads": 5}, "encoder_num_heads 5"),
        ({"layer_norm_first": 1}, "layer_norm_first is 1"),
        ({"final_dim": None, "encoder_embed_dim": -768}, "encoder_embed_dim"),
    ],
)
def test_a_damaged_config_is_refused(entries: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _with_config(tmp_path, entries)
    assert "\n" not in str(caught.value)


def _with_config(folder: Path, entries: dict[str, Any]) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    contents["cfg"]["model"] |= entries
    to_torchaudio(damaged(contents, folder / "x.pt"))


def test_what_the_file_leaves_out_has_fairseqs_default(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    for name in ("dropout", "attention_dropout", "extractor_mode", "conv_bias", "layer_norm_first"):
        contents["cfg"]["model"].pop(name)
    config = to_torchaudio(damaged(contents, tmp_path / "x.pt")).config
    assert (config.encoder_dropout, config.encoder_attention_dropout) == (0.1, 0.1)
    assert (config.extractor_mode, config.extractor_conv_bias) == ("group_norm", False)


def test_the_config_is_the_one_that_users_know(tmp_path: Path) -> None:
    config = json.loads(to_torchaudio(read_checkpoint(write(tmp_path / "x.pt", {}))).config.to_json())
    assert config["extractor_conv_layer_config"][0] == [16, 10, 5]
    assert config["encoder_pos_conv_groups"] == 4


def test_fairseqs_defaults_are_those_of_fairseq() -> None:
    from aves_convert.checkpoint.config_entries import DEFAULTS
    from aves_verify.backends.fairseq_import import import_hubert

    import_hubert()
    from fairseq.models.hubert.hubert import HubertConfig
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config

    hubert, wav2vec2 = HubertConfig(), Wav2Vec2Config()
    for name, value in DEFAULTS.items():
        for config in (hubert, wav2vec2):
            if hasattr(config, name) and name != "conv_feature_layers":
                assert getattr(config, name) == value, name
