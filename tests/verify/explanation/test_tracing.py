"""Every value inside a port: by TorchAudio's modules, and by an ONNX graph's names."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests.support.tiny_encoders import TINY, VARIANTS, clip, tiny, weights

from aves_verify.backends.backend import RunError
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.explanation.points import FINAL, Point, points
from aves_verify.explanation.tracing import onnx_values, torch_values

WAVEFORM = clip(2000).numpy()
FIRST = "feature_extractor.conv_layers.0.conv"
HEAD_INPUT = "encoder.transformer.layers.1.feed_forward.output_dense:input"


def backend(variant: str = "base") -> TorchaudioBackend:
    config = tiny(variant)
    return TorchaudioBackend(config, weights(config))


@pytest.mark.parametrize("variant", VARIANTS)
def test_torchaudio_gives_every_point_in_order(variant: str) -> None:
    encoder, where = backend(variant), points(tiny(variant))
    values = torch_values(lambda: encoder.run(WAVEFORM), encoder.model, where)
    assert list(values) == [point.site for point in where]
    assert all(value.dtype == np.float32 for value in values.values())


def test_the_values_are_what_the_modules_give_and_are_given() -> None:
    encoder = backend()
    values = torch_values(lambda: encoder.run(WAVEFORM), encoder.model, points(TINY))
    with torch.inference_mode():
        convolved = torch.nn.functional.conv1d(
            torch.tensor(WAVEFORM)[:, None], weights(TINY)[f"{FIRST}.weight"], stride=5
        )
        layer = encoder.model.encoder.transformer.layers[1]
        given = torch.tensor(values[HEAD_INPUT])
        sent = layer.feed_forward.output_dense(given).numpy()
    np.testing.assert_allclose(values[FIRST], convolved.numpy(), atol=1e-6)
    np.testing.assert_allclose(values[HEAD_INPUT.removesuffix(":input")], sent, atol=1e-6)
    assert np.array_equal(values[FINAL], encoder.run(WAVEFORM)["final"])


def test_nothing_stays_behind_in_the_model_not_even_after_a_failure() -> None:
    encoder = backend()
    before = encoder.run(WAVEFORM)["final"]
    torch_values(lambda: encoder.run(WAVEFORM), encoder.model, points(TINY))
    with pytest.raises(RunError):
        torch_values(lambda: encoder.run(WAVEFORM[:, :3]), encoder.model, points(TINY))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in encoder.model.modules())
    assert np.array_equal(encoder.run(WAVEFORM)["final"], before)


def test_a_point_that_the_model_lacks_is_left_out() -> None:
    encoder = backend()
    where = (Point("no.such.module", "x", "x"), Point(FIRST, "x", "x"), Point(FINAL, "x", "x"))
    assert list(torch_values(lambda: encoder.run(WAVEFORM), encoder.model, where)) == [FIRST, FINAL]


def test_a_graph_gives_its_values_of_the_wanted_sizes_in_the_order_of_its_nodes(graph: Path) -> None:
    encoder = backend()
    inside = torch_values(lambda: encoder.run(WAVEFORM), encoder.model, points(TINY))
    final = inside[FINAL]
    values = onnx_values(graph, WAVEFORM, {final.size})
    assert {value.size for value in values.values()} == {final.size}
    order = [name for node in onnx.load(graph).graph.node for name in node.output]
    names = [name for name in values if name != FINAL]
    assert names == sorted(names, key=order.index)
    assert len(names) > 3 * TINY.encoder_num_layers
    np.testing.assert_allclose(values[FINAL], final, atol=1e-5)
    assert np.array_equal(values[FINAL], values["embeddings"])


def test_the_final_value_is_kept_whatever_its_size(graph: Path) -> None:
    assert list(onnx_values(graph, WAVEFORM, ())) == [FINAL]


def test_weights_beside_the_graph_are_found(graph: Path, tmp_path: Path) -> None:
    onnx.save_model(
        onnx.load(graph), tmp_path / "y.onnx", save_as_external_data=True, location="y.onnx.data", size_threshold=1024
    )
    assert (tmp_path / "y.onnx.data").is_file()
    expected = onnx_values(graph, WAVEFORM, ())[FINAL]
    assert np.array_equal(onnx_values(tmp_path / "y.onnx", WAVEFORM, ())[FINAL], expected)


def test_only_floating_point_values_are_kept(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Cast", ["whole"], ["y"], to=TensorProto.FLOAT),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", "s"]) for name in "xy")
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "g.onnx")
    assert list(onnx_values(tmp_path / "g.onnx", WAVEFORM, {WAVEFORM.size})) == ["y", FINAL]


def test_a_graph_that_does_not_run_is_told(graph: Path) -> None:
    assert OnnxBackend(graph).run(WAVEFORM)
    with pytest.raises(RunError, match=r"x\.onnx: ONNX Runtime does not run it: .+"):
        onnx_values(graph, WAVEFORM[:, :3], ())
