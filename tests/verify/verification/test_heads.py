"""Fine-tuned models: their logits are compared too, and a head that one side lacks is told."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.support.commands import invoke
from tests.support.comparisons import is_of_clip
from tests.support.damage import rewrite, scale
from tests.support.fairseq_models import LETTERS, Variant, build
from tests.support.tensors import arrays

from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.encoder import EncoderConfig
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.sounds.signals import reference_signals
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.cli import main
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import of_bundle
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

pytestmark = pytest.mark.slow

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "shortest", "odd_frames"))


cli = functools.partial(invoke, main)


@pytest.fixture(scope="module", params=["hubert_ctc", "wav2vec_ctc"])
def fine_tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A fine-tuned model that fairseq built, with the frames of AVES, and its bundle."""
    folder = tmp_path_factory.mktemp("fine-tuned")
    convolutions = {"conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2"}
    torch.save(build(Variant(request.param, model=convolutions), folder).state, folder / "x.pt")
    make_bundle(Source(folder / "x.pt"), Target(folder / "bundle", "x"))
    return folder / "x.pt", folder / "bundle"


def behead(bundle: Bundle) -> None:
    """Take the head out of the TorchAudio port: a config and weights that fit each other."""
    path = bundle.path("torchaudio")
    weights = torch.load(path, weights_only=True)
    write_torch_file(arrays({n: x for n, x in weights.items() if not n.startswith("aux.")}), path)
    config = EncoderConfig.read(bundle.path("config"))
    assert config.aux_num_out == LETTERS
    bundle.path("config").write_text(dataclasses.replace(config, aux_num_out=None).to_json())


def layers_failed(report: ConfigReport) -> set[tuple[str, str]]:
    return {(c.backend, c.layer) for c in report.comparisons if c.status == "fail"}


def test_the_logits_of_a_fine_tuned_model_are_compared(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    result = cli("--bundle", fine_tuned[1], "--fairseq", fine_tuned[0], "--json", tmp_path / "r.json", "--verbose")
    assert result.exit_code == 0, result.output
    (config,) = json.loads((tmp_path / "r.json").read_text())["configs"]
    compared = {(c["backend"], c["clip"], c["layer"]) for c in config["comparisons"] if is_of_clip(c["clip"])}
    clips = {c["clip"] for c in config["comparisons"] if is_of_clip(c["clip"])}
    backends = ("torchaudio", "onnx")
    assert compared == {(b, clip, layer) for b in backends for clip in clips for layer in ("final", "logits")}
    assert "logits" in result.output


def test_a_head_off_by_one_percent_shows_in_the_logits_alone(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = make_bundle(Source(fine_tuned[0]), Target(tmp_path / "bundle", "x"))
    rewrite(bundle, scale("aux.weight"))
    graph = onnx.load(bundle.path("onnx"))
    (head,) = (tensor for tensor in graph.graph.initializer if tensor.name.startswith("aux.weight"))
    values = onnx.numpy_helper.to_array(head) * np.float32(1.01)
    head.CopyFrom(onnx.numpy_helper.from_array(values, head.name))
    onnx.save(graph, bundle.path("onnx"))
    report = verify_subject(of_bundle(bundle.folder, fine_tuned[0]), Plan())
    assert layers_failed(report) == {("torchaudio", "logits"), ("onnx", "logits")}


def test_a_port_without_the_originals_head_fails_and_says_so(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = make_bundle(Source(fine_tuned[0]), Target(tmp_path / "bundle", "x"))
    behead(bundle)
    graph = onnx.load(bundle.path("onnx"))
    graph.graph.output.remove(next(output for output in graph.graph.output if output.name == "logits"))
    onnx.save(graph, bundle.path("onnx"))
    subject = dataclasses.replace(of_bundle(bundle.folder, fine_tuned[0]), problems=())

    report = verify_subject(subject, Plan(CLIPS))

    assert layers_failed(report) == {("torchaudio", "logits"), ("onnx", "logits")}
    assert {c.reason for c in report.comparisons if c.status == "fail"} == {
        "fairseq gives logits, torchaudio does not",
        "fairseq gives logits, onnx does not",
    }


def test_a_head_that_the_reference_has_not_is_not_passed_over(fine_tuned: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = make_bundle(Source(fine_tuned[0]), Target(tmp_path / "bundle", "x"))
    behead(bundle)
    report = verify_subject(of_bundle(bundle.folder, None), Plan(CLIPS, backends=("torchaudio", "onnx")))
    assert {c.reason for c in report.comparisons if c.status == "fail"} == {"onnx gives logits, torchaudio does not"}
