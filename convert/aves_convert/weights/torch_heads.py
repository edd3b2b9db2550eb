"""Heads in torch, in the precision of what they are given: projections, and the nearest centroids."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aves_artifacts.bundle.outputs import Output
from aves_convert.weights.heads import Heads


class TorchHeads:
    """The heads of an encoder as tensors of one type."""

    def __init__(self, heads: Heads, dtype: torch.dtype = torch.float32) -> None:
        self._heads = heads
        self._projections = {
            output.label_set: [torch.tensor(part).to(dtype) for part in heads.projection(output.label_set)]
            for output in heads.projections_of(None)
        }
        self._centroids = {layer: torch.tensor(values).to(dtype) for layer, values in heads.centroids.items()}

    def projected(self, x: Tensor, label_set: int | None) -> Tensor:
        """fairseq's ``final_proj`` of x [..., dim], or the part of it that is one label set's."""
        return torch.nn.functional.linear(x, *self._projections[label_set])

    def units(self, x: Tensor, layer: int) -> Tensor:
        """The nearest of a layer's centroids to each frame of x [..., dim]: int64 [...]."""
        return nearest(x, self._centroids[layer])

    def outputs(self, final: Tensor, layers: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """Everything that the heads make of the final embeddings and of these layers' features, by name."""
        found: dict[str, Tensor] = {}
        for index, x in ((None, final), *layers.items()):
            for output in self._heads.projections_of(index):
                found[output.name] = self.projected(x, output.label_set)
        for index in self._centroids.keys() & layers.keys():
            found[Output("units", index).name] = self.units(layers[index], index)
        return found


def nearest(x: Tensor, centroids: Tensor) -> Tensor:
    """The index of the centroid [k, dim] that is nearest to each frame of x [..., dim], the first of several.

    Spelled as those who make units have it: fairseq 0.12.2 ``examples/hubert/simple_kmeans/dump_km_label.py``.
    """
    distances = x.pow(2).sum(-1, keepdim=True) - 2 * torch.matmul(x, centroids.T) + centroids.pow(2).sum(-1)
    return distances.argmin(-1)
