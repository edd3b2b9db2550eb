"""Weights of a port are read whole and exactly, or refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import tiny, weights

from aves_artifacts.base.errors import InputError
from aves_convert.weights.state_dict import read_state_dict


def test_weights_are_read_as_they_are(tmp_path: Path) -> None:
    config = tiny("large")
    torch.save(weights(config), tmp_path / "x.pt")

    read = read_state_dict(tmp_path / "x.pt", config)

    assert all(np.array_equal(read[name], tensor) for name, tensor in weights(config).items())


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    for content in ({}, [torch.ones(1)], {"epoch": 3}, {5: torch.ones(1)}):
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(InputError, match="not a TorchAudio state dict"):
            read_state_dict(tmp_path / "x.pt", tiny("base"))


def test_weights_of_another_geometry_are_listed(tmp_path: Path) -> None:
    torch.save(weights(tiny("base")), tmp_path / "x.pt")
    with pytest.raises(InputError) as caught:
        read_state_dict(tmp_path / "x.pt", dataclasses.replace(tiny("base"), encoder_num_layers=5))
    first, last = caught.value.problems[0], caught.value.problems[-1]
    assert first.startswith(f"{tmp_path / 'x.pt'}: not the weights of this config: missing encoder.transformer.layers.")
    assert (len(caught.value.problems), last.partition("config: ")[2]) == (21, "and 12 more")


def test_one_weight_in_both_spellings_is_refused(tmp_path: Path) -> None:
    """Which of the two torch would take depends on its version."""
    whole = weights(tiny("base"))
    name = "encoder.transformer.pos_conv_embed.conv.weight_g"
    twice = name.replace("weight_g", "parametrizations.weight.original0")
    torch.save({**whole, twice: torch.ones_like(whole[name])}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=rf"not the weights of this config: {name} is there in both spellings$"):
        read_state_dict(tmp_path / "x.pt", tiny("base"))


def test_a_few_values_in_the_place_of_all_weights_are_refused(tmp_path: Path) -> None:
    """A small file whose tensors are one storage would become as large as its config says."""
    whole = weights(tiny("base"))
    shared = torch.zeros(max(tensor.numel() for tensor in whole.values()))
    torch.save({name: shared[: x.numel()].view(x.shape) for name, x in whole.items()}, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < sum(x.nbytes for x in whole.values())
    with pytest.raises(InputError, match="claim more bytes than the file has"):
        read_state_dict(tmp_path / "x.pt", tiny("base"))
