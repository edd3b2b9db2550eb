"""Mistakes in smaller graphs: those of their own kind, and those of every graph, some of which their rounding hides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper
from tests.verify.faults.fault import FILE, SMALLER, Fault, Port
from tests.verify.faults.graph_edits import Change, Model, after, constant, in_graph, node, nodes, set_weight
from tests.verify.faults.graph_faults import GRAPH_FAULTS, MIDDLE

INT8, HALF, HALF_WEIGHTS = SMALLER

_DENSE = "encoder.transformer.layers.1.feed_forward.output_dense"
_NODE = f"{MIDDLE}/feed_forward/output_dense"


def _weight(change: Callable[[np.ndarray], np.ndarray], name: str = f"{_DENSE}.weight") -> Change:
    return lambda model: set_weight(model, name, change)


def zero_moved(op: str, to: int) -> Change:
    """The zero of x in one product, or where x is rounded, is another whole number."""

    def change(model: Model) -> None:
        name = constant(model, "other_zero", np.uint8(to))
        product = node(model, f"{_NODE}/MatMulInteger")
        (rounding,) = [n for n in model.graph.node if product.input[0] in n.output]
        {"MatMulInteger": product, "QuantizeLinear": rounding}[op].input[2] = name

    return change


def in_all(op: str, place: int, value: np.generic) -> Change:
    """Every node of this operator has another constant."""

    def change(model: Model) -> None:
        name = constant(model, "other_constant", value)
        for found in nodes(model, op):
            found.input[place] = name

    return change


def every_product(op: str, value: np.generic) -> Change:
    """Something is done to every product before its bias is added."""

    def change(model: Model) -> None:
        name = constant(model, "each_product", value)
        for found in [n.output[0] for n in nodes(model, "Mul") if n.name.endswith("/rows/Mul")]:
            after(model, found, op, name)

    return change


def rounded_down(model: Model) -> None:
    """x is rounded down everywhere, not to the nearest."""
    half = constant(model, "half_a_step", np.float32(0.5))
    for value in [n.input[0] for n in nodes(model, "QuantizeLinear")]:
        after(model, value, "Sub", half)


def steps_scaled(factor: float) -> Change:
    """x of one product is rounded by steps that are not those that the product is scaled back with."""

    def change(model: Model) -> None:
        product = node(model, f"{_NODE}/MatMulInteger")
        (rounding,) = [n for n in model.graph.node if product.input[0] in n.output]
        after(model, rounding.input[0], "Mul", constant(model, "steps_factor", np.float32(factor)))

    return change


def without_sign(model: Model) -> None:
    """The largest number of a frame is taken, not that with the largest size: negative ones are cut off."""
    made = {output: n for n in model.graph.node for output in n.output}
    rounding = made[node(model, f"{MIDDLE}/attention/out_proj/MatMulInteger").input[0]]
    steps = made[rounding.input[0]]
    found = made[steps.input[1]]
    while found.op_type != "ReduceMax":
        found = made[found.input[0]]
    found.input[0] = steps.input[0]


def cut_off(model: Model) -> None:
    """Sums end at 16 bits, as where two products are added by an instruction that saturates."""
    value = node(model, f"{_NODE}/MatMulInteger").output[0]
    low, high = (constant(model, f"limit_{i}", np.int32(limit)) for i, limit in enumerate((-4096, 4095)))
    after(model, value, "Clip", low, high)


def not_in_eight_bits(model: Model) -> None:
    """A product is in float32 after all, with the original's weight; all the rest says eight bits."""
    names = {t.name: t for t in model.graph.initializer}
    whole, scale = (numpy_helper.to_array(names[f"{_DENSE}.{part}"]) for part in ("weight", "weight_scale"))
    wide = constant(model, "wide", (whole.astype(np.float32) * scale).T.copy())
    product = node(model, f"{_NODE}/MatMulInteger")
    (rounding,) = [n for n in model.graph.node if product.input[0] in n.output]
    (steps,) = [n for n in model.graph.node if rounding.input[0] in n.output]
    scaled = node(model, f"{_NODE}/rows/Mul")
    place = list(model.graph.node).index(scaled)
    value = scaled.output[0]
    model.graph.node.remove(scaled)
    model.graph.node.insert(place, helper.make_node("Gemm", [steps.input[0], wide], [value], transB=1))


def claimed(key: str, value: str) -> Change:
    def change(model: Model) -> None:
        (entry,) = [e for e in model.metadata_props if e.key == key]
        entry.value = value

    return change


def truncated(half: np.ndarray) -> np.ndarray:
    """Rounded towards zero in one of eleven bits more: the last bit of half precision is lost."""
    return (half.view(np.uint16) & np.uint16(0xFFFE)).view(np.float16)


def _in(port: Port, name: str, *stages: str) -> Callable[[Change], Fault]:
    return in_graph(name, *stages, port=port)


REDUCED_FAULTS: tuple[Fault, ...] = (
    _in(INT8, "scale of one product off by 10 %", "layer 1", FILE)(
        _weight(lambda s: s * np.float32(1.1), f"{_DENSE}.weight_scale")
    ),
    _in(INT8, "scale of one product off by 1 %", "layer 1", FILE)(
        _weight(lambda s: s * np.float32(1.01), f"{_DENSE}.weight_scale")
    ),
    _in(INT8, "scale of one row off by 10 %", "layer 1", FILE)(
        _weight(lambda s: np.where(np.arange(s.size) == 3, s * 1.1, s).astype(s.dtype), f"{_DENSE}.weight_scale")
    ),
    _in(INT8, "scales of two products exchanged", "layer 1", FILE)(
        lambda m: (
            [
                node(m, f"{MIDDLE}/attention/{part}/rows/Mul").input.__setitem__(
                    1, f"encoder.transformer.layers.1.attention.{other}.weight_scale"
                )
                for part, other in (("q_proj", "v_proj"), ("v_proj", "q_proj"))  # of q and k they would cancel
            ]
            and None
        )
    ),
    _in(INT8, "zero of a product moved by one", "layer 1")(zero_moved("MatMulInteger", 129)),
    _in(INT8, "zero of a product moved by eight", "layer 1")(zero_moved("MatMulInteger", 136)),
    _in(INT8, "zero of the rounding moved by one", "layer 1")(zero_moved("QuantizeLinear", 127)),
    _in(INT8, "zeros of all products moved by one", "layer 0")(in_all("MatMulInteger", 2, np.uint8(129))),
    _in(INT8, "zeros of all roundings moved by one", "layer 0")(in_all("QuantizeLinear", 2, np.uint8(127))),
    _in(INT8, "all products 1 % too large", "layer 0")(every_product("Mul", np.float32(1.01))),
    _in(INT8, "everything rounded down", "layer 0")(rounded_down),
    _in(INT8, "steps twice as small as they are said", "layer 1")(steps_scaled(2.0)),
    _in(INT8, "steps off by 10 %", "layer 1")(steps_scaled(1.1)),
    _in(INT8, "negative numbers cut off", "layer 1")(without_sign),
    _in(INT8, "sums cut off", "layer 1")(cut_off),
    _in(INT8, "weights of one product rounded down", "layer 1", FILE)(
        _weight(lambda w: (w - (np.random.default_rng(0).random(w.shape) < 0.5)).clip(-127, 127).astype(w.dtype))
    ),
    _in(INT8, "weights of one product in four bits", "layer 1", FILE)(
        _weight(lambda w: (w // 16 * 16).astype(w.dtype))
    ),
    _in(INT8, "two rows of a product exchanged", "layer 1")(
        _weight(lambda w: w[:, [1, 0, *range(2, w.shape[1])]].copy())
    ),
    _in(INT8, "one product not in eight bits though said", "layer 1", FILE)(not_in_eight_bits),
    _in(INT8, "a product is said to be in float32 and is not", FILE)(
        lambda m: m.metadata_props.append(onnx.StringStringEntryProto(key="wide", value=f'["{_DENSE}"]'))
    ),
    _in(INT8, "another sample rate in eight bits", FILE)(claimed("sample_rate", "44100")),
    _in(HALF, "a matrix in half precision off by its last bit", "layer 1", FILE)(_weight(truncated)),
    _in(HALF, "a matrix in half precision off by 1 %", "layer 1", FILE)(_weight(lambda w: (w * 1.01).astype(w.dtype))),
    _in(HALF_WEIGHTS, "a stored matrix off by its last bit", "layer 1", FILE)(_weight(truncated)),
    _in(HALF_WEIGHTS, "a stored matrix was in bfloat16 before", "layer 1", FILE)(
        _weight(lambda w: w.astype(ml_dtypes.bfloat16).astype(w.dtype))
    ),
    _in(HALF_WEIGHTS, "a bias in half precision is another", "layer 1", FILE)(
        _weight(lambda b: (b * 1.001).astype(b.dtype), f"{_DENSE}.bias")
    ),
)


# Mistakes that change a node which a smaller graph has not.
_NO_PLACE = frozenset((
    ("conv bias ignored in the graph", HALF),
    ("query bias dropped", INT8),
    ("query bias dropped", HALF),
    ("one weight used for two layers", INT8),
    ("dropout left on", INT8),
))  # fmt: skip
# Mistakes that are smaller than what the graph may cost, and are seen in no stage either.
INVISIBLE = frozenset((
    ("GELU as tanh in one layer", INT8),
    *(("waveform 0.1 % too quiet", port) for port in SMALLER),
))  # fmt: skip


def on_smaller_graphs() -> tuple[Fault, ...]:
    """The mistakes of every graph, in each of the smaller ones that has a place for them."""
    return tuple(
        replace(fault, port=port) for fault in GRAPH_FAULTS for port in SMALLER if (fault.name, port) not in _NO_PLACE
    )
