"""Looking into whole graphs: clean ones pass, each fault is told, and what was not looked at is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tests.support.tiny_encoders import TINY, tiny, weights

from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.build import write_graph
from aves_convert.graph.options import OnnxOptions
from aves_verify.audit.audit import Audit, audit
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.loading.load import Loaded

pytestmark = pytest.mark.slow

Model = onnx.ModelProto
Change = Callable[[Model], None]
LAYER = "/layers.1/"


def loaded(config: EncoderConfig, backend: OnnxBackend, *, exact: bool = True) -> Loaded:
    answer = TorchaudioBackend(config, weights(config), dtype=torch.float64) if exact else None
    return Loaded((backend,), answer, config, normalize=False, problems=(), weights={})


def exported(variant: str = "base", **options: object) -> Model:
    config = tiny(variant)
    state = {name: tensor.numpy() for name, tensor in weights(config).items()}
    return write_graph(config, state, OnnxOptions(**options), {})  # type: ignore[arg-type]


def audited(model: Model, folder: Path, variant: str = "base", *, exact: bool = True) -> Audit:
    onnx.save(model, folder / "x.onnx")
    backend = OnnxBackend(folder / "x.onnx")
    return audit(backend, loaded(tiny(variant), backend, exact=exact))


@pytest.fixture(scope="module")
def ordinary() -> Model:
    """What torch.onnx makes, whose weights have names of their own."""
    return exported(exporter="torch")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": "all"},
        {"attention": "fused"},
        {"opset": 23},
        {"exporter": "torch", "opset": 14},
        {"exporter": "torch", "layers": "all"},
    ],
    ids=str,
)
@pytest.mark.parametrize("variant", ["base", "large", "ctc-head", "odd-sizes"])
def test_a_clean_graph_has_no_problem(variant: str, options: dict[str, object], tmp_path: Path) -> None:
    found = audited(exported(variant, **options), tmp_path, variant)
    assert found.problems == ()
    assert [clip.clip for clip in found.clips] == ["chirp", "dc_offset"]
    assert all(stage.error is not None for clip in found.clips for stage in clip.stages if stage.operator == "output")
    assert "stages found inside the graph" in found.text
    assert "nodes computed once more in float64" in found.text
    assert " not " not in found.text


def weight(model: Model, change: Callable[[np.ndarray], np.ndarray], *, of: str, kind: str = "MatMul") -> None:
    (node,) = [n for n in model.graph.node if of in n.name and n.op_type == kind]
    (tensor,) = [t for t in model.graph.initializer if t.name in node.input]
    changed = change(numpy_helper.to_array(tensor).copy()).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), tensor.name))


def behind(model: Model, value: str, *steps: onnx.NodeProto) -> None:
    """Put nodes behind the one that computes a value: they read "@in" and write "@out"."""
    (place,) = [i for i, n in enumerate(model.graph.node) if value in n.output]
    model.graph.node[place].output[0] = f"{value}/before"
    for i, step in enumerate(steps):
        step.input[:] = [f"{value}/before" if name == "@in" else name for name in step.input]
        step.output[:] = [value if name == "@out" else name for name in step.output]
        model.graph.node.insert(place + 1 + i, step)


def output_of(model: Model, kind: str, of: str = LAYER) -> str:
    (node,) = [n for n in model.graph.node if n.op_type == kind and of in n.name]
    return str(node.output[0])


def scores(model: Model) -> str:
    """Of the first layer."""
    return next(str(node.input[0]) for node in model.graph.node if node.op_type == "Softmax")


def in_half(model: Model, value: str, to: int = TensorProto.FLOAT16) -> None:
    behind(
        model,
        value,
        helper.make_node("Cast", ["@in"], ["half"], to=to),
        helper.make_node("Cast", ["half"], ["@out"], to=TensorProto.FLOAT),
    )


def small_as_zero(model: Model, value: str) -> None:
    for name, number in (("least", 2.5e-4), ("zero", 0.0)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(number), name))
    behind(
        model,
        value,
        helper.make_node("Abs", ["@in"], ["size"]),
        helper.make_node("Less", ["size", "least"], ["small"]),
        helper.make_node("Where", ["small", "zero", "@in"], ["@out"]),
    )


def scaled(model: Model, value: str, factor: float) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.float32(factor), "factor"))
    behind(model, value, helper.make_node("Mul", ["@in", "factor"], ["@out"]))


def epsilons(model: Model, epsilon: float, of: str = "") -> None:
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "epsilon" and of in node.name:
                attribute.f = epsilon


def bias(model: Model, change: Callable[[np.ndarray], np.ndarray], of: str) -> None:
    (tensor,) = [t for t in model.graph.initializer if t.name.endswith(of)]
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), tensor.name))


def one_larger(a: np.ndarray) -> np.ndarray:
    a[3] += np.float32(1e-4)
    return a


FAULTS: list[tuple[str, Change, str]] = [
    ("key matrix 0.1 %", lambda m: weight(m, lambda a: a * 1.001, of=f"{LAYER}attention/k_proj"), "key projection"),
    ("bfloat16", lambda m: weight(m, lambda a: torch.tensor(a).bfloat16().float().numpy(),
                                  of=f"{LAYER}feed_forward/intermediate_dense"), "feed-forward, first linear"),
    ("scores", lambda m: in_half(m, scores(m)), "layer 0, softmax"),
    ("shares", lambda m: in_half(m, output_of(m, "Softmax")), "layer 1, attention"),
    ("norm", lambda m: in_half(m, output_of(m, "LayerNormalization", f"{LAYER}layer_norm")), "float32, where"),
    ("output bias", lambda m: bias(m, np.zeros_like, "layers.1.attention.out_proj.bias"), "output projection"),
    ("key bias", lambda m: bias(m, np.zeros_like, "layers.1.attention.k_proj.bias"), "key projection"),
    ("query bias", lambda m: bias(m, one_larger, "layers.1.attention.q_proj.bias"), "query projection"),
    ("small at the end", lambda m: small_as_zero(m, "embeddings"), "output"),
    ("small shares", lambda m: small_as_zero(m, output_of(m, "Softmax")), "attention"),
    ("scale", lambda m: scaled(m, scores(m), 1.0001), "softmax"),
    ("scaled", lambda m: scaled(m, "embeddings", 1.000005), "output"),
    ("epsilons", lambda m: epsilons(m, 1e-12), "has epsilon 1e-12, the original has 1e-05"),
    ("an epsilon", lambda m: epsilons(m, 1e-6, "layers.1/layer_norm"), "LayerNormalization has epsilon 1e-06"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_fault_in_an_ordinary_export_is_told(change: Change, told: str, ordinary: Model, tmp_path: Path) -> None:
    damaged = Model()
    damaged.CopyFrom(ordinary)
    change(damaged)
    found = audited(damaged, tmp_path)
    assert any(told in problem for problem in found.problems), found.problems
    assert all(problem.startswith("onnx: ") for problem in found.problems)


def test_layers_that_are_exchanged_are_told(tmp_path: Path) -> None:
    model = exported(layers="all")
    other = {"layer.0": "layer.1", "layer.1": "layer.0"}
    for node in model.graph.node:
        node.input[:] = [other.get(name, name) for name in node.input]
        node.output[:] = [other.get(name, name) for name in node.output]
    found = audited(model, tmp_path)
    for layer in other:
        told = f"output {layer}: the port computes something else"
        assert any(problem.endswith(told) for problem in found.problems), found.problems


def test_values_that_cannot_be_read_back_are_told(ordinary: Model, tmp_path: Path) -> None:
    model = Model()
    model.CopyFrom(ordinary)
    in_half(model, output_of(model, "Softmax"), TensorProto.BFLOAT16)
    assert "onnx: half is stored in bfloat16" in audited(model, tmp_path).problems


def test_what_is_told_is_bounded_and_the_rest_counted(ordinary: Model, tmp_path: Path) -> None:
    model = Model()
    model.CopyFrom(ordinary)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            rounded = torch.tensor(numpy_helper.to_array(tensor)).bfloat16().float().numpy()
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    found = audited(model, tmp_path)
    assert len(found.problems) == 6
    assert found.problems[-1].startswith("onnx: and ")
    assert found.problems[-1].endswith(" more stages whose own errors are no rounding")


def test_without_the_original_s_weights_nodes_and_attributes_are_still_looked_at(
    ordinary: Model, tmp_path: Path
) -> None:
    model = Model()
    model.CopyFrom(ordinary)
    assert audited(model, tmp_path, exact=False).problems == ()
    epsilons(model, 1e-12)
    in_half(model, output_of(model, "Softmax"))
    found = audited(model, tmp_path, exact=False)
    assert any("epsilon" in problem for problem in found.problems)
    assert any(problem.startswith("onnx: Cast (the graph's half) is off by") for problem in found.problems)
    assert found.largest is None
    assert found.text.startswith("onnx: ")


def test_a_graph_that_cannot_be_looked_into_has_that_problem(tmp_path: Path) -> None:
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "s"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.zeros(7, np.float32), "w")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    made.ir_version = 10
    found = audited(made, tmp_path)
    (problem,) = found.problems
    assert problem.startswith("onnx: not looked into: ")
    assert found.text == ""


def test_a_receptive_field_longer_than_the_sound_is_filled(tmp_path: Path) -> None:
    # the second is the long one: writing the group norm over the first takes the cube of that one's kernel
    config = EncoderConfig(**{**vars(TINY), "extractor_conv_layer_config": ((4, 10, 5), (4, 2000, 600))})
    assert config.receptive_field > 8_000  # samples, which are looked at of other sounds
    state = weights(config)
    model = write_graph(config, {n: t.numpy() for n, t in state.items()}, OnnxOptions(), {})
    onnx.save(model, tmp_path / "x.onnx")
    backend = OnnxBackend(tmp_path / "x.onnx")
    exact = TorchaudioBackend(config, state, dtype=torch.float64)
    found = audit(backend, Loaded((backend,), exact, config, normalize=False, problems=(), weights={}))
    assert found.problems == ()


def biases_inside(model: Model, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """As ONNX Runtime's own tool writes attention: one bias for queries, keys and values, in the operator itself."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makers = {name: n for n in model.graph.node for name in n.output}
    for i, attention in enumerate([n for n in model.graph.node if n.op_type == "MultiHeadAttention"]):
        linears = [makers[makers[name].input[0]] for name in attention.input[:3]]
        q, k, v = (held[linear.input.pop()] for linear in linears)
        model.graph.initializer.append(numpy_helper.from_array(np.concatenate([q, change(k), v]), f"bias_{i}"))
        attention.input.append(f"bias_{i}")


@pytest.mark.parametrize("change", [np.zeros_like, lambda k: k + np.float32(1e-4), lambda k: k[::-1]])
def test_a_bias_of_the_keys_inside_an_operator_is_seen_though_no_value_shows_it(
    change: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    model = exported(attention="fused")
    biases_inside(model, change)
    found = audited(model, tmp_path)
    assert len(found.problems) == TINY.encoder_num_layers
    for layer, problem in enumerate(found.problems):
        assert f"layer {layer}, key projection (the graph's " in problem
        assert ", key): its own error is " in problem or ", key): an element's own error is " in problem


def test_biases_inside_an_operator_are_where_they_belong(tmp_path: Path) -> None:
    model = exported(attention="fused")
    biases_inside(model, lambda k: k)
    found = audited(model, tmp_path)
    assert found.problems == ()
    keys = [stage for stage in found.clips[0].stages if stage.operator == "key projection"]
    assert all(stage.value is not None and stage.value.endswith(", key") for stage in keys)
