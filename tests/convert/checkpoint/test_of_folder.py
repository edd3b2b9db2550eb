"""Folders that transformers itself saved, of every class with the encoder: the ports compute what the class does."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.commands import invoke
from tests.support.tiny_encoders import TINY, clip, rms, tiny
from tests.support.transformers_folders import edit, model_of, saved

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import read_bundle
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main
from aves_convert.weights.heads import heads_of
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio

pytestmark = pytest.mark.slow

run = functools.partial(invoke, main)
SEQUENCE, AROUND = "HubertForSequenceClassification", {"projector", "classifier"}


@pytest.fixture(scope="module")
def model() -> Any:
    return model_of(TINY)


def port(folder: Path) -> TorchaudioPort:
    return to_torchaudio(read_checkpoint(folder))


def assert_computes(found: TorchaudioPort, model: Any) -> None:
    waveform = clip(3000, 2, offset=0.1)
    with torch.inference_mode():
        expected = model(waveform)[0].numpy()
        output = load_model(found.config, found.state_dict)(waveform)[0].numpy()
    np.testing.assert_allclose(output, expected, rtol=0, atol=2e-5 * rms(expected))


def assert_accounted(found: TorchaudioPort, folder: Path) -> None:
    assert [entry.source for entry in found.ledger] == list(read_checkpoint(folder).tensors)


@pytest.mark.parametrize(
    "variant", ["base", "large", "pre-norm", "layer-norm", "odd-positions", "one-layer", "conv-bias"]
)
@pytest.mark.parametrize("model_class", ["HubertModel", "Wav2Vec2Model"])
def test_what_transformers_saved_converts(model_class: str, variant: str, tmp_path: Path) -> None:
    made = model_of(tiny(variant), model_class)
    found = port(saved(made, tmp_path / "folder"))
    assert found.architecture.model_class == model_class
    assert_computes(found, made)
    assert_accounted(found, tmp_path / "folder")
    weight = made.encoder.layers[0].attention.k_proj.weight.detach().numpy()
    assert found.state_dict["encoder.transformer.layers.0.attention.k_proj.weight"].tobytes() == weight.tobytes()


@pytest.mark.parametrize("normalize", [True, False])
def test_whether_waveforms_are_normalised_is_the_folders(normalize: bool, model: Any, tmp_path: Path) -> None:
    found = port(saved(model, tmp_path / "folder", normalize=normalize))
    assert found.architecture.normalize is normalize
    assert found.architecture.sample_rate == 16_000


@pytest.mark.parametrize("model_class", ["HubertForCTC", "Wav2Vec2ForCTC"])
def test_a_model_for_ctc_keeps_its_head(model_class: str, tmp_path: Path) -> None:
    made = model_of(dataclasses.replace(TINY, aux_num_out=7), model_class)
    found = port(saved(made, tmp_path / "folder"))
    assert found.config.aux_num_out == 7
    assert_computes(found, made)  # the logits
    assert_accounted(found, tmp_path / "folder")


@pytest.mark.parametrize(
    ("model_class", "entries", "left_out"),
    [
        (SEQUENCE, {"num_labels": 3, "classifier_proj_size": 8}, AROUND),
        (SEQUENCE, {"use_weighted_layer_sum": True}, {*AROUND, "layer_weights"}),
        ("Wav2Vec2ForSequenceClassification", {"classifier_proj_size": 8}, AROUND),
        ("Wav2Vec2ForPreTraining", {"codevector_dim": 8, "proj_codevector_dim": 8, "num_codevectors_per_group": 4},
         {"quantizer", "project_q", "project_hid"}),
    ],
)  # fmt: skip
def test_what_a_class_has_around_the_encoder_is_dropped_by_name(
    model_class: str, entries: dict[str, Any], left_out: set[str], tmp_path: Path
) -> None:
    made = model_of(TINY, model_class, **entries)
    folder = saved(made, tmp_path / "folder")
    found = port(folder)
    assert_accounted(found, folder)
    dropped = {entry.source: entry.reason for entry in found.ledger if entry.action == "dropped"}
    assert {str(name).partition(".")[0] for name in dropped} - {"hubert", "wav2vec2"} == left_out
    assert all(dropped.values())
    assert_computes(found, getattr(made, made.base_model_prefix))
    result = run("transformers2torchaudio", folder, "--out", tmp_path / "ports")
    assert result.exit_code == 0, result.output
    assert ("dropped" in result.output) is ("quantizer" not in left_out)  # what is of fine-tuning is remarked on


def test_the_projection_of_voice_conversion_becomes_a_head(tmp_path: Path) -> None:
    from transformers import HubertModel

    class HubertModelWithFinalProj(HubertModel):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.final_proj = torch.nn.Linear(config.hidden_size, config.classifier_proj_size)

    made = HubertModelWithFinalProj(model_of(TINY, classifier_proj_size=8).config).eval()
    folder = saved(made, tmp_path / "folder")
    checkpoint = read_checkpoint(folder)
    found = to_torchaudio(checkpoint)
    assert_computes(found, made)
    heads = heads_of(checkpoint, found.architecture)
    assert (heads.projections, heads.projected) == (1, 8)
    assert heads.tensors["final_proj.weight"].tobytes() == made.final_proj.weight.detach().numpy().tobytes()
    result = run("bundle", folder, "--out", tmp_path / "b", "--outputs", "layer.1.projection")
    assert result.exit_code == 0, result.output
    assert "heads" in read_bundle(tmp_path / "b").manifest.files


# --- how weights may be stored
@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    return saved(model, tmp_path / "folder")


@pytest.fixture
def expected(folder: Path) -> TorchaudioPort:
    return port(folder)


def assert_same(found: TorchaudioPort, expected: TorchaudioPort) -> None:
    assert found.config == expected.config
    for name, tensor in expected.state_dict.items():
        assert found.state_dict[name].tobytes() == tensor.tobytes(), name


def as_torch_saves(folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    """The same weights in the file that transformers wrote before safetensors."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin", **options)
    return tensors


def test_shards_that_transformers_wrote(model: Any, expected: TorchaudioPort, tmp_path: Path) -> None:
    sharded = saved(model, tmp_path / "sharded", max_shard_size="20KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    assert (sharded / "model.safetensors.index.json").is_file()
    assert_same(port(sharded), expected)
    assert_accounted(port(sharded), sharded)
    result = run("bundle", sharded, "--out", tmp_path / "b")
    assert result.exit_code == 0, result.output
    size = sum(path.stat().st_size for path in sharded.iterdir())
    assert read_bundle(tmp_path / "b").manifest.source.size == size


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_weights_as_torch_saves_them(layout: str, expected: TorchaudioPort, folder: Path) -> None:
    as_torch_saves(folder, _use_new_zipfile_serialization=layout == "zip")
    assert sorted(os.listdir(folder)) == ["config.json", "preprocessor_config.json", "pytorch_model.bin"]
    assert_same(port(folder), expected)


def test_shards_as_torch_saves_them(expected: TorchaudioPort, folder: Path) -> None:
    tensors = as_torch_saves(folder)
    (folder / "pytorch_model.bin").unlink()
    names = list(tensors)
    halves = {"pytorch_model-00001-of-00002.bin": names[:20], "pytorch_model-00002-of-00002.bin": names[20:]}
    for file, part in halves.items():
        torch.save({name: tensors[name] for name in part}, folder / file)
    listed = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {"total_size": 1}, "weight_map": listed}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert_same(port(folder), expected)


def test_safetensors_go_before_what_torch_saved(expected: TorchaudioPort, folder: Path) -> None:
    """As for transformers: files of both kinds are in many repositories of the Hub."""
    (folder / "pytorch_model.bin").write_bytes(b"never looked at")
    assert_same(port(folder), expected)


@pytest.mark.parametrize("part", ["all", "one"])
def test_the_older_spelling_of_the_weight_norm(part: str, expected: TorchaudioPort, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    new = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    for spelled, old in zip(new, ("weight_g", "weight_v"), strict=True):
        if part == "one" and old == "weight_v":
            continue
        name = f"encoder.pos_conv_embed.conv.{spelled}"
        tensors[name.replace(spelled, old)] = tensors.pop(name)
    save_file(tensors, folder / "model.safetensors")
    assert_same(port(folder), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("stored", ["safetensors", "torch"])
def test_other_precisions_are_widened_exactly(stored: str, dtype: torch.dtype, folder: Path) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors")
    if stored == "torch":
        as_torch_saves(folder)
    found = port(folder)
    wide = tensors["encoder.layers.0.feed_forward.intermediate_dense.weight"].float().numpy()
    name = "encoder.transformer.layers.0.feed_forward.intermediate_dense.weight"
    assert found.state_dict[name].tobytes() == wide.tobytes()
    assert {entry.dtype for entry in found.ledger} == {str(dtype).removeprefix("torch.")}


def test_settings_that_are_the_defaults_may_be_missing(expected: TorchaudioPort, folder: Path) -> None:
    """As in files of transformers before version 5, which wrote what was not the default alone."""
    defaults = {"hidden_act", "layer_norm_eps", "attention_dropout", "conv_bias", "do_stable_layer_norm", "layerdrop"}
    edit(folder / "config.json", dict.fromkeys((*defaults, "feat_extract_norm", "architectures", "dtype")))
    found = port(folder)
    assert found.state_dict.keys() == expected.state_dict.keys()
    assert dataclasses.replace(expected.config, encoder_layer_drop=0.1) == found.config
    assert found.architecture.model_class == "HubertModel"


# --- what is no such model's
def change(folder: Path, edits: dict[str, torch.Tensor | None]) -> None:
    tensors: dict[str, Any] = load_file(folder / "model.safetensors") | edits
    save_file({name: t for name, t in tensors.items() if t is not None}, folder / "model.safetensors")


NORM = "encoder.layer_norm.weight"


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ({"adapter.x": torch.ones(3)}, "unknown adapter.x [3]"),
        ({"\x1b[31m": torch.ones(3)}, "unknown "),
        ({"lm_head.weight": torch.ones(3, 24)}, "unknown lm_head.weight [3, 24]"),
        ({NORM: None}, f"missing {NORM}"),
        ({NORM: torch.ones(25)}, f"{NORM} has shape [25], expected [24]"),
        ({NORM: torch.ones(24, dtype=torch.int64)}, f"{NORM} is int64, expected floating point"),
        ({NORM: torch.ones(24, dtype=torch.bool)}, f"{NORM} is bool, expected floating point"),
        ({"masked_spec_embed": torch.ones(23)}, "masked_spec_embed has shape [23], expected [24]"),
        ({"final_proj.weight": torch.ones(8, 23)}, "final_proj.weight has shape [8, 23], expected ['any', 24]"),
        ({NORM: torch.full((24,), float("nan"))}, f"{NORM} holds 24 values that are NaN or infinite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_of_another_model_are_refused(
    edits: dict[str, torch.Tensor | None], told: str, folder: Path, tmp_path: Path
) -> None:
    change(folder, edits)
    result = run("bundle", folder, "--out", tmp_path / "b")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output
    assert told in result.output
    assert result.output.rstrip("\n").isprintable()
    assert not (tmp_path / "b").exists()


def test_weights_that_are_no_numbers_convert_where_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    change(folder, {NORM: torch.full((24,), float("nan"))})
    result = run("transformers2torchaudio", folder, "--out", tmp_path / "ports", "--allow-non-finite")
    assert result.exit_code == 0, result.output


def test_many_layers_are_refused_before_their_names_are_made(folder: Path) -> None:
    edit(folder / "config.json", {"num_hidden_layers": 10**6})
    with pytest.raises(InputError) as raised:
        port(folder)
    assert len(raised.value.problems) == 1
    edit(folder / "config.json", {"num_hidden_layers": 13})
    with pytest.raises(InputError, match="the config says 13 layers, the file has not their tensors"):
        port(folder)


def test_the_head_of_a_model_for_ctc_is_needed(tmp_path: Path) -> None:
    folder = saved(model_of(dataclasses.replace(TINY, aux_num_out=7), "HubertForCTC"), tmp_path / "folder")
    change(folder, {"lm_head.bias": None})
    with pytest.raises(InputError, match=r"missing lm_head\.bias"):
        port(folder)
