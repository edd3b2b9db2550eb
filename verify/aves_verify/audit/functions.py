"""The original's own functions, in any precision, and as coarsely as others compute them in float32.

Values are in the layout that ``steps`` tells. Coarse is what takes no care: sums added up one number after the other,
each partial sum rounded, a variance from the mean square. Runtimes do, and it is no fault of a graph.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5  # of every norm in the network: torch's default, and fairseq's

Weight = Callable[[str], Tensor]  # a tensor of the state dict, in the precision of the computation


def convolution(module: str, stride: int, bias: bool, weight: Weight, x: Tensor) -> Tensor:
    """A convolution of the extractor; the first one's input has no channels yet."""
    x = x[:, None] if x.ndim == 2 else x
    return functional.conv1d(x, weight(f"{module}.weight"), weight(f"{module}.bias") if bias else None, stride=stride)


def positional(module: str, groups: int, weight: Weight, x: Tensor) -> Tensor:
    """The positional convolution with its weight norm, [batch, frames, dim] in and out."""
    v, g = weight(f"{module}.weight_v"), weight(f"{module}.weight_g")
    folded = v * (g / v.norm(dim=(0, 1), keepdim=True))
    kernel = v.shape[-1]
    y = functional.conv1d(x.transpose(1, 2), folded, weight(f"{module}.bias"), padding=kernel // 2, groups=groups)
    # an even kernel gives a frame too many, which the original cuts off
    return y[..., : x.shape[1]].transpose(1, 2)


def group_norm(module: str, weight: Weight, x: Tensor) -> Tensor:
    """Each channel by itself, over the whole clip."""
    return functional.group_norm(x, x.shape[1], weight(f"{module}.weight"), weight(f"{module}.bias"), EPSILON)


def layer_norm(module: str, weight: Weight, x: Tensor) -> Tensor:
    """Over the last axis."""
    return functional.layer_norm(x, x.shape[-1:], weight(f"{module}.weight"), weight(f"{module}.bias"), EPSILON)


def turned_norm(module: str, weight: Weight, x: Tensor) -> Tensor:
    """Over channels, and frames first from here on."""
    return layer_norm(module, weight, x.transpose(1, 2))


def channel_norm(module: str, weight: Weight, x: Tensor) -> Tensor:
    """Over channels, which stay first."""
    return turned_norm(module, weight, x).transpose(1, 2)


def coarse_group_norm(two_passes: bool, module: str, weight: Weight, x: Tensor) -> Tensor:
    """``group_norm`` with coarse sums."""
    scale, bias = (weight(f"{module}.{name}")[:, None] for name in ("weight", "bias"))
    return _coarsely_normalised(two_passes, x) * scale + bias


def coarse_layer_norm(two_passes: bool, module: str, weight: Weight, x: Tensor) -> Tensor:
    """``layer_norm`` with coarse sums."""
    return _coarsely_normalised(two_passes, x) * weight(f"{module}.weight") + weight(f"{module}.bias")


def coarse_turned_norm(two_passes: bool, module: str, weight: Weight, x: Tensor) -> Tensor:
    """``turned_norm`` with coarse sums."""
    return coarse_layer_norm(two_passes, module, weight, x.transpose(1, 2))


def coarse_channel_norm(two_passes: bool, module: str, weight: Weight, x: Tensor) -> Tensor:
    """``channel_norm`` with coarse sums."""
    return coarse_turned_norm(two_passes, module, weight, x).transpose(1, 2)


def _coarsely_normalised(two_passes: bool, x: Tensor) -> Tensor:
    """Over the last axis, with sums added up one number after the other.

    The variance from deviations, which is coarse where one is much larger than the others, or from squares, which is
    where the mean is much larger than they are; so the standard defines its group norm.
    """
    size = x.shape[-1]
    mean = _added_up(x) / size
    centred = x - mean
    variance = _added_up(centred * centred) / size if two_passes else _added_up(x * x) / size - mean * mean
    return centred / torch.sqrt(variance.clamp(min=0) + EPSILON)


def _added_up(x: Tensor) -> Tensor:
    """The sum over the last axis, every partial sum rounded; torch's own carries them in float64."""
    return torch.from_numpy(np.add.accumulate(x.numpy(), axis=-1)[..., -1:])


def linear(module: str, weight: Weight, x: Tensor) -> Tensor:
    """A product with a matrix, and a bias."""
    return functional.linear(x, weight(f"{module}.weight"), weight(f"{module}.bias"))


def gelu(_weight: Weight, x: Tensor) -> Tensor:
    """The exact GELU."""
    return functional.gelu(x)


def coarse_gelu(_weight: Weight, x: Tensor) -> Tensor:
    """With 1 + erf off by half a step of float32: libraries' own are, torch's too in some layouts."""
    return functional.gelu(x) + x * 2**-24


def together(_weight: Weight, x: Tensor, y: Tensor) -> Tensor:
    """The sum of two values."""
    return x + y


def same(_weight: Weight, x: Tensor) -> Tensor:
    """The value itself."""
    return x


def scores(heads: int, _weight: Weight, q: Tensor, k: Tensor) -> Tensor:
    """Products of queries and keys of each head, scaled."""
    size = q.shape[-1] // heads
    q, k = (_apart(x, heads) for x in (q * size**-0.5, k))
    return q @ k.transpose(-1, -2)


def coarse_scores(heads: int, _weight: Weight, q: Tensor, k: Tensor) -> Tensor:
    """Product after product, scaled at the end: what cancels may be much larger than what is left."""
    q, k = (_apart(x, heads) for x in (q, k))
    total = torch.zeros_like(q[..., :1] * k[..., None, :, 0])
    for place in range(q.shape[-1]):
        total += q[..., place, None] * k[..., None, :, place]
    scaled: Tensor = total * q.shape[-1] ** -0.5
    return scaled


def softmax(_weight: Weight, x: Tensor) -> Tensor:
    """Turn each query's scores into what it takes from each frame."""
    return functional.softmax(x, -1)


def coarse_softmax(_weight: Weight, x: Tensor) -> Tensor:
    """``softmax`` with a coarse sum."""
    y = torch.exp(x - x.amax(-1, keepdim=True))
    return y / _added_up(y)


def attend(_weight: Weight, shares: Tensor, v: Tensor) -> Tensor:
    """Values of each head, in these shares; heads side by side."""
    return (shares @ _apart(v, shares.shape[1])).transpose(1, 2).flatten(2)


def coarse_attend(_weight: Weight, shares: Tensor, v: Tensor) -> Tensor:
    """Frame after frame: shares are positive, so what is added to a sum of many is rounded as coarsely as that."""
    values = _apart(v, shares.shape[1])
    total = torch.zeros_like(shares[..., :1] * values[:, :, :1])
    for frame in range(v.shape[1]):
        total += shares[..., frame, None] * values[:, :, frame, None]
    return total.transpose(1, 2).flatten(2)


def _apart(x: Tensor, heads: int) -> Tensor:
    """[batch, frames, heads·size] -> [batch, heads, frames, size]."""
    return x.reshape(*x.shape[:-1], heads, -1).transpose(1, 2)
