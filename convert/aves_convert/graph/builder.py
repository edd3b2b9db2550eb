"""Building an ONNX graph node by node, with an account of every tensor of the state dict."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aves_artifacts.base.errors import raise_if_any
from aves_artifacts.base.messages import printable
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph_files.weighted import LARGEST_INSIDE, WeightedGraph, raw_bytes

if TYPE_CHECKING:
    import torch

_HALF = np.finfo(np.float16)
EPSILON = 1e-5  # of every norm in the network: torch's default, and fairseq's
_REDUCED_BY_INPUT = 18  # the opset from which ReduceMean has its axes as an input


class GraphBuilder:
    """An ONNX graph that grows by nodes and constants, in the order in which they are computed.

    ``module`` is always a module's name as the state dict spells it, such as ``encoder.transformer.layers.7``.
    """

    def __init__(self, state_dict: Mapping[str, NDArray[Any] | torch.Tensor], options: OnnxOptions) -> None:
        self.options = options
        self.mixed = options.precision == "mixed"
        self.model = onnx.ModelProto()
        self._arrays: dict[str, NDArray[Any]] = {}
        self._named: set[str] = set()  # nodes
        self._constants: set[str] = set()
        self._in_float64: set[str] = set()  # values
        self._rounded: dict[str, str] = {}
        self._state_dict = state_dict
        self._unread = dict.fromkeys(state_dict)
        self._problems: list[str] = []

    def node(self, module: str, op: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Append a node named such as ``/encoder/transformer/layers.7/Add``; returns the name of the value it computes.

        That is the node's own name unless ``output`` is given.
        """
        name = _node_name(module, op)
        self._named.add(name)
        node = helper.make_node(op, inputs, [output or name], name=name, domain=domain or None, **attributes)
        self.model.graph.node.append(node)
        wide = attributes["to"] == TensorProto.DOUBLE if op == "Cast" else not self._in_float64.isdisjoint(inputs)
        if wide and op != "Shape":
            self._in_float64.add(output or name)
        return output or name

    def once(self, module: str, op: str, *inputs: str, **attributes: Any) -> str:
        """Append a node, or return the value of the one that this module has already."""
        name = _node_name(module, op)
        return name if name in self._named else self.node(module, op, *inputs, **attributes)

    def constant(self, name: str, value: NDArray[Any] | np.generic | Sequence[int]) -> str:
        """Put a value into the graph, once for each name; whole numbers become int64. Returns the name."""
        if name not in self._constants:
            self._constants.add(name)
            array = value if isinstance(value, np.ndarray | np.generic) else np.asarray(value, np.int64)
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            if kind == TensorProto.DOUBLE:
                self._in_float64.add(name)
            tensor = self.model.graph.initializer.add(name=name, data_type=kind, dims=array.shape)
            if array.size > LARGEST_INSIDE:
                self._arrays[name] = np.asarray(array)
            else:
                tensor.raw_data = raw_bytes(np.asarray(array)).tobytes()
        return name

    def weight(self, name: str, *shape: int) -> str:
        """Put a tensor of the state dict into the graph unchanged, under its own name. Returns the name."""
        return self.constant(name, self.read(name, *shape))

    def matrix(self, name: str, *shape: int) -> str:
        """Put a large tensor of the state dict into the graph, as it is to be stored. Returns its float32 value."""
        return self.stored(name, self.read(name, *shape))

    def stored(self, name: str, value: NDArray[np.float32]) -> str:
        """Put a weight into the graph, in half precision where the options ask for it. Returns its float32 value."""
        if not self.options.stores_half:
            return self.constant(name, value)
        half = self.half_weight(name, value)
        return self.constant(name, value) if half is None else self.once(name, "Cast", half, to=TensorProto.FLOAT)

    def half_weight(self, name: str, value: NDArray[np.float32]) -> str | None:
        """Put a weight into the graph in half precision; None where that does not hold it, or nothing is saved."""
        half = in_half(value) if value.size > LARGEST_INSIDE else None
        return None if half is None else self.constant(name, half)

    def halved(self, value: str) -> str:
        """Append a cast to float16, once for all who use it."""
        return self.once(f"{value.strip('/')}.float16", "Cast", value, to=TensorProto.FLOAT16)

    def widened(self, module: str, value: str) -> str:
        """Append a cast of what a product in float16 gives to float32."""
        return self.node(f"{module}.float32", "Cast", value, to=TensorProto.FLOAT)

    def read(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Read a tensor of the state dict; what is wrong with it is kept for ``check``, and zeros stand in."""
        self._unread.pop(name, None)
        tensor = self._state_dict.get(name)
        if tensor is None:
            self._problems.append(f"missing {name}")
            return np.zeros(shape, np.float32)
        if not isinstance(tensor, np.ndarray):  # a tensor of torch, which is not imported for this
            short = tensor.is_floating_point() and tensor.element_size() < 4  # numpy has not all; they widen exactly
            tensor = (tensor.float() if short else tensor).detach().cpu().numpy()
        if tensor.dtype not in (np.float16, np.float32):
            self._problems.append(f"{name} is {tensor.dtype}, expected float32")
        elif tensor.shape != shape:
            self._problems.append(f"{name} has shape {list(tensor.shape)}, expected {list(shape)}")
        else:
            return np.ascontiguousarray(tensor, np.float32)
        return np.zeros(shape, np.float32)

    def read_float64(self, name: str, *shape: int) -> NDArray[np.float64]:
        """Read a tensor of the state dict as float64; see ``read``."""
        with np.errstate(invalid="ignore"):  # what is no number stays so
            return self.read(name, *shape).astype(np.float64)

    def weighted(self) -> WeightedGraph:
        """Give what was written so far; the weights are those that were put in, not copies."""
        return WeightedGraph(self.model, self._arrays)

    def check(self) -> None:
        """Raise InputError with every missing, unknown or misshapen tensor of the state dict."""
        problems = self._problems + [f"unknown {printable(name)}" for name in self._unread]
        raise_if_any(problems, "the weights do not fit the config", hint="give the config that belongs to them")

    def linear(self, module: str, x: str, rows: int, columns: int, *, output: str = "") -> str:
        """Append a torch Linear on x [n, columns]; its weight [rows, columns] keeps the state dict's layout."""
        weight, bias = self.matrix(f"{module}.weight", rows, columns), self.weight(f"{module}.bias", rows)
        return self.node(module, "Gemm", x, weight, bias, output=output, transB=1)

    def convolution(
        self, module: str, x: str, weight: str, *bias: str, kernel: int, stride: int = 1, groups: int = 1
    ) -> str:
        """Append a torch Conv1d of x [batch, channels, n, positions] along its last axis, without padding.

        Over two axes, the first of size 1, as ONNX Runtime computes a Conv over one axis as a product with a copy of x
        that is as many times larger as the kernel is long. Over two it needs no copy on processors for which it has
        kernels that take the channels in blocks, as on x86. That is faster, and more accurate, as partial sums are
        shorter. Every attribute is told: some runtimes take a default for one that has another number of axes.
        """
        told: dict[str, Any] = {"kernel_shape": [1, kernel], "strides": [1, stride], "dilations": [1, 1]}
        return self.node(module, "Conv", x, weight, *bias, group=groups, pads=[0, 0, 0, 0], **told)

    def layer_norm(self, module: str, x: str, size: int) -> str:
        """Append a torch LayerNorm over the last axis of x [..., size], in float64 where x is that."""
        weight, bias = self.weight(f"{module}.weight", size), self.weight(f"{module}.bias", size)
        if x in self._in_float64:
            return self._layer_norm_in_float64(module, x, size, self.float64(weight), self.float64(bias))
        return self._layer_norm_in_float32(module, x, weight, bias)

    def _layer_norm_in_float32(self, module: str, x: str, weight: str, bias: str) -> str:
        """Spelled out: some runtimes have no LayerNormalization, and ONNX Runtime makes these operators one itself."""
        centred = self.node(module, "Sub", x, self.mean(f"{module}.mean", x))
        squares = self.node(f"{module}.squares", "Pow", centred, self.constant("two", np.float32(2)))
        variance = self.mean(f"{module}.variance", squares)
        variance = self.node(f"{module}.variance", "Add", variance, self.constant("epsilon", np.float32(EPSILON)))
        normal = self.node(f"{module}.normal", "Div", centred, self.node(module, "Sqrt", variance))
        return self.node(module, "Add", self.node(module, "Mul", normal, weight), bias)

    def mean(self, module: str, x: str) -> str:
        """Append the mean over the last axis, which stays, with size 1."""
        if self.options.opset < _REDUCED_BY_INPUT:
            return self.node(module, "ReduceMean", x, axes=[-1])
        return self.node(module, "ReduceMean", x, self.constant("last_axis", [-1]))

    def once_largest(self, module: str, x: str) -> str:
        """Append the largest along the last axis, which stays, with size 1; once for this module."""
        if self.options.opset < _REDUCED_BY_INPUT:
            return self.once(module, "ReduceMax", x, axes=[-1])
        return self.once(module, "ReduceMax", x, self.constant("last_axis", [-1]))

    def _layer_norm_in_float64(self, module: str, x: str, size: int, weight: str, bias: str) -> str:
        """Step by step: ONNX Runtime's LayerNormalization is not vectorised in float64, and takes four times longer."""
        last, share = self.constant("last_axis", [-1]), self.constant(f"share_of_{size}", np.float64(1 / size))
        epsilon = self.constant("epsilon_float64", np.float64(EPSILON))
        mean = self.node(f"{module}.mean", "Mul", self.node(f"{module}.mean", "ReduceSum", x, last), share)
        centred = self.node(module, "Sub", x, mean)
        squares = self.node(f"{module}.squares", "Mul", centred, centred)
        variance = self.node(
            f"{module}.variance", "Mul", self.node(f"{module}.variance", "ReduceSum", squares, last), share
        )
        variance = self.node(f"{module}.variance", "Add", variance, epsilon)
        scale = self.node(module, "Reciprocal", self.node(module, "Sqrt", variance))
        normal = self.node(f"{module}.normal", "Mul", centred, scale)
        return self.node(module, "Add", self.node(module, "Mul", normal, weight), bias)

    def add(self, module: str, x: str, y: str) -> str:
        """Append x + y, in float64 where x is that."""
        return self.node(module, "Add", x, self.float64(y) if x in self._in_float64 else y)

    def float64(self, value: str) -> str:
        """Append a cast of a float32 value or weight to float64; of a weight the runtime computes it once."""
        return self.node(f"{value.strip('/')}.float64", "Cast", value, to=TensorProto.DOUBLE)

    def float32(self, value: str) -> str:
        """Append a cast to float32, once for all who use it; a value that is float32 already stays."""
        if value not in self._in_float64:
            return value
        if value not in self._rounded:
            cast = self.node(f"{value.strip('/')}.float32", "Cast", value, to=TensorProto.FLOAT)
            self._rounded[value] = cast
        return self._rounded[value]

    def gelu(self, module: str, x: str) -> str:
        """Append x·(1 + erf(x/√2))/2, exact, spelled as ONNX Runtime fuses it: with a division by √2."""
        gelu = f"{module}.gelu"
        scaled = self.node(gelu, "Div", x, self.constant("sqrt_2", np.float32(math.sqrt(2))))
        erf = self.node(gelu, "Erf", scaled)
        plus_1 = self.node(gelu, "Add", erf, self.constant("one", np.float32(1)))
        twice = self.node(f"{gelu}.twice", "Mul", x, plus_1)
        return self.node(gelu, "Mul", twice, self.constant("half", np.float32(0.5)))


def in_half(value: NDArray[np.float32]) -> NDArray[np.float16] | None:
    """Round a weight to half precision; None where that loses more than its eleven bits: beyond 65,504, or all small.

    >>> in_half(np.float32([1, 1e-3])), in_half(np.float32([1e-7, -1e-7])), in_half(np.float32([1e5]))
    (array([1.  , 0.001], dtype=float16), None, None)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        half = value.astype(np.float16)
        error, size = (float(np.linalg.norm(each.ravel())) for each in (half.astype(np.float32) - value, value))
    return half if error <= float(_HALF.eps) / 2 * size else None


def _node_name(module: str, op: str) -> str:
    return "/" + re.sub(r"\.(?!\d)", "/", module) + "/" + op
