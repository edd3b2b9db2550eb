"""Verifying with transformers: as a port of a bundle, as loose files, and as the original."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import stand_ins
from tests.support.commands import invoke
from tests.support.converted_folders import folder, said, stored, with_tensors
from tests.support.fairseq_models import Variant, build

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.check import check_bundle
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.transformers import fairseq_to_transformers
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.cli import main
from aves_verify.report.json_report import to_json
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import Subject, of_bundle, of_files
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "dc_offset"))
PLAN = Plan(CLIPS, seed=0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_ins.write(tmp_path_factory.mktemp("original") / "x.pt", stand_ins.VARIANTS["base"])


@pytest.fixture
def bundle(checkpoint: Path, tmp_path: Path) -> Bundle:
    return make_bundle(Source(checkpoint), Target(tmp_path / "bundle", "x", also=("transformers",)))


@pytest.fixture
def original(tmp_path: Path) -> Subject:
    """A folder of which there is no checkpoint any more, and the bundle that was made from it."""
    path = folder(tmp_path / "hubert", "pre-norm")
    path.with_name("hubert.pt").unlink()
    make_bundle(Source(path), Target(tmp_path / "made", "hubert"))
    return of_bundle(tmp_path / "made", transformers=path)


def verified(subject: Subject, plan: Plan = PLAN) -> ConfigReport:
    return verify(subject, plan).configs[0]


def test_a_bundle_with_the_folder_has_its_row_unasked(bundle: Bundle, checkpoint: Path) -> None:
    report = verify(of_bundle(bundle.folder, checkpoint), PLAN)
    (config,) = report.configs
    assert report.passed
    assert {c.backend for c in config.comparisons} == {"torchaudio", "onnx", "transformers"}
    assert config.sha256["transformers"] == bundle.manifest.folder_sha256
    assert "of the original found and used" in config.weights["transformers"].text
    assert config.backends["transformers"]["attention"] in ("sdpa", "eager")
    assert any(c.clip.endswith(", attention eager") for c in config.comparisons)
    attach_report(bundle.folder, to_json(report).encode())
    assert check_bundle(bundle.folder).problems == ()


def test_every_layer_and_its_own_long_probe_are_compared(bundle: Bundle, checkpoint: Path) -> None:
    plan = dataclasses.replace(
        PLAN, backends=("fairseq", "transformers"), layers="all", explain=True, characterise=True
    )
    config = verified(of_bundle(bundle.folder, checkpoint), plan)
    mine = [c for c in config.comparisons if c.backend == "transformers"]
    assert {c.layer for c in mine} >= {"final", "layer.0", "layer.1"}
    assert any(c.clip.startswith("probe: long") for c in mine)
    (explanation,) = config.explanations
    assert explanation.first is None
    assert all(stage.found for stage in explanation.stages)
    assert {s.backend for s in config.sensitivities} == {"fairseq", "transformers"}
    assert config.passed


@pytest.mark.parametrize("kind", ["hubert_ctc", "wav2vec_ctc"])
def test_a_fine_tuned_model_is_held_to_its_logits_and_its_letters(kind: str, tmp_path: Path) -> None:
    torch.save(build(Variant(kind), tmp_path).state, tmp_path / "x.pt")
    made = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x", also=("transformers",)))
    plan = dataclasses.replace(PLAN, backends=("fairseq", "transformers"))
    path = made.path("transformers_config").parent
    found = of_files(tmp_path / "x.pt", None, None, None, path)
    config = verified(found, plan)
    assert config.passed, config.problems
    assert {c.layer for c in config.comparisons} == {"final", "logits"}
    letters = json.loads((path / "vocab.json").read_text())
    shifted = {letter: (row + 1) % len(letters) for letter, row in letters.items()}
    (path / "vocab.json").write_text(json.dumps(shifted))
    problems = verified(found, plan).problems
    assert any("gives the head's rows other letters" in problem for problem in problems)


def test_a_folder_is_the_original_where_there_is_no_checkpoint(original: Subject) -> None:
    config = verified(original)
    assert config.passed, config.problems
    assert config.reference == "transformers"
    assert {c.backend for c in config.comparisons} == {"torchaudio", "onnx"}
    assert set(config.sha256) >= {"transformers", "torchaudio", "onnx"}
    assert all("found and used" in search.text for search in config.weights.values())


def test_a_bundle_of_a_folder_takes_its_report(original: Subject, tmp_path: Path) -> None:
    command = ("--bundle", tmp_path / "made", "--transformers", original.transformers, "--attach")
    assert invoke(main, *command).exit_code == 0
    assert check_bundle(tmp_path / "made").verified
    assert json.loads((tmp_path / "made" / "report.json").read_text())["configs"][0]["reference"] == "transformers"


def test_a_bundle_of_another_folder_fails(original: Subject, tmp_path: Path) -> None:
    assert original.transformers is not None
    said(original.transformers, layerdrop=0.9)
    config = verified(of_bundle(tmp_path / "made", transformers=original.transformers))
    assert any("is not the folder that the bundle was made from" in problem for problem in config.problems)


def test_loose_files_are_compared_with_the_folder(original: Subject) -> None:
    found = of_files(None, original.torchaudio, original.config, original.onnx, original.transformers)
    assert found.folder_is_original
    assert found.name == "hubert"
    assert verified(found).passed


def test_a_folder_beside_a_checkpoint_is_a_port(bundle: Bundle, checkpoint: Path) -> None:
    path = bundle.path("transformers_config").parent
    found = of_files(checkpoint, None, None, None, path)
    assert not found.folder_is_original
    config = verified(found, dataclasses.replace(PLAN, backends=("fairseq", "transformers")))
    assert (config.reference, config.passed) == ("fairseq", True)


def test_without_the_original_it_is_compared_with_torchaudio(bundle: Bundle) -> None:
    plan = dataclasses.replace(PLAN, backends=("torchaudio", "transformers"))
    config = verified(of_bundle(bundle.folder), plan)
    assert (config.reference, config.passed) == ("torchaudio", True)


def test_a_folder_alone_with_a_graph_needs_no_torchaudio(bundle: Bundle) -> None:
    found = of_files(None, None, None, bundle.path("onnx"), bundle.path("transformers_config").parent)
    config = verified(found, dataclasses.replace(PLAN, backends=("transformers", "onnx")))
    assert (config.reference, config.passed) == ("transformers", True)


def test_a_model_in_training_mode_fails(bundle: Bundle, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As who forgets eval(): frames are masked, and every run gives something else."""
    run = TransformersBackend.run
    monkeypatch.setattr(TransformersBackend, "run", lambda self, *a, **k: (self.model.train(), run(self, *a, **k))[1])
    plan = dataclasses.replace(PLAN, backends=("fairseq", "transformers"))
    failed = [c for c in verified(of_bundle(bundle.folder, checkpoint), plan).comparisons if c.status == "fail"]
    assert any("a second run" in c.reason or "first run" in c.reason for c in failed)


@pytest.fixture
def _half_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention in one piece that is off by a little, as a kernel in half precision is."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    whole = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def rounded(*args: object, **kwargs: object) -> tuple[torch.Tensor, object]:
        output, weights = whole(*args, **kwargs)
        return output.half().float(), weights

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sdpa", rounded)


@pytest.mark.usefixtures("_half_attention")
def test_one_way_of_attention_that_is_wrong_is_told_whichever_is_the_default(bundle: Bundle) -> None:
    plan = dataclasses.replace(
        PLAN, backends=("torchaudio", "transformers"), options={"transformers": {"attention": "eager"}}
    )
    config = verify_subject(of_bundle(bundle.folder), plan)
    failed = {c.clip for c in config.comparisons if c.status == "fail"}
    assert failed
    assert all(clip.endswith(", attention sdpa") for clip in failed)


def test_a_damaged_tensor_is_named(bundle: Bundle, checkpoint: Path) -> None:
    path = bundle.path("transformers_config").parent
    name = "encoder.layers.0.attention.k_proj.bias"
    with_tensors(path, **{name.replace(".", "__"): stored(path)[name] * 2})
    plan = dataclasses.replace(PLAN, backends=("fairseq", "transformers"))
    config = verified(of_files(checkpoint, None, None, None, path), plan)
    told = name.replace("encoder.layers", "encoder.transformer.layers")
    assert any(problem.startswith(f"transformers: {told} in") for problem in config.problems)


def test_what_cannot_go_together_is_told(bundle: Bundle, checkpoint: Path, tmp_path: Path) -> None:
    path = bundle.path("transformers_config").parent
    both = invoke(main, "--bundle", bundle.folder, "--fairseq", checkpoint, "--transformers", path)
    assert both.exit_code == 2
    assert "--bundle goes with the original that it was made from" in both.stderr
    missing = invoke(main, "--transformers", tmp_path / "nowhere", "--onnx", bundle.path("onnx"))
    assert missing.exit_code == 2
    assert "no such folder" in missing.stderr


def test_fairseq_is_missed_where_a_folder_is_the_original(original: Subject) -> None:
    with pytest.raises(InputError, match="no file for fairseq"):
        verify(original, dataclasses.replace(PLAN, backends=("fairseq", "torchaudio")))


CLASSES = ("HubertForSequenceClassification", "HubertModelWithFinalProj", "Wav2Vec2ForPreTraining", "Wav2Vec2ForCTC")


@pytest.mark.parametrize("model_class", CLASSES)
def test_an_original_of_another_class_verifies_and_what_it_leaves_out_is_noted(
    model_class: str, tmp_path: Path
) -> None:
    """What ``from_pretrained`` says of such a folder is no fault of the ports."""
    path = other_class(model_class, tmp_path / "hubert")
    make_bundle(Source(path), Target(tmp_path / "made", "hubert"))
    config = verified(of_bundle(tmp_path / "made", transformers=path))
    assert config.passed, config.problems
    told = any("tells of a tensor" in note for note in config.notes)
    assert told is (model_class in ("HubertForSequenceClassification", "Wav2Vec2ForPreTraining", "Wav2Vec2ForCTC"))


def other_class(model_class: str, path: Path) -> Path:
    """A folder of another class than the encoder's; of the last one without the embedding of masked frames."""
    from tests.support.transformers_folders import model_of, saved

    from aves_artifacts.encoder import EncoderConfig
    from aves_convert.checkpoint.architecture import architecture
    from aves_convert.checkpoint.reading import read_checkpoint

    if model_class == "HubertModelWithFinalProj":
        checkpoint = stand_ins.write(path.with_name("x.pt"), stand_ins.VARIANTS["base"])
        fairseq_to_transformers(Source(checkpoint), path, heads=True)
        return path
    stand_in = read_checkpoint(stand_ins.write(path.with_name("x.pt"), stand_ins.VARIANTS["base"]))
    encoder: EncoderConfig = architecture(stand_in).config
    if model_class.endswith("CTC"):
        encoder = dataclasses.replace(encoder, aux_num_out=32)
    saved(model_of(encoder, model_class), path)
    return with_tensors(path, wav2vec2__masked_spec_embed=None) if model_class == "Wav2Vec2ForCTC" else path


def test_an_original_in_half_precision_verifies(tmp_path: Path) -> None:
    path = folder(tmp_path / "hubert")
    write_safetensors({n: v.astype(np.float16) for n, v in stored(path).items()}, path / "model.safetensors")
    said(path, torch_dtype="float16")
    make_bundle(Source(path), Target(tmp_path / "made", "hubert"))
    config = verified(of_bundle(tmp_path / "made", transformers=path))
    assert config.passed, config.problems
    assert any("loads in float16" in note for note in config.notes)


def test_a_folder_in_the_place_of_a_checkpoint_is_told(original: Subject, tmp_path: Path) -> None:
    result = invoke(main, "--bundle", tmp_path / "made", "--fairseq", original.transformers)
    assert result.exit_code == 2
    assert "a folder, no checkpoint of fairseq; give it with --transformers" in result.stderr
