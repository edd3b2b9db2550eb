"""The outputs of an encoder: their names, what each is, and which of them a graph gives.

Layers are counted from 0: ``layer.8`` is what fairseq calls ``output_layer=9``, and other tools "layer 9".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aves_artifacts.base.errors import InputError

EMBEDDINGS = "embeddings"  # [batch, frames, dimension]: what the original returns
LOGITS = "logits"  # [batch, frames, letters], of a fine-tuned model's head
FINAL = "final"  # what an encoder that is run calls its embeddings, whatever a file calls them
_LAYER, _PROJECTION, _UNITS = "layer", "projection", "units"
_INDEX = r"0|[1-9]\d{0,5}"
_NAME = re.compile(
    rf"(?:{_LAYER}\.(?P<layer>{_INDEX}))?(?P<dot>\.)?"
    rf"(?:(?P<projection>{_PROJECTION})(?:\.(?P<set>{_INDEX}))?|(?P<units>{_UNITS}))?"
)
FORMS = f"{EMBEDDINGS}, layer.N, projection, layer.N.projection, layer.N.units or {LOGITS}"

Kind = Literal["features", "projection", "units", "logits"]


@dataclass(frozen=True)
class Output:
    """One output: the embeddings or a layer's features, as they are, projected, or as the nearest centroid of each.

    ``layer`` counts from 0; None: the embeddings. ``label_set``: which set of labels the projection was trained for,
    from 0; None: all, or the only one.

    >>> Output.of("layer.8.projection")
    Output(kind='projection', layer=8, label_set=None)
    """

    kind: Kind
    layer: int | None = None
    label_set: int | None = None

    @property
    def name(self) -> str:
        """What it is called in a graph."""
        if self.kind == "logits":
            return LOGITS
        if self.kind == "features":
            return EMBEDDINGS if self.layer is None else layer_name(self.layer)
        parts = [] if self.layer is None else [layer_name(self.layer)]
        parts += [self.kind] if self.label_set is None else [self.kind, str(self.label_set)]
        return ".".join(parts)

    @classmethod
    def of(cls, name: str) -> Output | None:
        """Tell what an output of this name is; None for a name that says nothing."""
        if name in (EMBEDDINGS, LOGITS):
            return cls("logits" if name == LOGITS else "features")
        found = _NAME.fullmatch(name)
        if not name or found is None:
            return None
        layer, label_set = (None if found[part] is None else int(found[part]) for part in ("layer", "set"))
        has_both = layer is not None and (found["projection"] or found["units"]) is not None
        if has_both != (found["dot"] is not None) or (found["units"] and layer is None):
            return None
        kind: Kind = "projection" if found["projection"] else "units" if found["units"] else "features"
        return cls(kind, layer, label_set)


@dataclass(frozen=True)
class OutputRecord:
    """What is recorded of an output of a graph: in its metadata, in the manifest."""

    name: str
    layer: int | None  # from 0; None: what the original returns
    dimension: int | None  # numbers of each frame; None: a unit, which is one whole number
    label_set: str | None = None  # the name of the labels that the projection was trained for, where it is one set's
    units: int | None = None  # how many there are


def known_outputs(names: Iterable[str]) -> list[Output]:
    """Tell what outputs are by their names, as a graph or an encoder that is run has them, without the unknown ones."""
    found = (Output.of(EMBEDDINGS if name == FINAL else name) for name in names)
    return [output for output in found if output is not None]


def layer_name(index: int) -> str:
    """The name of a transformer layer's output; the first layer is 0."""
    return f"{_LAYER}.{index}"


def is_layer(name: str) -> bool:
    """Whether this is the name of a layer's output."""
    found = Output.of(name)
    return found is not None and found.kind == "features" and found.layer is not None


def is_deep(name: str) -> bool:
    """Whether this is computed from a layer: its output, a projection of it, or its units."""
    found = Output.of(name)
    return found is not None and found.layer is not None


def is_of_heads(name: str) -> bool:
    """Whether this is computed by what a port's own weights have no place for: a projection, or units."""
    found = Output.of(name)
    return found is not None and found.kind in ("projection", "units")


@dataclass(frozen=True)
class GraphOutputs:
    """The outputs of a graph from anywhere, known by their names; a first one of no known name has the embeddings.

    ``layers``: how many the encoder has; None: not known.
    """

    names: tuple[str, ...]
    layers: int | None = None

    @property
    def called(self) -> dict[str, str]:
        """What an encoder calls it -> the graph's name: ``final``, ``layer.0``, …; a second ``embeddings`` by that."""
        first, *others = self.names
        found = {FINAL if Output.of(first) in (None, Output("features")) else first: first}
        for name in others:
            output = Output.of(name)
            if output is not None:
                found[FINAL if name == EMBEDDINGS and FINAL not in found else name] = name
        return found

    @property
    def give_layers(self) -> bool:
        """Whether each layer's output is among them, which is more than most people ask for."""
        given = {name for name in self.called if is_layer(name)}
        count = self.layers if self.layers is not None else len(given)
        return count > 0 and FINAL in self.called and given >= {layer_name(i) for i in range(count)}

    @property
    def unknown(self) -> tuple[str, ...]:
        """The outputs that nothing of an original has the name of."""
        return tuple(name for name in self.names[1:] if Output.of(name) is None)

    def wanted(self, where: object, *, layers: bool) -> dict[str, str]:
        """What is asked of an encoder -> the graph's name of it: all that it gives; without ``layers`` not each layer.

        Raises InputError about the file ``where``, if layers are wanted and it has nothing of any.
        """
        if layers and not any(map(is_deep, self.called)):
            raise InputError(
                f"{where}: gives only the last layer",
                hint="write it with {layers} all, or compare with {layers} last",
            )
        left_out = self.give_layers and not layers
        return {called: name for called, name in self.called.items() if not (left_out and is_layer(called))}
