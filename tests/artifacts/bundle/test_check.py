"""Whatever happens to a bundle, the check says so, and names the file."""

import dataclasses
import itertools
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike
from tests.support.bundles import (
    as_document,
    comparison,
    problems,
    report_on,
    sealed,
)
from tests.support.tensors import with_tensors

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.attach import attach_report
from aves_artifacts.bundle.bundle import Bundle, read_bundle
from aves_artifacts.bundle.check import check_bundle
from aves_artifacts.bundle.manifest import MANIFEST, REPORT
from aves_artifacts.cli import main
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents
from aves_convert.graph.options import OnnxOptions
from aves_convert.torch_files.writer import write_torch_file

NAMES = [
    "aves-base-bio.torchaudio.pt",
    "aves-base-bio.torchaudio.model_config.json",
    "aves-base-bio.safetensors",
    "aves-base-bio.heads.safetensors",
    "aves-base-bio.onnx",
    "aves-base-bio.onnx.data",
    "README.md",
    REPORT,
    MANIFEST,
]


def check(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", str(folder), *arguments])


# --- good ones
def test_a_good_bundle_passes(verified: Bundle, tiny_bundle: Bundle) -> None:
    assert sorted(os.listdir(verified.folder)) == sorted(NAMES)
    result = check(verified.folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "7 files are as they were made, with a report on them that passed" in result.stdout
    assert "no report: they were not verified" in check(tiny_bundle.folder).stdout


def test_the_check_as_json(verified: Bundle, bundle: Bundle) -> None:
    found = json.loads(check(verified.folder, "--json").stdout)
    expected = {"schema": 1, "bundle": str(verified.folder), "passed": True, "verified": True}
    assert found == expected | {"problems": [], "not_checked": []}
    bundle.path("onnx").unlink()
    result = check(bundle.folder, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["passed"], found["verified"]) == (False, None)
    assert found["problems"] == [{"file": "aves-base-bio.onnx", "problem": "is missing"}]


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "large": ({"layer_norm_first": True, "extractor_mode": "layer_norm", "conv_bias": True}, {"normalize": True}),
    "no projection": ({"encoder_embed_dim": 16, "conv_feature_layers": "[(16,10,5)] + [(16,2,2)] * 6"}, {}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("model", "task"), VARIANTS.values(), ids=VARIANTS)
def test_bundles_of_every_kind_pass(
    model: dict[str, Any], task: dict[str, Any], dtype: DTypeLike, tmp_path: Path
) -> None:
    """The ledger has the hashes of the source's tensors, in half precision where they are; the port is widened."""
    write_torch_file(
        checkpoint_contents(GEOMETRIES["tiny"] | model, seed="x", task=task, dtype=dtype), tmp_path / "x.pt"
    )
    made = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x"), OnnxOptions(layers="all"))
    assert problems(made) == []
    assert {entry.action for entry in made.manifest.ledger} >= {"mapped", "dropped"}


def test_a_bundle_of_8_bit_weights_passes(tmp_path: Path) -> None:
    contents = with_tensors(checkpoint_contents(GEOMETRIES["tiny"], seed="x", dtype=ml_dtypes.float8_e5m2))
    torch.save({**contents, "task_state": {}}, tmp_path / "x.pt")
    assert problems(make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x"))) == []


# --- where torch and ONNX Runtime are not installed
@pytest.mark.usefixtures("light")
def test_a_light_install_says_what_it_left_out(verified: Bundle) -> None:
    result = check(verified.folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"{verified.folder}: 7 files are as they were made, with a report on them that passed",
        f"{verified.path('torchaudio')} not loaded with torch: pip install 'aves-ports[verify]'",
        f"{verified.path('onnx')} not loaded with ONNX Runtime: pip install 'aves-ports[verify]'",
    ]
    document = json.loads(check(verified.folder, "--json").stdout)
    assert document["passed"]
    assert document["not_checked"][0] == {
        "file": "aves-base-bio.torchaudio.pt",
        "what": "not loaded with torch: pip install 'aves-ports[verify]'",
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.usefixtures("light")
def test_a_light_install_knows_weights_of_every_source(dtype: DTypeLike, tmp_path: Path) -> None:
    write_torch_file(checkpoint_contents(GEOMETRIES["tiny"], seed="x", dtype=dtype), tmp_path / "x.pt")
    made = make_bundle(Source(tmp_path / "x.pt"), Target(tmp_path / "bundle", "x"))
    assert problems(made) == []
    ledger = tuple(dataclasses.replace(entry, sha256="1" * 64) for entry in made.manifest.ledger)
    assert "x.safetensors has another " in problems(sealed(made, ledger=ledger))[0]


def test_hidden_files_of_other_tools_do_no_harm(bundle: Bundle) -> None:
    (bundle.folder / ".gitattributes").write_text("*.pt filter=lfs")
    assert problems(bundle) == []


# --- any byte of any file
@contextmanager
def damaged(path: Path, content: bytes | None) -> Iterator[None]:
    before = path.read_bytes()
    try:
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        yield
    finally:
        path.write_bytes(before)


def assert_named(folder: Path, *names: str) -> None:
    result = check(folder)
    assert result.exit_code == (1 if (folder / MANIFEST).exists() else 2), result.output
    assert all(name in result.stderr for name in names), result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_any_flipped_byte_is_found_and_its_file_named(name: str, verified: Bundle) -> None:
    path = verified.folder / name
    content = path.read_bytes()

    @settings(max_examples=100 if name == MANIFEST else 15, database=None)
    @given(position=st.integers(0, len(content) - 1), change=st.integers(1, 255))
    def flip(position: int, change: int) -> None:
        flipped = bytearray(content)
        flipped[position] ^= change
        with damaged(path, bytes(flipped)):
            assert_named(verified.folder, name)

    flip()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_longer_empty_or_gone_is_named(name: str, verified: Bundle) -> None:
    path = verified.folder / name
    content = path.read_bytes()
    cut = random.Random(name).randrange(1, len(content))  # noqa: S311
    for other in (content[:cut], content[:-1], b"", content + b"\n", content + b"\0", None):
        with damaged(path, other):
            assert_named(verified.folder, name)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NAMES, 2)))
def test_files_that_changed_places_are_named(one: str, other: str, verified: Bundle) -> None:
    a, b = (verified.folder / name for name in (one, other))
    contents = a.read_bytes(), b.read_bytes()
    with damaged(a, contents[1]), damaged(b, contents[0]):
        assert_named(verified.folder, *((MANIFEST,) if MANIFEST in (one, other) else (one, other)))


def test_what_does_not_belong_there_is_named(bundle: Bundle) -> None:
    (bundle.folder / "notes.txt").write_text("mine")
    (bundle.folder / "sub").mkdir()
    assert problems(bundle) == [
        f"{name} is no file of this bundle: manifest.json does not record it" for name in ("notes.txt", "sub")
    ]


def test_a_folder_in_the_place_of_a_file_is_named(bundle: Bundle) -> None:
    bundle.path("onnx").unlink()
    bundle.path("onnx").mkdir()
    assert problems(bundle) == ["aves-base-bio.onnx is missing"]


def test_without_a_manifest_there_is_no_bundle(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"no bundle|no such folder"):
            check_bundle(place)
        assert check(place).exit_code == 2


def test_a_bundle_of_an_earlier_version_is_told_apart(bundle: Bundle) -> None:
    entries = json.loads((bundle.folder / MANIFEST).read_text()) | {"schema": 1}
    (bundle.folder / MANIFEST).write_text(json.dumps(entries))
    (problem,) = problems(bundle)
    assert "schema 1, expected 2: from another version of this tool; make the bundle anew" in problem


# --- the report


def test_a_report_on_other_files_is_found(verified: Bundle, bundle: Bundle) -> None:
    other = report_on(verified.manifest, sha256=report_on(bundle.manifest)["configs"][0]["sha256"] | {"onnx": "1" * 64})
    attach_report(bundle.folder, as_document(report_on(bundle.manifest)))
    (bundle.folder / REPORT).write_bytes(as_document(other))
    (problem,) = problems(sealed(read_bundle(bundle.folder)))
    assert "report.json does not belong here: the report is about another onnx file" in problem


def test_a_verdict_that_the_report_does_not_give_is_found(bundle: Bundle) -> None:
    failed = report_on(bundle.manifest, passed=False, comparisons=[comparison("onnx", "fail")])
    attached = attach_report(bundle.folder, as_document(failed))
    assert problems(attached) == ["report.json says that the verification failed"]
    assert check_bundle(bundle.folder).verified is False
    assert attached.manifest.report is not None
    better = dataclasses.replace(attached.manifest.report, passed=True)
    assert problems(sealed(attached, report=better)) == ["report.json has another verdict than manifest.json records"]


def test_what_is_no_report_is_found(bundle: Bundle) -> None:
    attach_report(bundle.folder, as_document(report_on(bundle.manifest)))
    (bundle.folder / REPORT).write_text("[]")
    (problem,) = problems(sealed(read_bundle(bundle.folder)))
    assert "report.json is no report: " in problem


def test_the_graph_with_weights_outside_computes_the_same(verified: Bundle, tiny_bundle: Bundle) -> None:
    import onnxruntime

    waveform = np.random.default_rng(0).standard_normal((1, 4000)).astype(np.float32)
    outputs = [
        onnxruntime.InferenceSession(str(bundle.path("onnx"))).run(None, {"waveform": waveform})[0]
        for bundle in (verified, tiny_bundle)
    ]
    np.testing.assert_array_equal(*outputs)
