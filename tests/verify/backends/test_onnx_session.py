"""A graph is run in a process of its own, which gives the same numbers and ends at its limits."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, weights

from aves_artifacts.base.errors import InputError
from aves_verify.backends import onnx_runtime, separate
from aves_verify.backends.backend import IMPLEMENTATIONS, RunError
from aves_verify.backends.onnx_runtime import OnnxSession, provider_options
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.separate import about, check

WAVEFORM = np.linspace(-1, 1, 4000, dtype=np.float32)[None]


def test_the_numbers_are_those_of_this_process(tmp_path: Path) -> None:
    onnx.save(encoder_graph(TINY, weights(TINY)), tmp_path / "x.onnx")
    apart, here = OnnxBackend(tmp_path / "x.onnx"), OnnxSession(tmp_path / "x.onnx")
    (found, expected) = (encoder.run(WAVEFORM) for encoder in (apart, here))
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)
    with pytest.raises(RunError, match="fails on a waveform"):
        apart.run(WAVEFORM[:, :3])
    assert apart.run(WAVEFORM).keys() == expected.keys()


def test_small_graphs_are_run_in_one_process_one_after_the_other(tmp_path: Path) -> None:
    onnx.save(encoder_graph(TINY, weights(TINY)), tmp_path / "x.onnx")
    onnx.save(encoder_graph(TINY, weights(TINY, seed=1)), tmp_path / "y.onnx")
    numbers, outputs = [], []
    for name in ("x.onnx", "y.onnx"):
        backend = OnnxBackend(tmp_path / name)
        numbers.append(backend._process.call("os", "getpid", limits=backend.limits(WAVEFORM.shape)))
        outputs.append(backend.run(WAVEFORM)["final"])
        del backend
    assert numbers[0] == numbers[1]
    assert np.array_equal(outputs[1], OnnxSession(tmp_path / "y.onnx").run(WAVEFORM)["final"])
    one, other = OnnxBackend(tmp_path / "x.onnx"), OnnxBackend(tmp_path / "y.onnx")
    assert np.array_equal(one.run(WAVEFORM)["final"], outputs[0])
    assert np.array_equal(other.run(WAVEFORM)["final"], outputs[1])


def test_a_backend_that_is_gone_lends_on_what_it_had_without_a_collection(tmp_path: Path) -> None:
    """Also where it was run otherwise optimised; processes that wait for the collector take all memory."""
    onnx.save(encoder_graph(TINY, weights(TINY)), tmp_path / "x.onnx")
    gc.disable()
    try:
        numbers = set()
        for _ in range(3):
            backend = OnnxBackend(tmp_path / "x.onnx", config=TINY)
            other = backend.otherwise_optimised()
            numbers.add(backend._process.call("os", "getpid", limits=backend.limits(WAVEFORM.shape)))
            del backend
            assert other.run(WAVEFORM)["final"].shape[0] == 1  # it is still nobody else's
            del other
        assert len(numbers) == 1
    finally:
        gc.enable()


def _with_node(path: Path, node: onnx.NodeProto, **constants: np.ndarray) -> Path:
    """An encoder to whose output something is added that ``node`` makes under the name "more"."""
    model = encoder_graph(TINY, weights(TINY))
    name = model.graph.output[0].name
    for each in model.graph.node:
        each.output[:] = ["before" if output == name else output for output in each.output]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, key) for key, array in constants.items())
    model.graph.node.extend([node, helper.make_node("Add", ["before", "more"], [name])])
    onnx.save(model, path)
    return path


@pytest.mark.slow
def test_a_graph_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["x", "x"], ["x2"])],
        "body",
        [of("i", TensorProto.INT64, []), of("c", TensorProto.BOOL, []), of("x", TensorProto.FLOAT, [1])],
        [of("c2", TensorProto.BOOL, []), of("x2", TensorProto.FLOAT, [1])],
    )
    loop = helper.make_node("Loop", ["trips", "go", "zero"], ["more"], body=body)
    path = _with_node(tmp_path / "x.onnx", loop, trips=np.array(2**62), go=np.array(True), zero=np.zeros(1, np.float32))
    backend = OnnxBackend(path, config=TINY)
    monkeypatch.setattr(separate, "_SECONDS", 2.0)
    with pytest.raises(RunError, match=r"x\.onnx: ONNX Runtime does not run .* more than \d s, and was stopped"):
        backend.run(WAVEFORM)


@pytest.mark.slow
def test_a_tensor_made_from_nothing(tmp_path: Path) -> None:
    large = helper.make_node("ConstantOfShape", ["size"], ["zeros"])
    path = _with_node(tmp_path / "x.onnx", large, size=np.array([700 << 20]))
    model = onnx.load(path)
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("ReduceSum", ["zeros"], ["more"], keepdims=0))
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"GiB of memory|[Ff]ailed to allocate|bad.alloc"):  # when it is loaded, or run
        OnnxBackend(path, config=TINY).run(WAVEFORM)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "x.onnx"
    onnx.save(encoder_graph(TINY, weights(TINY)), path)
    return path


def test_a_provider_that_is_not_here_is_told_with_those_that_are(graph: Path) -> None:
    row = IMPLEMENTATIONS["onnx"]
    check(row, {"provider": "cpu"})
    for name in ("cuba", "CubaExecutionProvider"):
        told = rf"ONNX Runtime .* has no provider {name} here; it has .*CPUExecutionProvider; .*`onnx_provider`"
        with pytest.raises(InputError, match=told):
            check(row, {"provider": name})
        with pytest.raises(InputError, match=told):
            OnnxBackend(graph, provider=name)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("optimisation", "most", "no optimisation most; it has none, basic, extended, all"),
        ("threads", "abc", "threads is abc, expected a whole number from 1 on"),
        ("threads", "0", "threads is 0, expected"),
        ("device", "GPU", "device is GPU, but CPUExecutionProvider has none to choose from; those that have are CUDA"),
    ],
)
def test_an_option_that_cannot_be_meant_is_told(option: str, value: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check(IMPLEMENTATIONS["onnx"], {option: value})


def test_nothing_is_left_to_a_providers_own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    tensorrt = {"trt_fp16_enable": "0", "trt_bf16_enable": "0", "trt_int8_enable": "0"}
    monkeypatch.setattr(onnx_runtime, "_VERSION", (1, 32))
    assert provider_options("TensorrtExecutionProvider") == tensorrt
    assert provider_options("TensorrtExecutionProvider", "1") == {**tensorrt, "device_id": "1"}
    assert provider_options("OpenVINOExecutionProvider") == {"device_type": "CPU", "precision": "FP32"}
    assert provider_options("OpenVINOExecutionProvider", "GPU") == {"device_type": "GPU", "precision": "FP32"}
    assert provider_options("CPUExecutionProvider") == {}
    monkeypatch.setattr(onnx_runtime, "_VERSION", (1, 22))  # which refuses what it does not know
    assert "trt_bf16_enable" not in provider_options("TensorrtExecutionProvider")


def test_the_report_has_the_provider(graph: Path) -> None:
    assert about(OnnxBackend(graph, provider="cpu")).settings == {"provider": "CPUExecutionProvider"}
    assert about(OnnxBackend(graph)).problems == ()


@pytest.mark.skipif("AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="it is not built in")
def test_a_provider_that_runs_no_node_is_a_problem(graph: Path) -> None:
    """That one runs a single operator, which no encoder has: everything is left to the processor."""
    backend = OnnxBackend(graph, provider="azure")
    assert "nodes" not in about(backend).settings
    assert np.array_equal(backend.run(WAVEFORM)["final"], OnnxBackend(graph).run(WAVEFORM)["final"])
    known = about(backend)
    assert known.settings["provider"] == "AzureExecutionProvider"
    count, _, where = known.settings["nodes"].partition(" on ")
    assert int(count) > 50
    assert where == "CPUExecutionProvider"
    assert known.problems == ("no node ran on AzureExecutionProvider: the numbers are those of others",)
    assert np.array_equal(backend.run(WAVEFORM)["final"], OnnxBackend(graph).run(WAVEFORM)["final"])
    assert about(backend).settings == known.settings
