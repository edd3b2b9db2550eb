"""The backend that runs a folder with transformers' own classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import stand_ins
from tests.support.converted_folders import folder, said, with_tensors

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.outputs import FINAL, LOGITS
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.backends.backend import Given, RunError
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.backends.transformers_model import TransformersBackend, as_run, load
from aves_verify.explanation.points import points
from aves_verify.explanation.tracing import torch_values

WAVE = (0.1 * np.random.default_rng(0).standard_normal((2, 3000))).astype(np.float32)


def loaded(path: Path, **options: str) -> TransformersBackend:
    return load(Given(path, None, options))


def torchaudio(path: Path) -> TorchaudioBackend:
    converted = to_torchaudio(read_checkpoint(path))
    return TorchaudioBackend(converted.config, dict(converted.state_dict))


@pytest.mark.parametrize("variant", stand_ins.VARIANTS)
def test_it_gives_what_torchaudio_gives_of_every_variant(variant: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "x", variant)
    found, expected = (encoder.run(WAVE, layers=True) for encoder in (loaded(path), torchaudio(path)))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=2e-5, err_msg=name)


def test_the_last_layer_of_a_pre_norm_encoder_is_without_the_last_norm(tmp_path: Path) -> None:
    outputs = loaded(folder(tmp_path / "x", "pre-norm")).run(WAVE, layers=True)
    last = max(name for name in outputs if name.startswith("layer."))
    assert np.abs(outputs[last] - outputs[FINAL]).max() > 0.01


def test_without_layers_there_are_the_embeddings_alone(tmp_path: Path) -> None:
    assert list(loaded(folder(tmp_path / "x")).run(WAVE)) == [FINAL]


@pytest.mark.parametrize("variant", ["base", "pre-norm"])
def test_both_ways_of_attention_agree(variant: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "x", variant)
    eager, sdpa = loaded(path, attention="eager"), loaded(path, attention="sdpa")
    assert (eager.settings["attention"], sdpa.settings["attention"]) == ("eager", "sdpa")
    assert eager.other_way == "attention sdpa"
    assert eager.otherwise.settings == sdpa.settings
    np.testing.assert_allclose(eager.run(WAVE)[FINAL], sdpa.run(WAVE)[FINAL], rtol=0, atol=1e-5)


def test_an_unknown_way_of_attention_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attention is flash, expected one of default, eager, sdpa"):
        loaded(folder(tmp_path / "x"), attention="flash")


def test_a_waveform_that_is_too_short_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"transformers fails on a waveform \[1, 5\]"):
        loaded(folder(tmp_path / "x")).run(WAVE[:1, :5])


@pytest.mark.parametrize("variant", ["base", "pre-norm"])
def test_every_point_of_the_explanation_is_found_inside(variant: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "x", variant)
    mine, theirs = loaded(path), torchaudio(path)
    where = points(mine.folder.config.encoder)
    found = torch_values(lambda: mine.run(WAVE), mine.model, where, mine.module_of)
    expected = torch_values(lambda: theirs.run(WAVE), theirs.model, where)
    assert list(found) == [point.site for point in where] == list(expected)
    assert {name: value.size for name, value in found.items()} == {n: v.size for n, v in expected.items()}


def test_a_tensor_that_nobody_can_account_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown extra"):
        loaded(with_tensors(folder(tmp_path / "x"), extra=np.zeros(3, np.float32)))


def test_a_tensor_that_transformers_would_make_up_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "x")
    with pytest.raises(InputError, match=r"missing encoder\.layer_norm\.bias"):
        loaded(with_tensors(path, encoder__layer_norm__bias=None))


def test_the_embedding_of_masked_frames_is_not_needed_to_run(tmp_path: Path) -> None:
    """Files of fine-tuned models lack it at times; transformers makes one up, which is told apart."""
    encoder = loaded(with_tensors(folder(tmp_path / "x"), masked_spec_embed=None))
    assert encoder.lacks_mask
    np.testing.assert_array_equal(encoder.run(WAVE)[FINAL], loaded(folder(tmp_path / "y")).run(WAVE)[FINAL])


def test_a_setting_that_the_library_falls_over_is_the_ports_failure(tmp_path: Path) -> None:
    encoder = loaded(folder(tmp_path / "x"))
    encoder.model.feature_extractor.conv_layers = None
    with pytest.raises(RunError, match="transformers fails on a waveform"):
        encoder.run(WAVE)


def test_nothing_of_the_model_is_random(tmp_path: Path) -> None:
    """It begins with memory as it was allocated, and every tensor is then put in its place."""
    path = folder(tmp_path / "x")
    state = loaded(path).model.state_dict()
    again = loaded(path).model.state_dict()
    assert all(torch.equal(state[name], again[name]) and state[name].isfinite().all() for name in state)


def test_the_class_follows_from_what_is_ported(tmp_path: Path) -> None:
    path = said(folder(tmp_path / "x"), architectures=["HubertModelWithFinalProj"])
    assert as_run(loaded(path).folder.config).model_class == "HubertModel"
    assert LOGITS not in loaded(path).gives
