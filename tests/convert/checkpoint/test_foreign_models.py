"""Models that look like these and have no port: named, with what one would need, in whatever form they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from tests.support.stand_ins import TINY
from tests.support.tensors import with_tensors

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.weights.to_torchaudio import to_torchaudio

POSITION = "encoder.pos_conv.0."
ATTENTION = "encoder.layers.0.self_attn."
# name -> (tensors that are taken away, those that its own code has instead, the entries of its config, what is told)
FOREIGN: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, Any], str]] = {
    # fairseq's TransformerSentenceEncoderWithAdapterLayer: AdapterFast
    "MMS": (
        "-",
        {
            f"encoder.layers.{layer}.adapter_layer.{name}": shape
            for layer in (0, 1)
            for name, shape in {"W_a": (1, 8, 24), "W_b": (1, 24, 8), "b_a": (1, 8), "ln_W": (1, 24)}.items()
        },
        {"layer_type": "trf_adp", "adp_num": 1, "adp_dim": 8, "adp_act_fn": "relu", "adp_trf_idx": "all"},
        "adapters in its layers, as MMS has",
    ),
    # WavLM's MultiheadAttention
    "WavLM": (
        "-",
        {
            f"{ATTENTION}relative_attention_bias.weight": (320, 4),
            f"{ATTENTION}grep_linear.weight": (8, 6),
            f"{ATTENTION}grep_a": (1, 4, 1, 1),
        },
        {"relative_position_embedding": True, "num_buckets": 320, "max_distance": 800, "gru_rel_pos": True},
        "WavLM's gated relative positions",
    ),
    # fairseq's make_conv_block
    "data2vec": (
        POSITION,
        {
            f"{POSITION}{i}.0.{name}": (24, 6, 3)[: 3 if name == "weight" else 1]
            for i in (0, 1)
            for name in ("weight", "bias")
        },
        {"pos_conv_depth": 5, "conv_pos": 95},
        "a stack of positional convolutions, as data2vec has",
    ),
    # fairseq's make_conv_pos
    "batch norm": (
        POSITION,
        {f"{POSITION}{name}": (24,) for name in ("weight", "bias", "running_mean", "running_var")}
        | {"encoder.pos_conv.1.weight": (24, 6, 16), "encoder.pos_conv.1.bias": (24,)},
        {"conv_pos_batch_norm": True},
        "a batch-norm positional convolution",
    ),
    # fairseq's ConformerWav2Vec2EncoderLayer
    "conformer": (
        "-",
        {"encoder.layers.0.conv_module.pointwise_conv1.weight": (48, 24, 1)},
        {"layer_type": "conformer", "attn_type": "espnet"},
        "conformer layers",
    ),
    # torch.nn.utils.parametrizations.weight_norm
    "parametrizations": (
        f"{POSITION}weight",
        {f"{POSITION}parametrizations.weight.original{i}": shape for i, shape in enumerate([(1, 1, 16), (24, 6, 16)])},
        {},
        "its weight norm as torch's parametrizations spell it",
    ),
}


def contents(name: str) -> dict[str, Any]:
    away, instead, entries, _told = FOREIGN[name]
    made = with_tensors(checkpoint_contents(TINY, seed="test"))
    model = {key: value for key, value in made["model"].items() if not key.startswith(away)}
    model |= {key: torch.ones(shape) for key, shape in instead.items()}
    return {**made, "model": model, "cfg": {**made["cfg"], "model": {**made["cfg"]["model"], **entries}}}


def forms(whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    plain = {**whole, "cfg": {**whole["cfg"], "model": {**TINY, "_name": "hubert"}}}
    return {
        "with its settings": whole,
        "settings that hide it": plain,
        "settings in another layout": {"cfg": whole["cfg"]["model"], "model": whole["model"]},  # WavLM's own
        "model alone": {"model": whole["model"]},
        "Lightning": {"state_dict": {f"model.{key}": value for key, value in whole["model"].items()}},
    }


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("form", forms({"cfg": {"model": {}}, "model": {}}))
def test_it_is_named_with_what_a_port_would_need(name: str, form: str, tmp_path: Path) -> None:
    torch.save(forms(contents(name))[form], tmp_path / "x.pt")
    with pytest.raises(InputError) as caught:
        to_torchaudio(read_checkpoint(tmp_path / "x.pt"))
    told = "\n".join(caught.value.problems)
    assert f"this model has {FOREIGN[name][3]} (tensor " in told
    assert "there is no faithful port of it, which would need " in told
    assert all(problem.startswith(str(tmp_path / "x.pt")) for problem in caught.value.problems)
    for words in (
        ["inspect", "x.pt"],
        ["bundle", "x.pt", "--out", "ports"],
        ["fairseq2onnx", "x.pt", "--out", "x.onnx"],
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            result = CliRunner().invoke(main, words)
        assert result.exit_code == 2
        assert FOREIGN[name][3] in result.output
        assert "Traceback" not in result.output


def test_data2vec_by_its_own_name(tmp_path: Path) -> None:
    made = contents("data2vec")
    made["cfg"]["model"]["_name"] = "data2vec_audio"
    torch.save(made, tmp_path / "x.pt")
    with pytest.raises(InputError, match="data2vec, whose positions come from a stack of convolutions"):
        to_torchaudio(read_checkpoint(tmp_path / "x.pt"))
