"""The goldens are what fairseq gives in its own time's environment, and say where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.regression.golden import FOLDER, clip_hashes, read_golden, sample, sampled, values, waveforms
from tests.regression.make_goldens import REQUIREMENTS, make_environment_of_its_time, make_goldens
from tests.regression.models import FULL_SIZE, NAMES, TINY, write_model

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.file_record import sha256_of
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.weights.to_torchaudio import to_torchaudio

EPS = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_tells_where_it_comes_from(name: str) -> None:
    told = read_golden(FOLDER / f"{name}.safetensors").provenance
    original = told["original"]
    assert original["fairseq"] == "0.12.2"
    assert original["torch"].startswith("1.13.1")
    assert original["python"].startswith("3.10.")
    assert set(REQUIREMENTS) <= set(original["packages"])
    assert original["cpu"]
    assert any("Math Kernel Library" in line for line in original["torch_build"])
    text = json.dumps(told)
    assert "/tmp" not in text  # noqa: S108 - no place of the machine that made it
    assert "/root" not in text
    assert "/home" not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_golden_is_of_this_checkpoint_and_of_these_clips(name: str, tmp_path: Path) -> None:
    """All seeds follow from the names; what they make is known by its hash."""
    golden = read_golden(FOLDER / f"{name}.safetensors")
    files = write_model(name, tmp_path)
    assert sha256_of(files.checkpoint) == golden.provenance["checkpoint_sha256"]
    assert (files.pretrained is not None) == (golden.provenance["pretrained_sha256"] is not None)
    if files.pretrained is not None:
        assert sha256_of(files.pretrained) == golden.provenance["pretrained_sha256"]
    checkpoint = read_checkpoint(files.checkpoint, files.pretrained)
    normalize = checkpoint.task_config.get("normalize") is True
    clips = waveforms(to_torchaudio(checkpoint).config, normalize=normalize)
    assert set(golden.clips) <= set(clips)  # signals that came later have no golden until they are made anew
    assert clip_hashes({clip: clips[clip] for clip in golden.clips}) == golden.provenance["clips_sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_has_every_layer_with_an_error_of_rounding(name: str) -> None:
    golden = read_golden(FOLDER / f"{name}.safetensors")
    layers = 12 if name in (FULL_SIZE, "deep") else 2
    expected = {"final", *(f"layer.{i}" for i in range(layers)), *(("logits",) if "ctc" in name else ())}
    assert set(golden.original) == set(golden.exact) == expected
    for layer, original in golden.original.items():
        assert original.shape == (len(golden.clips), values(name))
        error = np.abs(original - golden.exact[layer]).max()
        assert 0 < error < 1e-3 * np.abs(original).max(), layer


def test_the_goldens_are_small_and_all_there() -> None:
    files = sorted(FOLDER.glob("*.safetensors"))
    assert {path.stem for path in files} == set(NAMES)
    assert sum(path.stat().st_size for path in files) < 1.5e6


def test_a_missing_golden_is_told_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nox -s goldens"):
        read_golden(tmp_path / "none.safetensors")


def test_samples_follow_from_the_names_alone() -> None:
    output = np.arange(10_000).reshape(1, 100, 100)
    found = sample(output, "chirp", "final", 4)
    np.testing.assert_array_equal(found, sample(output, "chirp", "final", 4))
    assert (found != sample(output, "chirp", "layer.0", 4)).any()
    assert (found != sample(output, "frog", "final", 4)).any()
    assert found.tolist() == [569, 1973, 6072, 2062]


def test_sampling_keeps_clips_and_layers_apart() -> None:
    clips = {"a": np.full((1, 3), 1, np.float32), "b": np.full((1, 5), 2, np.float32)}
    found = sampled(lambda waveform: {"final": waveform, "layer.0": -waveform}, clips, 2)
    assert found["final"].tolist() == [[1, 1], [2, 2]]
    assert found["layer.0"].tolist() == [[-1, -1], [-2, -2]]


@pytest.mark.environments
@pytest.mark.scheduled  # that fairseq still gives what they hold is seen in the legs, by the fairseq of today
def test_made_again_they_agree_to_the_last_few_bits(tmp_path: Path) -> None:
    """On the machine that made them they are the same bits; another processor adds up in another order."""
    python = make_environment_of_its_time(tmp_path / "environment")
    names = ("base", "hubert-ctc-pre-norm", "wav2vec2-ctc")
    assert set(names) < set(TINY)
    make_goldens(names, tmp_path, python)
    for name in names:
        ours, again = (read_golden(folder / f"{name}.safetensors") for folder in (FOLDER, tmp_path))
        for told in ("model", "checkpoint_sha256", "pretrained_sha256"):
            assert again.provenance[told] == ours.provenance[told]
        same = [again.clips.index(clip) for clip in ours.clips]
        for layer, original in ours.original.items():
            floor = np.abs(original - ours.exact[layer]).max()  # of any frame: another processor is lucky in others
            few_bits = 4 * EPS * np.abs(original).max(axis=1, keepdims=True)
            difference = np.abs(again.original[layer][same] - original)
            assert (difference <= few_bits + 2 * floor).all(), (name, layer)
