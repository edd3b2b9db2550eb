"""A folder is opened whole, or refused in one line that says what it is, what is missing, or what is damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import invoke
from tests.support.transformers_folders import edit

from aves_artifacts.base.errors import InputError
from aves_convert.cli import main
from aves_convert.hugging_face.folder import is_folder, open_folder

CONVOLUTIONS = {"conv_dim": [16] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2]}


def test_a_folder_is_opened_without_reading_or_running_anything(folder: Path) -> None:
    found = open_folder(folder)
    assert (found.config.model_type, found.config.model_class) == ("hubert", "HubertModel")
    assert (found.preprocessor.normalize, found.preprocessor.sample_rate) == (False, 16_000)
    assert len(found.tensors) == 51
    assert is_folder(folder)


# --- settings
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "wavlm"}, "WavLM, whose attention has gated relative positions"),
        ({"model_type": "data2vec-audio"}, "data2vec"),
        ({"model_type": "unispeech-sat"}, "UniSpeech-SAT"),
        ({"model_type": "sew"}, "SEW"),
        ({"model_type": "whisper"}, "Whisper"),
        ({"model_type": "bert"}, "a model of type 'bert'; expected one of hubert, wav2vec2"),
        ({"model_type": None}, "a model of type None"),
        ({"architectures": ["HubertForXVector"]}, "a model of class 'HubertForXVector'"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "code of its own, which is not run"),
        ({"adapter_attn_dim": 16, "model_type": "wav2vec2", "architectures": ["Wav2Vec2ForCTC"]}, "as MMS has"),
        ({"feat_proj_layer_norm": False}, "as DistilHuBERT"),
        ({"layer_norm_eps": 1e-12}, "norms with another epsilon (layer_norm_eps 1e-12)"),
        ({"hidden_act": "relu"}, "another activation in its feed-forward layers"),
        ({"feat_extract_activation": "silu"}, "another activation after its convolutions"),
        ({"conv_pos_batch_norm": True}, "a batch-norm positional convolution"),
        ({"add_adapter": True}, "an adapter behind its encoder"),
        ({"quantization_config": {"bits": 4}}, "quantised weights"),
        ({"num_feat_extract_layers": 6}, "num_feat_extract_layers 6"),
        (CONVOLUTIONS, "its convolutions are counted differently"),
        ({"conv_dim": []}, "conv_dim is [...], expected a list of 1 to 64 numbers"),
        ({"conv_dim": [16] * 10_000}, "conv_dim is [...], expected a list of 1 to 64 numbers"),
        ({"hidden_size": 10**400}, "is too large a number"),
        ({"hidden_size": 2**40, "num_attention_heads": 1}, "encoder_embed_dim"),
        ({"num_hidden_layers": 10**9}, "encoder_num_layers"),
        ({"num_attention_heads": 5}, "encoder_embed_dim"),
        ({"hidden_dropout": "\x1b[31m"}, "encoder_dropout"),
        ({"feat_extract_norm": "batch"}, "feat_extract_norm is 'batch'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_another_model_is_named(changes: dict[str, Any], told: str, folder: Path, tmp_path: Path) -> None:
    edit(folder / "config.json", changes)
    result = invoke(main, "transformers2torchaudio", folder, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    lines = result.output.splitlines()
    assert len(lines) == 1
    assert told in lines[0]
    assert lines[0].isprintable()
    assert len(lines[0]) < 600
    assert not (tmp_path / "out").exists()


def test_every_difference_is_told_at_once(folder: Path) -> None:
    edit(folder / "config.json", {"hidden_act": "relu", "layer_norm_eps": 1e-6, "add_adapter": True})
    with pytest.raises(InputError) as raised:
        open_folder(folder)
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"do_normalize": "yes"}, "do_normalize is 'yes', expected true or false"),
        ({"sampling_rate": 0}, "sampling_rate is 0"),
        ({"feature_extractor_type": "WhisperFeatureExtractor"}, "another input than waveforms"),
        ({"feature_size": 80}, "another input than waveforms"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_another_way_to_prepare_waveforms_is_refused(changes: dict[str, Any], told: str, folder: Path) -> None:
    edit(folder / "preprocessor_config.json", changes)
    with pytest.raises(InputError, match=r"preprocessor_config\.json: ") as raised:
        open_folder(folder)
    assert told in str(raised.value)


HOSTILE_JSON: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"model: hubert",
    "a list": b"[]",
    "truncated": b'{"model_type": "hubert"',
    "a name twice": b'{"model_type": "hubert", "model_type": "wavlm"}',
    "deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "long number": b'{"hidden_size": ' + b"9" * 5000 + b"}",
    "no UTF-8": b'{"model_type": "\xff"}',
    "NaN": b'{"model_type": "hubert", "layer_norm_eps": NaN}',
    "large": b'{"a": "' + b" " * (1 << 20) + b'"}',
}


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_damaged_settings_are_one_line(content: bytes, file: str, folder: Path) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(InputError, match=file) as raised:
        open_folder(folder)
    assert len(raised.value.problems) == 1
    assert str(raised.value).isprintable()


# --- files
def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [fifo, loop, directory, Path.unlink])
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
@pytest.mark.parametrize("command", ["transformers2torchaudio", "bundle"])
def test_what_is_no_file_is_not_waited_for(
    command: str, file: str, change: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    change(folder / file)
    result = invoke(main, command, folder, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert len(result.output.splitlines()) == 1
    assert ("no weights" if file == "model.safetensors" else file) in result.output
    assert not (tmp_path / "out").exists()


def test_what_says_how_to_prepare_waveforms_is_not_guessed(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r'preprocessor_config\.json is missing.*\{"do_normalize": false\}'):
        open_folder(folder)
    (folder / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert open_folder(folder).preprocessor.normalize is False


@pytest.mark.parametrize(
    "command", ["transformers2torchaudio", "bundle", "fairseq2torchaudio", "fairseq2transformers", "fairseq2onnx"]
)
def test_a_folder_of_something_else_is_one_line(command: str, tiny_bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given, told in ((tmp_path / "empty", "a folder without config.json"), (tiny_bundle.folder, "a bundle")):
        result = invoke(main, command, given, "--out", tmp_path / "out")
        assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output
        assert told in result.output
        assert not (tmp_path / "out").exists()


def test_no_folder_is_one_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for given in (tiny_checkpoint, tmp_path / "gone"):
        result = invoke(main, "transformers2torchaudio", given, "--out", tmp_path / "out")
        assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output
    with pytest.raises(InputError, match="no such folder"):
        open_folder(tmp_path / "gone")


def test_a_bundle_is_no_folder_of_transformers(folder: Path) -> None:
    shutil.copy(folder / "config.json", folder / "manifest.json")
    assert not is_folder(folder)
