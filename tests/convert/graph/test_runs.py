"""The graph in every way that it is run, each answer against float64 within float32 rounding."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import (
    TINY,
    answers,
    assert_exact,
    clip,
    open_session,
    run,
    tiny,
    torch_outputs,
    weights,
)

from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.encoder import FIRST_OPSET
from aves_convert.graph.options import OnnxOptions, Precision

OPSETS = range(FIRST_OPSET, onnx.defs.onnx_opset_version() + 1)
LEVELS = tuple(onnxruntime.GraphOptimizationLevel.__members__)
# what the norm's statistics are made of, in the first convolution
STATISTICS = ("conv/rows", "conv/products/blocks", "layer_norm/variance")
FIELD, HOP = TINY.receptive_field, TINY.hop
UNUSABLE = ((0, 16_000), *((2, samples) for samples in range(FIELD)), (16_000,), (1, 1, 16_000))

each_session = pytest.mark.parametrize(("threads", "level"), list(itertools.product((1, 2), LEVELS)))


each_way = pytest.mark.parametrize(
    "options", [OnnxOptions(), OnnxOptions(attention="fused"), OnnxOptions(precision="mixed")]
)


@functools.cache
def exact(config: EncoderConfig, samples: int, batch: int) -> dict[str, np.ndarray]:
    return torch_outputs(config, weights(config), clip(samples, batch, offset=0.1).double())


@pytest.mark.slow
@each_session
@each_way
@pytest.mark.parametrize("variant", ["base", "large", "channel-blocks", "channel-blocks-layer-norm"])
def test_levels_threads_batches_and_lengths(variant: str, options: OnnxOptions, threads: int, level: str) -> None:
    config = tiny(variant)
    options = dataclasses.replace(options, layers="all")
    session = open_session(encoder_graph(config, weights(config), options), level, threads)
    for frames, rest in ((1, 0), (2, 0), (3, HOP - 1), (49, 1), (400, 0), (401, 0)):
        for batch in (1, 3):
            samples = FIELD + (frames - 1) * HOP + rest
            found = answers(session, clip(samples, batch, offset=0.1))
            assert found["embeddings"].shape[1] == frames
            assert_exact(found, exact(config, samples, batch))


# AVES' receptive field and hop, so that two minutes are as many frames as they are there. One head in one layer: the
# attention scores take 144 MB for each head and clip.
TWO_MINUTES: dict[str, Any] = {
    "extractor_conv_layer_config": ((16, 10, 5), *((16, 3, 2),) * 4, *((16, 2, 2),) * 2),
    "encoder_embed_dim": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_heads": 1,
    "encoder_ff_interm_features": 16,
    "encoder_num_layers": 1,
}


@pytest.mark.slow
@each_session
@pytest.mark.parametrize(("variant", "attention"), [("base", "standard"), ("base", "fused"), ("large", "standard")])
def test_two_minutes(variant: str, attention: Any, threads: int, level: str) -> None:
    config = dataclasses.replace(tiny(variant), **TWO_MINUTES)
    session = open_session(encoder_graph(config, weights(config), OnnxOptions(attention=attention)), level, threads)
    for batch, samples, frames in ((1, 120 * 16_000, 5999), (3, 120 * 16_000 + 320, 6000)):
        found = answers(session, clip(samples, batch, offset=0.1))
        assert found["embeddings"].shape[1] == frames
        assert_exact(found, exact(config, samples, batch))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("variant", "layers", "precision"),
    [
        ("base", "all", "float32"),
        ("base", "all", "mixed"),
        ("large", "all", "float32"),
        ("ctc-head", "last", "float32"),
    ],
)
def test_every_opset_in_both_runtimes(variant: str, layers: Any, precision: Precision, opset: int) -> None:
    """onnx's own evaluator shares no code with ONNX Runtime."""
    config = tiny(variant)
    state_dict, waveform = weights(config), clip(700, 2, offset=0.1)
    expected = torch_outputs(config, state_dict, waveform.double())
    model = encoder_graph(config, state_dict, OnnxOptions(layers=layers, opset=opset, precision=precision))
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    evaluated: Any = ReferenceEvaluator(model).run(None, {"waveform": waveform.numpy()})
    outputs = [output.name for output in model.graph.output]
    assert outputs == (["embeddings", "logits"] if layers == "last" else list(expected))
    assert_exact(dict(zip(outputs, evaluated, strict=True)), expected)
    assert_exact(run(model, waveform), expected)


@pytest.mark.parametrize("opset", OPSETS)
def test_fused_attention_at_every_opset(opset: int) -> None:
    model = encoder_graph(TINY, weights(TINY), OnnxOptions(layers="all", attention="fused", opset=opset))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset), ("com.microsoft", 1)]
    assert_exact(run(model, clip(700, 3, offset=0.1)), exact(TINY, 700, 3))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="ONNX Runtime may lack such kernels")
@pytest.mark.parametrize(
    ("variant", "convolutions"), [("channel-blocks", (1, 2, 3)), ("channel-blocks-layer-norm", (0, 1, 2, 3))]
)
def test_convolutions_are_computed_in_blocks_of_channels(
    variant: str, convolutions: tuple[int, ...], tmp_path: Path
) -> None:
    """All but the one with a group norm, which is a product of another form."""
    config = tiny(variant)
    path, options = tmp_path / "optimised.onnx", onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(path), 3
    graph = encoder_graph(config, weights(config)).SerializeToString()
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(path).graph.node
    blocked = [n for n in nodes if n.domain == "com.microsoft.nchwc" and n.op_type == "Conv"]
    paths = {n.name.removesuffix("_nchwc") for n in blocked}
    found = paths - {f"/feature_extractor/conv_layers.0/{each}/Conv" for each in STATISTICS}
    expected = {f"/feature_extractor/conv_layers.{i}/conv/Conv" for i in convolutions}
    assert found == {*expected, "/encoder/transformer/pos_conv_embed/conv/Conv"}


@each_way
@pytest.mark.parametrize("variant", ["base", "large", "channel-blocks", "channel-blocks-layer-norm"])
def test_unusable_input_is_an_error_and_not_the_end_of_the_process(variant: str, options: OnnxOptions) -> None:
    """ONNX Runtime's Einsum divides by the size of the batch; each length is too short for another convolution."""
    session = open_session(encoder_graph(tiny(variant), weights(tiny(variant)), options), LEVELS[-1], 1)
    for shape in UNUSABLE:
        with pytest.raises((Fail, InvalidArgument)):
            session.run(None, {"waveform": np.zeros(shape, np.float32)})


@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize(("variant", "opset"), [("base", 17), ("large", 17), ("ctc-head", 17), ("base", OPSETS[-1])])
def test_a_fixed_shape_gives_the_same_and_asks_for_no_shape(variant: str, opset: int, precision: Precision) -> None:
    config, (batch, samples) = tiny(variant), (2, FIELD + 9 * HOP + 3)
    options = OnnxOptions(layers="all", opset=opset, precision=precision, fixed_shape=(batch, samples))
    model = encoder_graph(config, weights(config), options)
    assert not {node.op_type for node in model.graph.node} & {"Shape", "Size", "NonZero", "If", "Loop"}
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        assert all(axis.HasField("dim_value") for axis in value.type.tensor_type.shape.dim), value.name
    assert_exact(run(model, clip(samples, batch, offset=0.1)), exact(config, samples, batch))
    with pytest.raises(InvalidArgument):
        run(model, clip(samples + 1, batch))
