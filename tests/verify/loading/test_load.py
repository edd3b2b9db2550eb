"""Loading a subject's encoders, and what is told before anything is computed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.bundles import NAME

from aves_artifacts.base.errors import InputError
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file
from aves_verify.loading.load import load
from aves_verify.subjects.subject import Subject, of_bundle

EVERY = ("fairseq", "torchaudio", "onnx")


@pytest.mark.slow
def test_the_reference_comes_first_whatever_the_order_asked_for(subject: Subject) -> None:
    loaded = load(subject, ("onnx", "torchaudio", "fairseq"))
    assert [backend.name for backend in loaded.backends] == list(EVERY)
    assert [backend.name for backend in load(subject, ("onnx", "torchaudio")).backends] == ["torchaudio", "onnx"]
    assert loaded.problems == ()


def test_the_exact_encoder_has_the_originals_weights_in_float64(subject: Subject) -> None:
    loaded = load(subject, EVERY)
    assert loaded.exact is not None
    assert {p.dtype for p in loaded.exact.model.parameters()} == {torch.float64}
    port = load(subject, ("torchaudio", "onnx")).backends[0].weights()  # type: ignore[attr-defined]
    assert all(np.array_equal(tensor, port[name]) for name, tensor in loaded.exact.weights().items())


@pytest.mark.parametrize("backend", EVERY)
def test_a_file_that_is_missing_is_asked_for_and_can_be_waived(subject: Subject, backend: str) -> None:
    others = ",".join(name for name in EVERY if name != backend)
    with pytest.raises(
        InputError, match=rf"{NAME}: no file for {backend}; give `{backend}` FILE, .* `backends` {others}$"
    ):
        load(dataclasses.replace(subject, **{backend: None}), EVERY)


def test_weights_need_their_config(subject: Subject) -> None:
    with pytest.raises(InputError, match=f"{NAME}: TorchAudio weights without their config"):
        load(dataclasses.replace(subject, config=None), EVERY)


def test_a_graph_alone_has_nothing_to_be_exact_about(subject: Subject) -> None:
    with pytest.raises(InputError, match=f"{NAME}: neither the original nor the TorchAudio weights"):
        load(dataclasses.replace(subject, fairseq=None, torchaudio=None), ("onnx",))


@pytest.mark.slow
def test_a_manifest_that_normalises_otherwise_is_told(subject: Subject, tmp_path: Path) -> None:
    wrong = load(dataclasses.replace(subject, normalize=True), EVERY)
    assert wrong.normalize is False  # what the original says is done
    (problem,) = wrong.problems
    assert problem.startswith("waveform: the manifest says normalize true, the original false")
    contents = checkpoint_contents(GEOMETRIES["tiny"], seed="normalising", task={"normalize": True})
    write_torch_file(contents, tmp_path / "y.pt")
    make_bundle(Source(tmp_path / "y.pt"), Target(tmp_path / "b", "y"))
    right = load(of_bundle(tmp_path / "b", tmp_path / "y.pt"), EVERY)
    assert (right.normalize, right.problems) == (True, ())
    alone = load(of_bundle(tmp_path / "b", None), ("torchaudio", "onnx"))
    assert alone.normalize is True


@pytest.mark.slow
def test_files_that_are_something_else_are_told(subject: Subject, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("<html>404</html>")
    for name in (*EVERY, "config"):
        with pytest.raises(InputError, match=r"page: .+") as caught:
            load(dataclasses.replace(subject, **{name: page}), EVERY)
        assert "\n" not in str(caught.value)
