"""OpenVINO runs the graphs that ONNX Runtime runs, and says on what and in which numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, VARIANTS, weights

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.options import OnnxOptions
from aves_verify.backends.backend import IMPLEMENTATIONS, Given, RunError
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.openvino_runtime import OpenvinoSession
from aves_verify.backends.separate import SeparateBackend, about, check

ROW = IMPLEMENTATIONS["openvino"]
NOISE = np.random.default_rng(0).normal(0, 0.1, (2, 6000)).astype(np.float32)


def openvino(path: Path, config: EncoderConfig = TINY, **options: str) -> SeparateBackend:
    return SeparateBackend(ROW, Given(path, config, ROW.chosen(options)))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "x.onnx"
    onnx.save(encoder_graph(TINY, weights(TINY)), path)
    return path


@pytest.mark.parametrize("variant", ["base", "pre-norm", "ctc-head"])
def test_every_output_of_every_shape_is_that_of_onnx_runtime(variant: str, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, **VARIANTS[variant])
    onnx.save(encoder_graph(config, weights(config), OnnxOptions(layers="all")), tmp_path / "x.onnx")
    found, expected = openvino(tmp_path / "x.onnx", config), OnnxBackend(tmp_path / "x.onnx", config=config)
    assert found.gives_layers
    for samples in (6000, 700, 6000):
        for layers in (True, False):
            mine, other = (backend.run(NOISE[:, :samples], layers=layers) for backend in (found, expected))
            assert mine.keys() == other.keys()
            for name, array in mine.items():
                assert array.dtype == np.float32
                assert np.abs(array - other[name]).max() < 1e-4 * max(1, np.abs(other[name]).max())
    assert np.array_equal(mine["final"], found.run(NOISE)["final"])


def test_it_says_on_what_it_runs_and_what_it_makes_of_double(graph: Path, tmp_path: Path) -> None:
    known = about(openvino(graph))
    assert known.version[:2] == "20"
    assert known.settings["device"].startswith("CPU (")
    assert known.settings["inference precision"] == "f32"
    assert known.settings["computed in"] == "f32"
    assert "double" not in known.settings
    onnx.save(encoder_graph(TINY, weights(TINY), OnnxOptions(precision="mixed")), tmp_path / "x.onnx")
    assert about(openvino(tmp_path / "x.onnx")).settings["double"] == "computed as f32"


def test_fewer_bits_are_what_is_asked_for_and_told(graph: Path) -> None:
    exactly, coarsely = openvino(graph), openvino(graph, precision="bf16")
    fine, coarse = exactly.run(NOISE)["final"], coarsely.run(NOISE)["final"]
    difference = np.abs(coarse - fine).max()
    if "bf16" in about(coarsely).settings["computed in"]:
        assert difference > 1e-4
        assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.5  # a tiny model has little to average over
    else:  # a processor without bfloat16: OpenVINO computes in float32, and that is what is told
        assert about(coarsely).settings["computed in"] == "f32"
        assert difference < 1e-4


def test_it_runs_on_one_thread(graph: Path) -> None:
    backend = openvino(graph)
    alone = SeparateBackend(ROW, backend.with_options(threads="1"))
    assert np.abs(alone.run(NOISE)["final"] - backend.run(NOISE)["final"]).max() < 1e-4


def test_what_follows_an_input_of_one_frame_is_right_too(graph: Path) -> None:
    """In one compiled model it is not; once it is, a model of their own for such inputs is no longer needed."""
    one, expected = NOISE[:, : TINY.receptive_field], OnnxBackend(graph, config=TINY).run(NOISE)["final"]
    backend, unaware = openvino(graph), OpenvinoSession(graph, ROW.options)  # without a config: any file by itself
    assert "inputs of one frame" not in about(backend).settings
    for waveform in (one, NOISE, NOISE[:, : TINY.receptive_field + TINY.hop - 1], NOISE):
        found, other = (encoder.run(waveform)["final"] for encoder in (backend, unaware))
    assert np.abs(found - expected).max() < 1e-4
    assert np.abs(other - expected).max() > 0.1
    assert about(backend).settings["inputs of one frame"] == "in a compiled model of their own"


def test_layers_that_a_graph_has_not_are_told(graph: Path) -> None:
    with pytest.raises(InputError, match=r"x\.onnx: gives only the last layer; write it with `layers` all"):
        openvino(graph).run(NOISE, layers=True)


def test_a_waveform_that_is_too_short_is_the_ports_failure_and_it_runs_on(graph: Path) -> None:
    backend = openvino(graph)
    with pytest.raises(RunError, match=r"x\.onnx: OpenVINO fails on a waveform \[1, 3\]: .") as caught:
        backend.run(NOISE[:1, :3])
    assert "Exception from" not in str(caught.value)
    assert backend.run(NOISE)["final"].shape[0] == 2


def test_files_that_are_none_and_graphs_of_something_else_are_told(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "page.onnx").write_text("<html>404</html>")
    (tmp_path / "torn.onnx").write_bytes(graph.read_bytes()[:5000])
    model = onnx.load(graph)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "half.onnx")
    for name in ("page", "torn", "half"):
        with pytest.raises(InputError, match=rf"{name}\.onnx: .*expected a graph with the input waveform") as caught:
            openvino(tmp_path / f"{name}.onnx")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"device": "TPU"}, r"OpenVINO 20.* has no device TPU here; it has (\w+, )*CPU.*`openvino_device`"),
        ({"precision": "f8"}, "OpenVINO computes in f32, f16, bf16, not in f8; give one of them"),
        ({"threads": "-2"}, "OpenVINO: threads is -2, expected a whole number from 1 on"),
        ({"threads": "²"}, "OpenVINO: threads is "),
    ],
)
def test_options_that_cannot_be_meant_are_told_before_anything_is_loaded(options: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        check(ROW, options)


def test_a_device_may_be_written_small(graph: Path) -> None:
    check(ROW, {"device": "cpu"})
    assert about(openvino(graph, device="auto")).settings["device"] == "AUTO"
