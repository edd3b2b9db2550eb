"""Fine-tuned files without the encoder's config, as fairseq 0.12.2 writes them, and the checkpoint that has it."""

import copy
import dataclasses
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from tests.support.fairseq_models import Original, Variant, build

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_record import sha256_of
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.pretrained import with_pretrained_settings
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.cli import main as convert
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.backends.fairseq_hubert import FairseqBackend
from aves_verify.cli import main as verify

pytestmark = pytest.mark.slow

# As many samples to a frame as AVES has, which keeps the verifier's signals short; heads show in no shape.
ENTRIES = {
    "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
    "layer_norm_first": True,
    "encoder_attention_heads": 2,
    "encoder_layerdrop": 0.2,
    "dropout": 0.3,
}
MODELS = {"hubert": "hubert_ctc", "wav2vec2": "wav2vec_ctc"}


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model that fairseq built and saved, and the checkpoint that it read for it."""

    original: Original
    path: Path
    pretrained: Path

    def saved_with(self, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
        """The file once more, with other settings."""
        state = copy.deepcopy(torch.load(self.path, weights_only=False))
        change(state["cfg"])
        torch.save(state, path)
        return path


@pytest.fixture(scope="module", params=MODELS)
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    folder = tmp_path_factory.mktemp("tuned")
    original = build(Variant(MODELS[request.param], model=ENTRIES, task={"normalize": True}), folder)
    state = copy.deepcopy(original.state)
    # what fairseq's trainer would write: of HubertCtc without the encoder's config, of Wav2VecCtc with it
    assert (original.cfg.model.w2v_args is None) == (request.param == "hubert")
    state["cfg"]["model"]["w2v_args"] = None
    torch.save(state, folder / "tuned.pt")
    return FineTuned(original, folder / "tuned.pt", folder / "pretrained.pt")


def test_the_result_is_that_of_a_file_with_the_settings(tuned: FineTuned, tmp_path: Path) -> None:
    torch.save(tuned.original.state, tmp_path / "complete.pt")
    expected = to_torchaudio(read_checkpoint(tmp_path / "complete.pt"))

    checkpoint = read_checkpoint(tuned.path, tuned.pretrained)
    converted = to_torchaudio(checkpoint)

    assert checkpoint.pretrained == tuned.pretrained
    assert converted.architecture == expected.architecture
    assert converted.config.encoder_layer_norm_first
    assert converted.config.encoder_num_heads == 2
    assert list(converted.state_dict) == list(expected.state_dict)
    assert all(np.array_equal(converted.state_dict[name], x) for name, x in expected.state_dict.items())


def test_fine_tuning_sets_dropout_anew(tuned: FineTuned, tmp_path: Path) -> None:
    def change(cfg: dict[str, Any]) -> None:
        cfg["model"] |= {"layerdrop": 0.05, "dropout": 0.0, "attention_dropout": 0.25}

    config = to_torchaudio(read_checkpoint(tuned.saved_with(tmp_path / "x.pt", change), tuned.pretrained)).config

    assert (config.encoder_layer_drop, config.encoder_dropout, config.encoder_attention_dropout) == (0.05, 0.0, 0.25)


def test_fairseqs_model_is_built_from_it(tuned: FineTuned) -> None:
    waveform = torch.randn(2, 4_000, generator=torch.Generator().manual_seed(0))
    given = FairseqBackend(read_checkpoint(tuned.path, tuned.pretrained)).run(waveform.numpy())
    np.testing.assert_array_equal(given["final"], tuned.original.embeddings(waveform).numpy())
    np.testing.assert_array_equal(given["logits"], tuned.original.logits(waveform).numpy())


def test_a_path_in_the_file_is_told_and_not_opened(tuned: FineTuned) -> None:
    """The file's w2v_path is right and the checkpoint is there."""
    assert tuned.original.state["cfg"]["model"]["w2v_path"] == str(tuned.pretrained)
    assert tuned.pretrained.is_file()
    with pytest.raises(InputError, match=r"w2v_path='.*pretrained\.pt'.*name that one with `pretrained`") as caught:
        to_torchaudio(read_checkpoint(tuned.path, None))
    assert "\n" not in str(caught.value)


def test_a_long_or_unprintable_path_is_cut_and_escaped(tuned: FineTuned, tmp_path: Path) -> None:
    path = tuned.saved_with(tmp_path / "x.pt", lambda cfg: cfg["model"].update(w2v_path="a\n\x1b\u202e" + "b" * 10_000))
    with pytest.raises(InputError, match="name that one with `pretrained`") as caught:
        to_torchaudio(read_checkpoint(path))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"encoder_ffn_embed_dim": 48}, r"encoder\.layers\.0\.fc1\.weight has shape \[32, 16\], expected \[48, 16\]"),
        ({"encoder_layers": 3}, r"missing w2v_encoder\.w2v_model\.encoder\.layers\.2\."),
        ({"encoder_layers": 1}, r"unknown w2v_encoder\.w2v_model\.encoder\.layers\.1\."),
        ({"conv_pos": 16}, r"pos_conv\.0\.weight_v has shape \[16, 4, 8\], expected \[16, 4, 16\]"),
        ({"conv_feature_layers": "[(8,10,5)] * 7"}, r"conv_layers\.1\.0\.weight has shape \[8, 8, 3\], expected"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_geometry_is_refused_with_what_does_not_fit(
    tuned: FineTuned, tmp_path: Path, entries: dict[str, Any], problem: str
) -> None:
    state = torch.load(tuned.pretrained, weights_only=False)
    state["cfg"]["model"] |= entries
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(InputError, match=rf"tuned\.pt: .*with the config of .*other\.pt: .*{problem}"):
        to_torchaudio(read_checkpoint(tuned.path, tmp_path / "other.pt"))


def changed(checkpoint: Checkpoint, **entries: Any) -> Checkpoint:
    return dataclasses.replace(checkpoint, model_config={**checkpoint.model_config, **entries})


def test_what_it_was_not_fine_tuned_from_is_refused(tuned: FineTuned) -> None:
    checkpoint, pretrained = read_checkpoint(tuned.path), read_checkpoint(tuned.pretrained)
    own = pretrained.model_config["_name"]
    other = {"hubert": "wav2vec2", "wav2vec2": "hubert"}[own]
    with pytest.raises(InputError, match=f"model {other}, expected the {own} that .*tuned.pt was fine-tuned from"):
        with_pretrained_settings(checkpoint, changed(pretrained, _name=other))
    with pytest.raises(InputError, match=f"model {MODELS[own]}, expected the {own} that"):
        with_pretrained_settings(checkpoint, checkpoint)
    quiet = dataclasses.replace(pretrained, task_config={**pretrained.task_config, "normalize": False})
    with pytest.raises(InputError, match=r"task\.normalize is False, that of .*tuned\.pt is True"):
        with_pretrained_settings(checkpoint, quiet)


def test_a_checkpoint_that_needs_no_settings_is_told(tuned: FineTuned, tmp_path: Path) -> None:
    torch.save(tuned.original.state, tmp_path / "complete.pt")
    for path in (tmp_path / "complete.pt", tuned.pretrained):
        with pytest.raises(InputError, match="leave `pretrained` out"):
            read_checkpoint(path, tuned.pretrained)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(convert, [str(argument) for argument in arguments])


def test_from_the_bundle_to_the_verdict_and_back(tuned: FineTuned, tmp_path: Path) -> None:
    refused = run("bundle", tuned.path, "--out", tmp_path / "ports")
    assert refused.exit_code == 2
    assert "name that one with --pretrained" in refused.output

    made = run("bundle", tuned.path, "--out", tmp_path / "ports", "--pretrained", tuned.pretrained)
    assert made.exit_code == 0, made.output
    recorded = json.loads((tmp_path / "ports" / "manifest.json").read_text())["source"]["pretrained"]
    assert (recorded["name"], recorded["sha256"]) == ("pretrained.pt", sha256_of(tuned.pretrained))

    command = shlex.split(made.output.splitlines()[-1].removeprefix("next: "))
    assert command[0] == "aves-verify"
    verdict = CliRunner().invoke(verify, command[1:])
    assert verdict.exit_code == 0, verdict.output
    assert CliRunner().invoke(verify, command[1:-2]).exit_code == 2  # without --pretrained

    weights, config = (
        tmp_path / "ports" / "tuned.torchaudio.pt",
        tmp_path / "ports" / "tuned.torchaudio.model_config.json",
    )
    files = ("--config", config, "--like", tuned.path, "--out", tmp_path / "back.pt")
    back = run("torchaudio2fairseq", weights, *files, "--pretrained", tuned.pretrained)
    assert back.exit_code == 0, back.output
    returned = torch.load(tmp_path / "back.pt", weights_only=False)["model"]
    assert list(returned) == list(tuned.original.state["model"])
    assert all(torch.equal(returned[name], x) for name, x in tuned.original.state["model"].items())


def test_the_other_commands_take_it_too(tuned: FineTuned, tmp_path: Path) -> None:
    for command, out in (("fairseq2torchaudio", tmp_path / "ports"), ("fairseq2onnx", tmp_path / "x.onnx")):
        assert run(command, tuned.path, "--out", out).exit_code == 2
        done = run(command, tuned.path, "--out", out, "--pretrained", tuned.pretrained)
        assert done.exit_code == 0, done.output


def test_the_verifier_takes_it_only_beside_the_original(tuned: FineTuned, tmp_path: Path) -> None:
    result = CliRunner().invoke(verify, ["--bundle", str(tmp_path), "--pretrained", str(tuned.pretrained)])
    assert result.exit_code == 2
    assert "--pretrained goes with --fairseq" in result.output
