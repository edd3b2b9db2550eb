"""Files that people have: each converts to what the trainer's own file converts to, or is told by name."""

from __future__ import annotations

import dataclasses
import filecmp
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from tests.support import peoples_files
from tests.support.fairseq_models import Original, Variant, build
from tests.support.peoples_files import ALONE, saved

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.bundle import read_bundle
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main as convert
from aves_convert.conversion.request import Source
from aves_convert.weights.to_torchaudio import TorchaudioPort, to_torchaudio
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.backends.fairseq_import import import_hubert
from aves_verify.cli import main as verify

pytestmark = pytest.mark.slow

CONVOLUTIONS = "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2"  # the hop of AVES, which keeps the verifier's signals short
VARIANTS = {
    "HuBERT": Variant(model={"conv_feature_layers": CONVOLUTIONS}, labels=(20, 30)),
    "pre-norm": Variant(
        model={
            "conv_feature_layers": CONVOLUTIONS,
            "extractor_mode": "layer_norm",
            "layer_norm_first": True,
            "conv_bias": True,
            "untie_final_proj": True,
            "target_glu": True,
            "encoder_attention_heads": 2,
        },
        task={"normalize": True},
        labels=(20, 30),
    ),
    "wav2vec 2.0": Variant(
        "wav2vec2", model={"conv_feature_layers": CONVOLUTIONS, "quantize_targets": True, "quantizer_depth": 2}
    ),
    "no projection": Variant(model={"encoder_embed_dim": 8, "encoder_attention_heads": 2, "conv_pos_groups": 2}),
}


@dataclasses.dataclass(frozen=True)
class Made:
    original: Original
    path: Path

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        return self.original.state["model"]  # type: ignore[no-any-return]

    def port(self) -> TorchaudioPort:
        return to_torchaudio(read_checkpoint(self.path))


@pytest.fixture(scope="module", params=VARIANTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    original = build(VARIANTS[request.param], folder)
    return Made(original, saved(original.state, folder / "original.pt"))


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("hubert")
    original = build(VARIANTS["HuBERT"], folder)
    return Made(original, saved(original.state, folder / "original.pt"))


@pytest.fixture(scope="module")
def contentvec(hubert: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    contents = peoples_files.contentvec(hubert.original)
    return saved(contents, tmp_path_factory.mktemp("contentvec") / "contentvec.pt")


def waveform() -> torch.Tensor:
    return torch.randn(2, 6_000, generator=torch.Generator().manual_seed(0))


def assert_same(port: TorchaudioPort, expected: TorchaudioPort, *, half: bool = False) -> None:
    assert port.config == expected.config
    assert (port.architecture.normalize, port.architecture.sample_rate) == (
        expected.architecture.normalize,
        expected.architecture.sample_rate,
    )
    assert list(port.state_dict) == list(expected.state_dict)
    for name, values in expected.state_dict.items():
        wanted = values.astype(np.float16).astype(np.float32) if half else values
        np.testing.assert_array_equal(port.state_dict[name], wanted)


@pytest.mark.parametrize("form", ALONE)
def test_weights_alone_with_the_settings_of_their_checkpoint(form: str, made: Made, tmp_path: Path) -> None:
    path = saved(ALONE[form](made.weights), tmp_path / "x.pt")
    checkpoint = read_checkpoint(path, made.path)
    port = to_torchaudio(checkpoint)
    assert_same(port, made.port(), half=form == "half precision")
    assert {entry.source for entry in port.ledger if entry.source} == set(checkpoint.tensors)

    given = FairseqBackend(checkpoint).run(waveform().numpy())
    original = made.original.rounded_to(torch.float16) if form == "half precision" else made.original
    np.testing.assert_array_equal(given["final"], original.embeddings(waveform()).numpy())


@pytest.mark.parametrize("form", ALONE)
def test_without_settings_they_are_told_and_not_guessed(form: str, hubert: Made, tmp_path: Path) -> None:
    path = saved(ALONE[form](hubert.weights), tmp_path / "x.pt")
    with pytest.raises(InputError, match="the tensors tell 7 convolutions with a group norm, 2 layers of 16") as caught:
        to_torchaudio(read_checkpoint(path))
    (line,) = caught.value.lines({"pretrained": "--pretrained", "geometry": "--geometry"}.get)
    assert "they do not tell the strides of its convolutions, the heads of its attention" in line
    assert "with --pretrained" in line
    assert "with --geometry" in line


@pytest.mark.parametrize("model_class", ["hubert_ctc", "wav2vec_ctc"])
def test_a_fine_tuned_model_alone(model_class: str, tmp_path: Path) -> None:
    variant = Variant(model_class, model={"layer_norm_first": True}, task={"normalize": True})
    original = build(variant, tmp_path)  # the pretrained one is there too
    whole = saved(original.state, tmp_path / "whole.pt")
    for form, contents in {
        "alone": dict(original.state["model"]),
        "Lightning": peoples_files.lightning(original.state["model"], "model."),
    }.items():
        path = saved(contents, tmp_path / f"{form}.pt")
        for settings in (whole, tmp_path / "pretrained.pt"):
            checkpoint = read_checkpoint(path, settings)
            port = to_torchaudio(checkpoint)
            assert port.architecture.model_class == model_class
            for name, values in to_torchaudio(read_checkpoint(whole)).state_dict.items():
                np.testing.assert_array_equal(port.state_dict[name], values)
            given = FairseqBackend(checkpoint).run(waveform().numpy())
            np.testing.assert_array_equal(given["logits"], original.logits(waveform()).numpy())


def test_what_s3prl_converted(made: Made, tmp_path: Path) -> None:
    path = saved(peoples_files.s3prl(made.original.state), tmp_path / "x.pt")
    checkpoint, whole = read_checkpoint(path), read_checkpoint(made.path)
    assert (checkpoint.kind, checkpoint.dictionaries) == ("s3prl checkpoint", whole.dictionaries)
    assert_same(to_torchaudio(checkpoint), made.port())
    given = FairseqBackend(checkpoint).run(waveform().numpy())
    np.testing.assert_array_equal(given["final"], made.original.embeddings(waveform()).numpy())


@pytest.mark.parametrize("missing", ["task_cfg", "model_weight", "model_cfg"])
def test_what_s3prl_would_not_load_either(missing: str, hubert: Made, tmp_path: Path) -> None:
    """Without the task's settings nobody knows whether the waveform is normalised: that is not guessed."""
    contents = {name: part for name, part in peoples_files.s3prl(hubert.original.state).items() if name != missing}
    refused = run("bundle", saved(contents, tmp_path / "x.pt"), "--out", tmp_path / "ports")
    assert refused.exit_code == 2
    told = "it has no settings in task_cfg" if missing == "task_cfg" else "no fairseq checkpoint"
    assert told in refused.output


def test_contentvec_as_its_trainer_writes_it(contentvec: Path, hubert: Made) -> None:
    checkpoint = read_checkpoint(contentvec)
    port = to_torchaudio(checkpoint)
    assert_same(port, hubert.port())
    assert port.architecture.model_class == "contentvec"
    dropped = {entry.source: entry.reason for entry in port.ledger if entry.action == "dropped"}
    assert {name for name, rule in port.architecture.dropped.items() if rule.foreign} == set(checkpoint.tensors) - set(
        hubert.weights
    )
    assert "contrastive" in dropped["layer_proj.weight"]
    assert all("conditioned on the speaker" in dropped[f"encoder.layers.{layer}.fc1.weight"] for layer in (2, 3, 4))
    assert "speaker" in dropped["encoder.cond_layer_norm.bias_ln.weight"]

    given = FairseqBackend(checkpoint).run(waveform().numpy(), layers=True)
    np.testing.assert_array_equal(given["final"], hubert.original.embeddings(waveform()).numpy())


def test_contentvecs_legacy_file(contentvec: Path, hubert: Made, tmp_path: Path) -> None:
    contents = peoples_files.legacy_contentvec(torch.load(contentvec, weights_only=False))
    assert set(contents["model"]) == set(hubert.weights)
    assert_same(to_torchaudio(read_checkpoint(saved(contents, tmp_path / "x.pt"))), hubert.port())


def test_contentvec_that_lost_its_name(contentvec: Path, hubert: Made, tmp_path: Path) -> None:
    path = changed(contentvec, tmp_path / "x.pt", _name=None)
    assert_same(to_torchaudio(read_checkpoint(path)), hubert.port())


def changed(path: Path, out: Path, **model: Any) -> Path:
    contents = torch.load(path, weights_only=False)
    contents["cfg"]["model"] |= model
    return saved(contents, out)


def test_contentvecs_norm_of_real_frames(contentvec: Path, hubert: Made, tmp_path: Path) -> None:
    """Its ``GroupNormMasked`` leaves padded frames out of the mean and the variance; here nothing is padded."""
    path = changed(contentvec, tmp_path / "x.pt", extractor_mode="group_norm_masked")
    assert_same(to_torchaudio(read_checkpoint(path)), hubert.port())
    contents = {**hubert.original.state}
    contents["cfg"] = {**contents["cfg"], "model": {**contents["cfg"]["model"], "extractor_mode": "group_norm_masked"}}
    with pytest.raises(InputError, match="extractor_mode is 'group_norm_masked'"):  # HuBERT has no such norm
        to_torchaudio(read_checkpoint(saved(contents, tmp_path / "y.pt")))


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"layer_norm_first": True}, "a final norm conditioned on the speaker (encoder_layers_1=3)"),
        ({"encoder_layers_1": 2}, "unknown encoder.layers.4.self_attn.k_proj.weight"),
        ({"encoder_layers_1": 4}, "missing encoder.layers.5.fc1.weight"),
        ({"encoder_layers_1": 10**9}, "encoder_layers_1 is 1000000000, expected a number from 0 to 1000"),
        ({"encoder_layers_1": -1}, "encoder_layers_1 is -1, expected a number from 0 to 1000"),
        ({"encoder_layers_1": True}, "encoder_layers_1 is True, expected int"),
        ({"encoder_layers": 5, "encoder_layers_1": 0}, "missing encoder.layers.2.self_attn_layer_norm.weight"),
    ],
)
def test_contentvec_that_does_not_convert(
    entries: dict[str, Any], problem: str, contentvec: Path, tmp_path: Path
) -> None:
    path = changed(contentvec, tmp_path / "x.pt", **entries)
    with pytest.raises(InputError) as caught:
        to_torchaudio(read_checkpoint(path))
    assert problem in "\n".join(caught.value.problems)


def test_contentvecs_weights_alone(contentvec: Path, hubert: Made, tmp_path: Path) -> None:
    weights = torch.load(contentvec, weights_only=False)["model"]
    path = saved({"model": weights}, tmp_path / "x.pt")
    for settings in (contentvec, hubert.path):
        checkpoint = read_checkpoint(path, settings)
        assert_same(to_torchaudio(checkpoint), hubert.port())
        given = FairseqBackend(checkpoint).run(waveform().numpy())
        np.testing.assert_array_equal(given["final"], hubert.original.embeddings(waveform()).numpy())


def run(*words: object) -> Result:
    return CliRunner().invoke(convert, [str(word) for word in words])


def test_contentvec_from_file_to_report(contentvec: Path, tmp_path: Path) -> None:
    told = json.loads(run("inspect", contentvec, "--json").stdout)["facts"]
    assert (told["model_class"], told["converts"], told["layers"]) == ("contentvec", True, 2)
    assert "contrastive" in told["dropped"]["layer_proj.weight"]
    done = run("bundle", contentvec, "--out", tmp_path / "ports")
    assert done.exit_code == 0, done.output
    assert "dropped layer_proj.weight, layer_proj.bias: projection of ContentVec's contrastive loss" in done.stderr
    assert "and 45 more: of ContentVec's layers behind the encoder's, whose norms are conditioned on" in done.stderr
    assert "and 44 more)" in done.stdout
    ledger = {entry.source: entry for entry in read_bundle(tmp_path / "ports").manifest.ledger}
    assert "contrastive" in ledger["layer_proj.bias"].reason
    verified = CliRunner().invoke(
        verify, ["--bundle", str(tmp_path / "ports"), "--fairseq", str(contentvec), "--seed", "1"]
    )
    assert verified.exit_code == 0, verified.output


def test_a_lightning_file_from_inspection_to_report(hubert: Made, tmp_path: Path) -> None:
    path = saved(peoples_files.lightning(hubert.weights, "model."), tmp_path / "x.ckpt")
    found = json.loads(run("inspect", path, "--json").stdout)
    assert (found["kind"], found["usable"], found["facts"]["prefix"]) == ("fairseq state dict", True, "model.")
    assert found["facts"]["sizes_that_fit"] == []
    assert found["next"].startswith(f"aves-convert bundle {path} --pretrained CKPT")
    assert run("bundle", path, "--out", tmp_path / "ports").exit_code == 2
    done = run("bundle", path, "--out", tmp_path / "ports", "--pretrained", hubert.path)
    assert done.exit_code == 0, done.output
    assert "the tensors tell 7 convolutions" in done.stderr
    assert f"{hubert.path} says strides of [5, 2, 2, 2, 2, 2, 2], 4 heads, post-norm" in done.stderr
    assert "dropped classifier.weight, classifier.bias: of the model around the encoder" in done.stderr
    command = done.stdout.splitlines()[-1].removeprefix("next: aves-verify ").split()
    verified = CliRunner().invoke(verify, [*command, "--seed", "1"])
    assert verified.exit_code == 0, verified.output
    again = CliRunner().invoke(verify, [str(path), "--pretrained", str(hubert.path), "--seed", "1"])
    assert again.exit_code == 0, again.output
    assert CliRunner().invoke(verify, [str(path)]).exit_code == 2


def test_a_file_with_settings_needs_none(hubert: Made, contentvec: Path, tmp_path: Path) -> None:
    other = saved(peoples_files.s3prl(hubert.original.state), tmp_path / "x.pt")
    for path in (hubert.path, contentvec, other):
        for words in (("--pretrained", hubert.path), ("--geometry", "base")):
            refused = run("bundle", path, "--out", tmp_path / "ports", *words)
            assert refused.exit_code == 2
            assert f"leave {words[0]} out" in refused.output
    path = saved({"model": dict(hubert.weights)}, tmp_path / "y.pt")
    told = json.loads(run("inspect", path, "--json").stdout)["facts"]["model_class"]
    assert told == "hubert"
    refused = run("bundle", path, "--out", tmp_path, "--pretrained", hubert.path, "--geometry", "base")
    assert refused.exit_code == 2
    assert "settings from two places; give --pretrained or --geometry" in refused.output


def test_the_settings_of_another_checkpoint(hubert: Made, made: Made, tmp_path: Path) -> None:
    path = saved(dict(hubert.weights), tmp_path / "x.pt")
    with pytest.raises(InputError) as caught:
        read_checkpoint(path, saved({**made.original.state, "cfg": None}, tmp_path / "bare.pt"))
    if made.original.cfg.model._name == "wav2vec2":
        with pytest.raises(InputError, match=r"weights of a hubert model, .* is of a wav2vec2; expected"):
            read_checkpoint(path, made.path)
    assert "weights without their settings" in str(caught.value)


def test_weights_do_not_go_back_into_what_has_no_settings(hubert: Made, tmp_path: Path) -> None:
    run("fairseq2torchaudio", hubert.path, "--out", tmp_path, "--name", "x")
    weights, config = tmp_path / "x.torchaudio.pt", tmp_path / "x.torchaudio.model_config.json"
    for contents, kind in (
        (dict(hubert.weights), "(fairseq state dict)"),
        (peoples_files.s3prl(hubert.original.state), "(s3prl checkpoint)"),
    ):
        like = saved(contents, tmp_path / "like.pt")
        done = run("torchaudio2fairseq", weights, "--config", config, "--like", like, "--out", tmp_path / "back.pt")
        assert done.exit_code == 2
        assert f"{kind}, expected a checkpoint as fairseq's trainer writes it" in done.output


def test_contentvec_goes_back(contentvec: Path, tmp_path: Path) -> None:
    run("fairseq2torchaudio", contentvec, "--out", tmp_path, "--name", "x")
    weights, config = tmp_path / "x.torchaudio.pt", tmp_path / "x.torchaudio.model_config.json"
    back = tmp_path / "back.pt"
    done = run("torchaudio2fairseq", weights, "--config", config, "--like", contentvec, "--out", back)
    assert done.exit_code == 0, done.output
    returned, original = (torch.load(path, weights_only=False)["model"] for path in (back, contentvec))
    assert list(returned) == list(original)
    assert all(torch.equal(returned[name], value) for name, value in original.items())


@pytest.mark.full_size
def test_a_base_model_alone_is_the_whole_file_byte_for_byte(tmp_path: Path) -> None:
    import_hubert()  # the file has a Dictionary of fairseq's
    whole = Source.stand_in("bio", tmp_path / "whole.pt").path
    alone = saved({"model": torch.load(whole, weights_only=False)["model"]}, tmp_path / "alone.pt")
    for path, words in ((whole, ()), (alone, ("--geometry", "base"))):
        done = run("fairseq2torchaudio", path, "--out", tmp_path / path.stem, "--name", "x", *words)
        assert done.exit_code == 0, done.output
    names = ["x.torchaudio.model_config.json", "x.torchaudio.pt"]
    assert filecmp.cmpfiles(tmp_path / "whole", tmp_path / "alone", names, shallow=False) == (names, [], [])
