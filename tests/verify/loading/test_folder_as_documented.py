"""What from_pretrained makes of a folder is the model that is verified, or it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.converted_folders import PREPROCESSOR, folder, said, stored, with_tensors

from aves_convert.hugging_face.folder import open_folder
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.loading.folder_as_documented import folder_problems

pytestmark = pytest.mark.slow  # transformers is imported in a process of its own for each


def problems(path: Path, *, normalize: bool = False) -> list[str]:
    return list(folder_problems(TransformersBackend(open_folder(path)), normalize=normalize))


@pytest.mark.parametrize("variant", ["base", "pre-norm", "no projection", "wav2vec 2.0"])
def test_a_folder_that_was_converted_loads_as_it_should(variant: str, tmp_path: Path) -> None:
    assert problems(folder(tmp_path / "x", variant)) == []


def test_normalised_waveforms_are_what_its_feature_extractor_gives(tmp_path: Path) -> None:
    path = folder(tmp_path / "x", "pre-norm", task={"normalize": True})
    assert problems(path, normalize=True) == []
    (problem,) = problems(path, normalize=False)
    assert "the original was trained on waveforms as they are" in problem


def test_half_precision_is_told(tmp_path: Path) -> None:
    """From version 5 on a model is loaded in the type that its config names."""
    found = problems(said(folder(tmp_path / "x"), torch_dtype="float16"))
    assert any("loads in float16" in problem for problem in found)


def test_a_mask_that_moves_what_it_should_not_is_told(tmp_path: Path) -> None:
    """With the norm over the whole clip padding changes every frame, masked or not."""
    (problem,) = problems(said(folder(tmp_path / "x"), PREPROCESSOR, return_attention_mask=True))
    assert "padding with its own mask moves a clip" in problem


def test_tensors_that_the_class_has_no_use_for_are_told(tmp_path: Path) -> None:
    path = folder(tmp_path / "x")
    weight = np.zeros((3, stored(path)["masked_spec_embed"].size), np.float32)
    found = problems(with_tensors(path, final_proj__weight=weight, final_proj__bias=np.zeros(3, np.float32)))
    assert any("unexpected: final_proj.weight" in problem for problem in found)


def test_a_folder_that_transformers_cannot_load_is_told(tmp_path: Path) -> None:
    backend = TransformersBackend(open_folder(folder(tmp_path / "x")))
    (tmp_path / "x" / PREPROCESSOR).unlink()
    (problem,) = folder_problems(backend, normalize=False)
    assert "HubertModel.from_pretrained does not load" in problem
