"""What is told of checkpoints and of TorchAudio weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.inspected import assert_usable, command, written
from tests.support.stand_ins import TINY, VARIANTS
from tests.support.tensors import with_tensors

from aves_artifacts.encoder import EncoderConfig, encoder_shapes
from aves_convert.checkpoint.architecture import architecture
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.inspection.identify import inspect
from aves_convert.torch_files.writer import write_torch_file
from aves_convert.weights.model import build_model
from aves_convert.weights.state_dict import old_weight_norm_name


def model_shapes(config: EncoderConfig) -> list[tuple[str, tuple[int, ...]]]:
    """What the TorchAudio model itself says, in its order: the arithmetic must give the same."""
    state = build_model(config).state_dict()
    return [(old_weight_norm_name(name), tuple(tensor.shape)) for name, tensor in state.items()]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_checkpoint_of_every_variant(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x.pt", VARIANTS[name])
    found = inspect(path)
    assert_usable(found, "fairseq checkpoint")
    checkpoint = read_checkpoint(path)
    arch = architecture(checkpoint)
    assert list(encoder_shapes(arch.config).items()) == model_shapes(arch.config)
    assert found.facts["model_class"] == arch.model_class
    assert found.facts["tensors"] == len(checkpoint.tensors)
    assert list(found.facts["dropped"]) == [name for name in checkpoint.tensors if name in arch.dropped]
    encoder = sum(checkpoint.tensors[name].numel for name in arch.mapping)
    assert (found.facts["encoder_parameters"], found.facts["converts"]) == (encoder, True)
    assert found.next == f"aves-convert bundle {path} --out ports"


def test_the_head_of_a_fine_tuned_model_is_counted() -> None:
    contents = checkpoint_contents(TINY, seed="test")
    config = architecture(_described(contents)).config
    with_head = EncoderConfig(**{**config.kwargs(), "aux_num_out": 5})
    assert list(encoder_shapes(with_head).items()) == model_shapes(with_head)


def _described(contents: dict[str, Any]) -> Any:
    from aves_convert.checkpoint.checkpoint import Checkpoint

    return Checkpoint(Path("x"), contents["cfg"]["model"], contents["cfg"]["task"], tensors={})


def test_what_a_checkpoint_carries(tmp_path: Path) -> None:
    contents = checkpoint_contents(TINY, seed="test", task={"normalize": True}, dtype=np.float16)
    contents["last_optimizer_state"] = {"state": {}}
    contents["extra_state"]["ema"] = {"mask_emb": np.zeros(24, np.float32)}
    contents["optimizer_history"][0]["num_updates"] = 400_000
    write_torch_file(contents, tmp_path / "x.pt")
    facts = inspect(tmp_path / "x.pt").facts
    expected = {
        "format": "torch.save",
        "precision": {"float16": len(contents["model"])},
        "updates": 400_000,
        "labels": {"km": 504},
        "optimizer_state": True,
        "moving_average": True,
        "normalize": True,
        "norm": "post-norm",
        "layers": 2,
    }
    assert {name: facts[name] for name in expected} == expected


def test_the_format_from_before_zip(tmp_path: Path) -> None:
    contents = {**with_tensors(checkpoint_contents(TINY, seed="test")), "task_state": {}}
    torch.save(contents, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    found = inspect(tmp_path / "x.pt")
    assert_usable(found, "fairseq checkpoint")
    assert found.facts["format"] == "torch.save of torch before 1.6"


def without(contents: dict[str, Any], name: str) -> None:
    del contents["model"][name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["cfg"]["model"].update(layer_type="conformer"), "conformer layers"),
        (lambda c: c["cfg"]["model"].update(_name="data2vec_audio"), "model 'data2vec_audio'"),
        (lambda c: c["cfg"]["model"].update(encoder_layers=200), "the config says 200 layers"),
        (lambda c: without(c, "encoder.layers.0.fc1.bias"), "missing encoder.layers.0.fc1.bias"),
        (lambda c: c["model"].update({"encoder.layers.0.fc1.bias": np.zeros(3, np.float32)}), "fc1.bias has shape"),
        (lambda c: c["model"].update(extra=np.zeros(3, np.float32)), "unknown extra"),
    ],
)
def test_a_checkpoint_that_does_not_convert_says_why(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    contents = checkpoint_contents(TINY, seed="test")
    change(contents)
    write_torch_file(contents, tmp_path / "x.pt")
    found = inspect(tmp_path / "x.pt")
    assert (found.kind, found.facts["converts"], found.next) == ("fairseq checkpoint", False, None)
    assert message in "\n".join(found.problems)
    result = command(tmp_path / "x.pt")
    assert result.exit_code == 2
    assert "converts" in result.output
    assert message in result.output.splitlines()[-1]


@pytest.mark.parametrize("dialect", ["weight_g", "parametrizations"])
def test_torchaudio_weights_in_either_dialect(dialect: str, bundle: Path, tmp_path: Path) -> None:
    state_dict = torch.load(bundle / "tiny.torchaudio.pt")
    if dialect == "parametrizations":
        for index, name in enumerate(("weight_g", "weight_v")):
            stem = "encoder.transformer.pos_conv_embed.conv."
            state_dict[f"{stem}parametrizations.weight.original{index}"] = state_dict.pop(stem + name)
    torch.save(state_dict, tmp_path / "tiny.torchaudio.pt")
    alone = inspect(tmp_path / "tiny.torchaudio.pt")
    assert_usable(alone, "TorchAudio state dict")
    assert alone.facts["weight_norm"].startswith(dialect)
    assert (alone.facts["layers"], alone.facts["convolutions"]) == (2, 7)
    assert alone.next == (
        f"aves-convert torchaudio2onnx {tmp_path / 'tiny.torchaudio.pt'} --config MODEL_CONFIG.json --out tiny.onnx"
    )
    config = tmp_path / "tiny.torchaudio.model_config.json"
    config.write_text((bundle / config.name).read_text())
    with_config = inspect(tmp_path / "tiny.torchaudio.pt")
    assert_usable(with_config, "TorchAudio state dict")
    assert with_config.facts["fits_its_config"] is True
    assert with_config.next is not None
    assert f"--config {config} " in with_config.next


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("encoder_ff_interm_features", 47, "not the weights of tiny.torchaudio.model_config.json: encoder.transformer"),
        (
            "encoder_num_layers",
            1000,
            "not the weights of tiny.torchaudio.model_config.json: missing encoder.transformer.layers.2",
        ),
        ("encoder_num_layers", 2**31 - 1, "encoder_num_layers is 2147483647, expected a whole number from 1 to 1000"),
    ],
)
def test_weights_beside_the_config_of_another_model(
    entry: str, value: int, message: str, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.torchaudio.pt").write_bytes((bundle / "tiny.torchaudio.pt").read_bytes())
    config = json.loads((bundle / "tiny.torchaudio.model_config.json").read_text())
    (tmp_path / "tiny.torchaudio.model_config.json").write_text(json.dumps({**config, entry: value}))
    assert message in "\n".join(inspect(tmp_path / "tiny.torchaudio.pt").problems)


def test_weights_with_something_else_among_them(bundle: Path, tmp_path: Path) -> None:
    for name, value in (("epoch", 3), (5, torch.ones(1))):
        torch.save({**torch.load(bundle / "tiny.torchaudio.pt"), name: value}, tmp_path / "x.pt")
        assert f"something else than named tensors: {name!r}" in "\n".join(inspect(tmp_path / "x.pt").problems)


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    path = written(tmp_path / "x.pt", {})
    path.write_bytes(path.read_bytes()[:-5000])
    assert "truncated" in "\n".join(inspect(path).problems)
