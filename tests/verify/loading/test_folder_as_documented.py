"""What from_pretrained makes of a folder is the model that is verified, or it is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.converted_folders import PREPROCESSOR, folder, said, stored, with_tensors
from tests.support.fairseq_models import Variant, build

from aves_convert.conversion.request import Source
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.hugging_face.folder import open_folder
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.loading.folder_as_documented import folder_differences

pytestmark = pytest.mark.slow  # transformers is imported in a process of its own for each


def problems(path: Path, *, normalize: bool = False) -> list[str]:
    return [each.text for each in folder_differences(TransformersBackend(open_folder(path)), normalize=normalize)]


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
    (problem,) = folder_differences(backend, normalize=False)
    assert "HubertModel.from_pretrained does not load" in problem.text


def test_what_the_class_makes_of_a_folder_is_its_own(tmp_path: Path) -> None:
    """Of an original that is how it is; everything else is wrong of that too."""
    path = said(with_tensors(folder(tmp_path / "x"), masked_spec_embed=None), torch_dtype="float16")
    found = list(folder_differences(TransformersBackend(open_folder(path)), normalize=True))
    own = [each.text for each in found if each.own]
    assert any("missing: masked_spec_embed" in text for text in own)
    assert any("loads in float16" in text for text in own)
    (other,) = (each.text for each in found if not each.own)
    assert "its feature extractor gives the model another input" in other
    assert all(each.own for each in folder_differences(TransformersBackend(open_folder(path)), normalize=False))


def test_what_a_newer_file_says_of_waveforms_is_what_is_read(tmp_path: Path) -> None:
    path = folder(tmp_path / "x")
    (path / PREPROCESSOR).rename(path / "old.json")
    settings = json.loads((path / "old.json").read_text())
    (path / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    assert open_folder(path).preprocessor.normalize is False


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ctc")
    torch.save(build(Variant("hubert_ctc"), made).state, made / "x.pt")
    fairseq_to_transformers(Source(made / "x.pt"), made / "x")
    return made / "x"


def test_the_letters_of_a_head_are_decoded_as_they_should(fine_tuned: Path) -> None:
    assert problems(fine_tuned) == []
    assert len(TransformersBackend(open_folder(fine_tuned)).probe_rows) > 3


@pytest.mark.parametrize("entries", [{"pad_token": "<unk>"}, {"tokenizer_class": "BertTokenizer"}])
def test_a_tokenizer_that_decodes_otherwise_is_told(entries: dict[str, str], fine_tuned: Path, tmp_path: Path) -> None:
    path = said(Path(shutil.copytree(fine_tuned, tmp_path / "x")), "tokenizer_config.json", **entries)
    assert any("tokenizer" in problem for problem in problems(path))
