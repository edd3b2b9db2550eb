"""Verifying smaller graphs: of a bundle, as files, by others' quantisers, and damaged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime import quantization
from tests.support import stand_ins
from tests.support.bundles import sealed
from tests.support.commands import invoke

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle
from aves_artifacts.bundle.check import check_bundle
from aves_artifacts.bundle.manifest import REDUCED
from aves_convert.conversion.bundle import EightBits, make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_convert.graph.options import OnnxOptions
from aves_convert.sounds.signals import reference_signals
from aves_verify.cli import main
from aves_verify.comparison.compare import Bound
from aves_verify.comparison.reduced import BOUNDS
from aves_verify.report.json_report import to_json
from aves_verify.report.markdown import to_markdown
from aves_verify.report.report import ConfigReport
from aves_verify.subjects.subject import Subject, of_bundle, of_files
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify

pytestmark = pytest.mark.slow

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "dc_offset", "odd_frames"))
PLAN = Plan(CLIPS, seed=0)
_DENSE = "encoder.transformer.layers.1.feed_forward.output_dense"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_ins.write(tmp_path_factory.mktemp("original") / "x.pt", stand_ins.VARIANTS["base"])


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    target = Target(tmp_path_factory.mktemp("made") / "bundle", "x", also=tuple(REDUCED))
    return make_bundle(Source(checkpoint), target)


@pytest.fixture(scope="module")
def report(bundle: Bundle, checkpoint: Path) -> ConfigReport:
    return verified(of_bundle(bundle.folder, checkpoint))


def verified(subject: Subject, plan: Plan = PLAN) -> ConfigReport:
    return verify(subject, plan).configs[0]


def alone(checkpoint: Path, *graphs: Path) -> Subject:
    return of_files(checkpoint, None, None, None, reduced=graphs)


def of_graph(checkpoint: Path, graph: Path, bound: Bound = BOUNDS["onnx.int8"]) -> ConfigReport:
    """What is said of a graph in eight bits, whose TorchAudio port nobody has."""
    plan = dataclasses.replace(PLAN, backends=("fairseq", "onnx.int8"), bounds={"onnx.int8": bound})
    return verified(alone(checkpoint, graph), plan)


def test_each_has_its_own_row_and_verdict(report: ConfigReport) -> None:
    assert report.problems == ()
    assert report.passed
    found = {c.backend: c.status for c in report.comparisons}
    assert found == {"torchaudio": "pass", "onnx": "pass", **dict.fromkeys(REDUCED, "pass (reduced)")}
    for port in REDUCED:
        search = report.weights[port]
        assert search.found == search.expected
        assert set(search.rounded) == {"float16", *(["int8"] if port == "onnx.int8" else [])}
        assert report.sha256[port]
    assert {cost.backend for cost in report.costs} == set(REDUCED)
    audits = {audit.backend: audit for audit in report.audits}
    assert audits.keys() == {"onnx", *REDUCED}
    assert all(audit.problems == () for audit in audits.values())
    found = [stage.product for clip in audits["onnx.int8"].clips for stage in clip.stages]
    products = [each for each in found if each is not None]
    assert len(products) > 10
    assert max(each.beside for each in products) < 0.01


def test_the_report_tells_what_they_cost(bundle: Bundle, checkpoint: Path) -> None:
    report = verify(of_bundle(bundle.folder, checkpoint), PLAN)
    text = to_markdown(report)
    assert "What smaller graphs cost" in text
    assert "☑️ pass (reduced)" in text
    assert "smaller graphs cost no more than they may; they compute something else" in text
    document = to_json(report)
    (entry, *_) = (c for c in json.loads(document)["configs"][0]["comparisons"] if c["backend"] == "onnx.int8")
    assert entry["bound"] == {"min_snr": 22.0, "min_cosine": 0.995, "max_flips": 0.2}
    assert entry["cost"]["snr"] > 22
    attached = attach_report(bundle.folder, document.encode())
    assert check_bundle(attached.folder).problems == ()
    assert "pass (reduced)" in (bundle.folder / "README.md").read_text()


def test_what_is_asked_for_decides(bundle: Bundle, checkpoint: Path) -> None:
    graph = bundle.path("onnx_int8")
    report = of_graph(checkpoint, graph, Bound(60.0, 0.5))
    assert not report.passed
    assert all("where 60 is asked for" in c.reason for c in report.comparisons)
    backends = ("--backends", "fairseq,onnx.int8")
    result = invoke(main, "--fairseq", checkpoint, "--reduced", graph, *backends, "--min-cosine", "0.9999999")
    assert result.exit_code == 1
    assert "where 1 is asked for" in result.output.replace("\n", " ")


def test_a_provider_is_asked_for_them_too(bundle: Bundle, checkpoint: Path, tmp_path: Path) -> None:
    """The packages for processors bring one that runs nothing here: numbers of another's must not pass for its own."""
    options = ("--reduced", bundle.path("onnx_int8"), "--backends", "fairseq,onnx.int8", "--onnx-provider", "azure")
    result = invoke(main, "--fairseq", checkpoint, *options, "--json", tmp_path / "report.json")
    assert result.exit_code == 1
    (config,) = json.loads((tmp_path / "report.json").read_text())["configs"]
    assert config["backends"]["onnx.int8"]["provider"] == "AzureExecutionProvider"
    assert "onnx.int8: no node ran on AzureExecutionProvider: the numbers are those of others" in config["problems"]


def test_held_to_rounding_half_precision_fails_as_ever(bundle: Bundle, checkpoint: Path) -> None:
    plan = dataclasses.replace(PLAN, backends=("fairseq", "onnx"))
    report = verified(of_files(checkpoint, None, None, bundle.path("onnx_float16_weights")), plan)
    assert not report.passed
    assert "fail" in {c.status for c in report.comparisons}
    assert "pass (reduced)" not in {c.status for c in report.comparisons}


def test_a_file_is_what_it_is_made_of(bundle: Bundle, checkpoint: Path, tmp_path: Path) -> None:
    subject = alone(checkpoint, bundle.path("onnx_int8"), bundle.path("onnx_float16"))
    assert list(subject.reduced) == ["onnx.int8", "onnx.float16"]
    with pytest.raises(InputError, match="holds nothing in fewer bits than float32"):
        alone(checkpoint, bundle.path("onnx"))
    with pytest.raises(InputError, match=r"is onnx\.int8 as .* is; verify them one after the other"):
        alone(checkpoint, bundle.path("onnx_int8"), bundle.path("onnx_int8"))
    (tmp_path / "x.onnx").write_bytes(b"\x08\x07nonsense")
    with pytest.raises(InputError, match="no ONNX graph, or a damaged one"):
        alone(checkpoint, tmp_path / "x.onnx")


def test_without_an_original_the_bound_is_all(bundle: Bundle) -> None:
    weights, config, graph = (bundle.path(role) for role in ("torchaudio", "config", "onnx_int8"))
    report = verified(
        of_files(None, weights, config, None, reduced=[graph]),
        dataclasses.replace(PLAN, backends=("torchaudio", "onnx.int8")),
    )
    assert report.problems == ()
    assert report.passed
    assert "onnx.int8" not in report.weights
    assert any("onnx.int8: its weights were held against those of the TorchAudio" in note for note in report.notes)


def test_products_that_stay_wide_are_held_to_what_is_said(checkpoint: Path, tmp_path: Path) -> None:
    made = make_bundle(Source(checkpoint), Target(tmp_path / "b", "x", also=("onnx.int8",)), eight=EightBits((_DENSE,)))
    assert verified(of_bundle(made.folder, checkpoint)).passed
    told = {**made.manifest.reduced, "onnx_int8": dataclasses.replace(made.manifest.reduced["onnx_int8"], wide=())}
    lied = sealed(made, reduced=told)
    report = verified(of_bundle(lied.folder, checkpoint), dataclasses.replace(PLAN, backends=("fairseq", "onnx.int8")))
    assert [p for p in report.problems if f"{_DENSE}.weight is in float16, and is said to be in int8" in p]
    assert any("says wide" in p.problem for p in check_bundle(lied.folder).problems)


def damaged(bundle: Bundle, folder: Path, name: str, factor: float) -> Path:
    model = onnx.load(bundle.path("onnx_int8"))
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))
    onnx.save(model, folder / "x.int8.onnx")
    return folder / "x.int8.onnx"


def test_a_scale_off_by_a_tenth_is_named(bundle: Bundle, checkpoint: Path, tmp_path: Path) -> None:
    graph = damaged(bundle, tmp_path, f"{_DENSE}.weight_scale", 1.1)
    report = of_graph(checkpoint, graph)
    assert not report.passed
    assert any(f"{_DENSE}.weight in eight bits is off by up to" in problem for problem in report.problems)


@pytest.mark.parametrize("per_channel", [False, True])
def test_what_others_make_in_eight_bits_is_judged_and_raises_no_alarm(
    checkpoint: Path, tmp_path: Path, per_channel: bool
) -> None:
    """ONNX Runtime's own dynamic quantisation, of the transformer's products."""
    plain, made = tmp_path / "plain.onnx", tmp_path / "made.onnx"
    fairseq_to_onnx(Source(checkpoint), plain, OnnxOptions(exporter="torch"))
    quantization.quantize_dynamic(
        plain, made, per_channel=per_channel, weight_type=quantization.QuantType.QInt8, op_types_to_quantize=["MatMul"]
    )
    report = of_graph(checkpoint, made, Bound(10.0, 0.9))
    assert report.weights["onnx.int8"].rounded["int8"] > 10
    assert [p for p in report.problems if "eight bits" in p or "is not in the graph" in p or "scale" in p] == []
    assert {c.status for c in report.comparisons} == {"pass (reduced)"}


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("precision", "float32", "says precision 'float32', and holds int8"),
        ("wide", '["foo"]', "foo is said to be wide, and there is no such product"),
    ],
)
def test_what_a_file_says_of_its_own_numbers_is_held_to_it(
    key: str, value: str, told: str, bundle: Bundle, checkpoint: Path, tmp_path: Path
) -> None:
    model = onnx.load(bundle.path("onnx_int8"))
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, key: value})
    onnx.save(model, tmp_path / "x.onnx")
    assert any(told in problem for problem in of_graph(checkpoint, tmp_path / "x.onnx").problems)


def test_units_of_a_short_clip_may_flip_once(checkpoint: Path, tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((12, 24)).astype(np.float32)
    np.save(tmp_path / "c.npy", features)
    source = Source(checkpoint, centroids={1: tmp_path / "c.npy"})
    options = OnnxOptions(outputs=("embeddings", "layer.1.units"))
    made = make_bundle(source, Target(tmp_path / "b", "x", also=tuple(REDUCED)), options)
    report = verified(of_bundle(made.folder, checkpoint))
    assert report.problems == ()
    assert {c.status for c in report.comparisons} <= {"pass", "near-zero drift", "pass (reduced)"}
    assert any(c.layer == "layer.1.units" and c.backend == "onnx.int8" for c in report.comparisons)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--attach", "--min-snr", "0"), "--attach goes with bounds that ask for no less"),
        (("--min-cosine", "7"), "min_cosine is 7.0; expected a number from -1 to 1"),
    ],
)
def test_bounds_that_cannot_be_are_refused(
    options: tuple[str, ...], told: str, bundle: Bundle, checkpoint: Path
) -> None:
    result = invoke(main, "--bundle", bundle.folder, "--fairseq", checkpoint, *options)
    assert result.exit_code == 2
    assert told in result.output


def test_bounds_without_a_smaller_graph_are_refused(bundle: Bundle, checkpoint: Path) -> None:
    files = ("--fairseq", checkpoint, "--onnx", bundle.path("onnx"), "--backends", "fairseq,onnx")
    result = invoke(main, *files, "--min-snr", "40")
    assert result.exit_code == 2
    assert "are for smaller graphs; give them with --reduced" in result.output


def test_options_of_a_smaller_graph_are_its_own(bundle: Bundle, checkpoint: Path) -> None:
    files = ("--fairseq", checkpoint, "--reduced", bundle.path("onnx_int8"), "--backends", "fairseq,onnx.int8")
    result = invoke(main, *files, "--backend-option", "onnx.int8.threads=many")
    assert result.exit_code == 2
    assert "threads is many, expected a whole number from 1 on" in result.output
