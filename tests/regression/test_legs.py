"""The oldest and the newest leg, for real; and that regressions planted in the converter make the right legs fail."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.regression import leg as program
from tests.regression import run_leg
from tests.regression.golden import FOLDER as GOLDENS
from tests.regression.golden import Golden, read_golden
from tests.regression.leg_files import Ported, convert
from tests.regression.leg_numbers import numbers
from tests.regression.leg_transformers import backend_of, loading_problems
from tests.regression.legs import LEGS, NEWEST_TRANSFORMERS, TRANSFORMERS, Leg
from tests.regression.models import QUICK, TINY
from tests.regression.planted import PLANTS, ROUNDED
from tests.support.converted_folders import PREPROCESSOR, said, stored, with_tensors

from aves_convert.weights.state_dict import read_state_dict
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend

pytestmark = pytest.mark.slow

Runner = Callable[..., dict[str, Any]]
BASE = ("base",)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("legs")


@pytest.fixture(scope="module")
def newest(work: Path) -> Runner:
    """The newest leg in this environment, which holds the newest of everything that this Python has.

    It is run in this process, where torch and transformers are imported once; the oldest is run in one of its own.
    """

    @functools.cache
    def run(plant: str, models: tuple[str, ...] = BASE) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=work) as expected, tempfile.TemporaryDirectory(dir=work) as folder:
            hashes = program.expected_hashes(models, Path(expected))
            return program.run_leg(models, Path(folder), hashes, plant)

    return run


@pytest.fixture(scope="module")
def oldest(work: Path) -> Iterator[Runner]:
    with run_leg.environment(LEGS["torch-2.0.1"], work) as found:

        def run(plant: str, models: tuple[str, ...] = BASE) -> dict[str, Any]:
            expected = run_leg.expected_hashes(work, models)
            return run_leg.run(LEGS["torch-2.0.1"], found, expected, models, plant=plant)

        yield run
        python = found.python
    assert not python.exists()


def backends(result: dict[str, Any]) -> set[str]:
    return {row["backend"] for row in result["numbers"]}


def test_the_newest_leg(newest: Runner) -> None:
    result = newest("nothing", QUICK)
    assert result["failures"] == []
    assert {row["model"] for row in result["numbers"]} == set(QUICK)
    assert {"torchaudio", "onnx", "onnx by torch", "transformers"} <= backends(result)
    assert ("fairseq" in backends(result)) == result["fairseq_runs"]
    assert result["loads_newer_names"]
    assert all(row["values"] > 2_000 for row in result["numbers"])


@pytest.mark.environments
def test_the_oldest_leg(oldest: Runner) -> None:
    result = oldest("nothing", QUICK)
    assert result["failures"] == []
    assert result["environment"]["torch"].startswith("2.0.1")
    assert result["environment"]["python"].startswith("3.10.")
    assert {"fairseq", "torchaudio", "onnx", "transformers"} <= backends(result)
    assert TRANSFORMERS["2.0.1"] == f"transformers=={result['environment']['transformers']}"
    assert not result["loads_newer_names"]
    assert result["exporters"] == ["TorchScript"]
    assert result["gigabytes"] < 15
    # torch 2.0's exporter knows no scaled_dot_product_attention; the way out is told
    assert any("take another torch" in note for note in result["notes"])


@pytest.mark.parametrize(
    ("plant", "cause"),
    [
        ("keys", "keys are written as encoder.transformer.pos_conv_embed.conv.parametrizations.weight.original0"),
        ("half", f"{ROUNDED} in base.torchaudio.pt is not the original's"),
        ("exporter", "the graph is by torch's newer exporter (dynamo): its default was flipped"),
    ],
)
def test_the_newest_leg_fails_for_what_is_planted(newest: Runner, plant: str, cause: str) -> None:
    failures = newest(plant)["failures"]
    assert any(cause in failure for failure in failures), failures


def test_a_rounded_tensor_shows_in_its_name_and_in_every_number(newest: Runner) -> None:
    failures = "\n".join(newest("half")["failures"])
    assert "it is the original's, rounded to float16" in failures
    for backend in ("torchaudio", "onnx", "onnx by torch", "transformers"):
        assert f"base, {backend}: " in failures
    assert "base, fairseq: " not in failures  # which reads the checkpoint, where nothing is rounded


@pytest.mark.environments
@pytest.mark.parametrize(
    ("plant", "cause"), [("keys", ""), ("half", "it is the original's, rounded to float16"), ("exporter", "")]
)
def test_the_oldest_leg_fails_where_it_is_concerned(oldest: Runner, plant: str, cause: str) -> None:
    """torch 2.0 itself writes the older names, and has the older exporter alone."""
    failures = oldest(plant)["failures"]
    if cause:
        assert any(cause in failure for failure in failures), failures
    else:
        assert failures == []


def test_every_plant_is_tried() -> None:
    assert set(PLANTS) == {"nothing", "keys", "half", "exporter"}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, TorchaudioBackend, Golden]:
    ported = convert("base", tmp_path_factory.mktemp("base"))
    backend = TorchaudioBackend(ported.config, read_state_dict(ported.weights, ported.config))
    return ported, backend, read_golden(GOLDENS / "base.safetensors")


class Drifted:
    """The port, its error against float64 so many times what it is."""

    name = kind = "torchaudio"

    def __init__(self, ported: Ported, backend: TorchaudioBackend, factor: float) -> None:
        self.backend, self.factor = backend, factor
        self.exact = TorchaudioBackend(ported.config, backend.weights(), dtype=torch.float64)

    def run(self, waveform: np.ndarray, *, layers: bool = False) -> dict[str, np.ndarray]:
        given, exact = self.backend.run(waveform, layers=layers), self.exact.run(waveform, layers=layers)
        return {name: (exact[name] + self.factor * (given[name] - exact[name])).astype(np.float32) for name in given}


def test_drift_under_the_noise_floor_passes_and_shows(converted: Any) -> None:
    ported, backend, golden = converted
    before, after = (numbers(ported, Drifted(ported, backend, factor), golden) for factor in (1.0, 2.5))
    assert before.failures == after.failures == ()
    assert before.error_ratio < 1.5
    assert after.error_ratio > 2 * before.error_ratio


def test_drift_beyond_it_fails(converted: Any) -> None:
    ported, backend, golden = converted
    found = numbers(ported, Drifted(ported, backend, 20.0), golden)
    assert found.failures
    assert "times the original's own" in found.failures[0]


def test_a_layer_that_is_not_given_fails(converted: Any) -> None:
    ported, backend, golden = converted

    class Shallow:
        name = kind = "torchaudio"

        def run(self, waveform: np.ndarray, *, layers: bool) -> Any:
            return {k: v for k, v in backend.run(waveform, layers=layers).items() if k != "layer.0"}

    assert numbers(ported, Shallow(), golden).failures == ("no output layer.0",)  # type: ignore[arg-type]


def test_a_folder_that_from_pretrained_makes_another_model_of_fails(converted: Any, tmp_path: Path) -> None:
    ported, _, _ = converted
    folder = shutil.copytree(ported.folder, tmp_path / ported.folder.name)
    changed = dataclasses.replace(ported, folder=said(folder, PREPROCESSOR, do_normalize=True))
    (problem,) = loading_problems(changed, backend_of(changed))
    assert problem.startswith("transformers: base.transformers: its feature extractor gives the model another input")


def test_a_folder_with_another_weight_fails(converted: Any, tmp_path: Path) -> None:
    ported, _, _ = converted
    folder = shutil.copytree(ported.folder, tmp_path / ported.folder.name)
    bias = stored(folder)["encoder.layer_norm.bias"] + np.float32(1e-3)
    changed = dataclasses.replace(ported, folder=with_tensors(folder, encoder__layer_norm__bias=bias))
    (problem,) = loading_problems(changed, backend_of(changed))
    assert "encoder.transformer.layer_norm.bias in base.transformers is not the original's" in problem


def test_a_leg_without_transformers_says_so(converted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ported, _, golden = converted
    monkeypatch.setattr(program, "_installed", lambda package: package != "transformers")
    findings = program.Findings()
    program._transformers(ported, golden, findings)
    told = "base, transformers: not installed beside this torch; no folder is loaded"
    assert findings == program.Findings(notes=[told])


def test_other_clips_than_the_goldens_are_refused(converted: Any) -> None:
    ported, backend, golden = converted
    hashes = {**golden.provenance["clips_sha256"], "chirp": "0"}
    other = Golden(golden.clips, golden.original, golden.exact, {**golden.provenance, "clips_sha256": hashes})
    with pytest.raises(ValueError, match="reference signals are not those of the golden"):
        numbers(ported, backend, other)


def test_every_version_has_a_leg() -> None:
    torches = [leg.requirements[0] for leg in LEGS.values() if leg.axis == "torch"]
    wanted = ("2.0.1", "2.1", "2.2", "2.4", "2.6", "2.8", "2.9", "2.11")
    assert all(any(need.startswith(f"torch=={version}") for need in torches) for version in wanted)
    assert "torch" in torches
    assert {leg.python for leg in LEGS.values()} == {"3.10", "3.11", "3.12", "3.13"}
    runtimes = [leg for leg in LEGS.values() if leg.axis == "runtime"]
    assert any("onnxruntime==1.17.3" in leg.requirements for leg in runtimes)
    assert any("onnxruntime" in leg.requirements for leg in runtimes)
    numpys = {need[7:10] for leg in runtimes for need in leg.requirements if need.startswith("numpy==")}
    assert {"1.2", "2.0"} <= numpys
    assert set(QUICK) < set(TINY)


def test_every_leg_has_the_transformers_of_the_table() -> None:
    for leg in LEGS.values():
        (library,) = (need for need in leg.requirements if need.startswith("transformers"))
        beside = leg.requirements[0].removeprefix("torch==")
        assert library == TRANSFORMERS.get(beside, NEWEST_TRANSFORMERS)
    assert "transformers==4.40.0" in TRANSFORMERS.values()  # where the extra begins
    assert all(f"torch=={version}" in {leg.requirements[0] for leg in LEGS.values()} for version in TRANSFORMERS)


def test_a_missing_interpreter_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LEGS, "torch-2.0.1", Leg("torch-2.0.1", "torch", "3.99", ("torch",)))
    monkeypatch.setattr(run_leg, "expected_hashes", lambda *_: tmp_path / "none")
    monkeypatch.setattr(sys, "argv", ["run_leg", "torch-2.0.1", "--results", str(tmp_path / "results")])
    with pytest.raises(SystemExit) as ended:
        run_leg.main()
    assert ended.value.code == 0
    result = json.loads((tmp_path / "results" / "torch-2.0.1.json").read_text())
    assert result["not_run"] == "Python 3.99 is not here and uv cannot fetch it"
    assert run_leg.line(result) == f"torch-2.0.1: NOT RUN: {result['not_run']}"


def test_an_environment_that_cannot_be_made_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_leg, "expected_hashes", lambda *_: tmp_path / "none")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    result = run_leg.run_here(Leg("x", "torch", version, ("torch==0.0.1",)), tmp_path / "results", BASE, "nothing")
    assert "its environment cannot be made" in result["failures"][0]
    assert not list(tmp_path.glob("environment-*"))


def test_a_program_that_ends_by_an_error_fails_the_leg(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    here = run_leg.Environment(Path(sys.executable), 0.0, 0.0)
    result = run_leg.run(LEGS["torch-newest"], here, work / "none.json", BASE)
    assert "the leg's program ended by an error: FileNotFoundError" in result["failures"][0]
    assert "Traceback" in capfd.readouterr().err
