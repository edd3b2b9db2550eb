"""Outputs by name: each is what its name says, in every way that a graph is written, and nothing more is written."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from tests.support.tiny_encoders import TINY, assert_exact, clip, run, tiny, torch_outputs, weights

from aves_artifacts.base.errors import InputError
from aves_artifacts.encoder import EncoderConfig
from aves_convert.graph.build import write_graph
from aves_convert.graph.encoder import FIRST_OPSET
from aves_convert.graph.options import OnnxOptions
from aves_convert.weights.heads import Heads

DIM, PROJECTED, UNITS = TINY.encoder_embed_dim, 8, 11


def made_heads(sets: tuple[str, ...] = ("km",), layers: tuple[int, ...] = (0, 1)) -> Heads:
    """Projections far from zero in their bias; centroids about as far from each other as features are."""
    draw, rows = np.random.default_rng(0), PROJECTED * len(sets)
    tensors = {
        "final_proj.weight": draw.standard_normal((rows, DIM)),
        "final_proj.bias": draw.standard_normal(rows),
        **{f"centroids.layer.{i}": draw.standard_normal((UNITS, DIM)) + 0.5 for i in layers},
    }
    return Heads({name: values.astype(np.float32) for name, values in tensors.items()}, sets)


def expected_of(config: EncoderConfig, heads: Heads, waveform: torch.Tensor) -> dict[str, np.ndarray]:
    """Every output in float64, written down once more."""
    found = torch_outputs(config, weights(config), waveform.double())
    weight, bias = (heads.tensors[f"final_proj.{part}"].astype(np.float64) for part in ("weight", "bias"))
    for name, x in list(found.items()):
        if name == "logits":
            continue
        stem = "" if name == "embeddings" else f"{name}."
        whole = x @ weight.T + bias
        found[f"{stem}projection"] = whole
        for i in range(whole.shape[-1] // PROJECTED):
            found[f"{stem}projection.{i}"] = whole[..., i * PROJECTED : (i + 1) * PROJECTED]
        if (centroids := heads.tensors.get(f"centroids.{name}")) is not None:
            found[f"{name}.units"] = ((x[..., None, :] - centroids) ** 2).sum(-1).argmin(-1)
    return found


def check(model: onnx.ModelProto, found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == [output.name for output in model.graph.output]
    units = {name: values for name, values in found.items() if name.endswith("units")}
    for name, values in units.items():
        assert values.dtype == np.int64
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    assert_exact({name: values for name, values in found.items() if name not in units}, expected)


EVERYTHING = ("layer.1.projection", "layer.1.units", "layer.0", "projection", "embeddings", "layer.0.units", "layer.2")
WAYS = [
    {},
    {"attention": "fused"},
    {"precision": "mixed"},
    {"opset": FIRST_OPSET},
    {"opset": 23},
    {"exporter": "torch"},
    {"fixed_shape": (2, 700)},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("variant", ["base", "pre-norm", "large"])
@pytest.mark.parametrize("outputs", [EVERYTHING, EVERYTHING[:3], ("layer.0.units",), ("layer.2.projection",)], ids=str)
def test_each_is_what_its_name_says(outputs: tuple[str, ...], variant: str, way: dict[str, Any]) -> None:
    config, heads, waveform = tiny(variant), made_heads(), clip(700, 2, offset=0.2)
    model = write_graph(config, weights(config), OnnxOptions(outputs=outputs, **way), heads=heads)
    check(model, run(model, waveform), expected_of(config, heads, waveform))


def test_onnxs_own_evaluator_finds_the_same() -> None:
    heads, waveform = made_heads(), clip(700, 2)
    model = write_graph(TINY, weights(TINY), OnnxOptions(outputs=EVERYTHING), heads=heads)
    found = ReferenceEvaluator(model).run(None, {"waveform": waveform.numpy()})
    check(model, dict(zip(EVERYTHING, found, strict=True)), expected_of(TINY, heads, waveform))


@pytest.mark.parametrize("exporter", ["graph", "torch"])
def test_a_projection_of_several_label_sets_is_an_output_for_each(exporter: Any) -> None:
    heads, waveform = made_heads(("km", "phn")), clip(700)
    options = OnnxOptions(outputs=("layer.1.projection", "projection.1"), exporter=exporter)
    model = write_graph(TINY, weights(TINY), options, heads=heads)
    names = [output.name for output in model.graph.output]
    assert names == ["layer.1.projection.0", "layer.1.projection.1", "projection.1"]
    check(model, run(model, waveform), expected_of(TINY, heads, waveform))
    said = json.loads({entry.key: entry.value for entry in model.metadata_props}["outputs"])
    assert [(each["label_set"], each["layer"], each["dimension"]) for each in said] == [
        ("km", 1, PROJECTED),
        ("phn", 1, PROJECTED),
        ("phn", None, PROJECTED),
    ]


def test_logits_by_name_and_not_unasked() -> None:
    config = tiny("ctc-head")
    waveform = clip(700)
    for outputs in (("logits",), ("layer.1", "logits"), ("layer.1",)):
        model = write_graph(config, weights(config), OnnxOptions(outputs=outputs))
        check(model, run(model, waveform), torch_outputs(config, weights(config), waveform.double()))
        held = {tensor.name for tensor in model.graph.initializer}
        assert ("aux.weight" in held) == ("logits" in outputs)


@pytest.mark.parametrize("variant", ["base", "pre-norm"])
def test_layers_behind_the_last_one_are_not_in_the_graph(variant: str) -> None:
    config = tiny(variant)
    model = write_graph(config, weights(config), OnnxOptions(outputs=("layer.1.projection",)), heads=made_heads())
    held = {tensor.name for tensor in model.graph.initializer}
    assert {name for name in held if ".layers." in name} == {
        name for name in weights(config) if ".layers.0." in name or ".layers.1." in name
    }
    assert any(name.startswith("encoder.transformer.layer_norm.") for name in held) == (variant == "base")
    assert not [node.name for node in model.graph.node if "transformer/layers.2" in node.name]


def test_of_what_is_left_out_the_tensors_must_be_there_nevertheless() -> None:
    state_dict = weights(TINY)
    del state_dict["encoder.transformer.layers.2.feed_forward.output_dense.bias"]
    with pytest.raises(InputError, match=r"missing encoder\.transformer\.layers\.2\.feed_forward\.output_dense\.bias"):
        write_graph(TINY, state_dict, OnnxOptions(outputs=("layer.0",)))


def test_float64_begins_where_the_last_half_of_what_is_written_does() -> None:
    options, shorter = (
        OnnxOptions(outputs=("layer.1",), precision="mixed"),
        dataclasses.replace(TINY, encoder_num_layers=2),
    )
    state_dict = {name: tensor for name, tensor in weights(TINY).items() if ".layers.2." not in name}
    cut, whole = write_graph(TINY, weights(TINY), options), write_graph(shorter, state_dict, options)
    assert cut.graph == whole.graph


def test_the_default_says_nothing_more_and_named_outputs_say_what_they_are() -> None:
    def says(**options: Any) -> dict[str, str]:
        model = write_graph(TINY, weights(TINY), OnnxOptions(**options), heads=made_heads())
        return {entry.key: entry.value for entry in model.metadata_props}

    assert says() == {"attention": "standard", "exporter": "graph", "layers": "last", "precision": "float32"}
    assert says(layers="all").keys() - says().keys() == {"outputs"}
    named = says(outputs=("layer.0.units", "embeddings"))
    assert "layers" not in named
    assert json.loads(named["outputs"]) == [
        {"name": "layer.0.units", "layer": 0, "dimension": None, "label_set": None, "units": UNITS},
        {"name": "embeddings", "layer": None, "dimension": DIM, "label_set": None, "units": None},
    ]


def test_the_embeddings_by_name_are_the_default_graph_but_for_what_it_says() -> None:
    default, named = (write_graph(TINY, weights(TINY), OnnxOptions(outputs=names)) for names in ((), ("embeddings",)))
    assert default.graph == named.graph


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (("layer.3",), r"layer\.3: this encoder has the layers 0 to 2, counted from 0: what others call layer 3 is"),
        (("logits",), "logits: this encoder was not fine-tuned"),
        (("layer.2.units",), r"layer\.2\.units: units need the centroids of that layer"),
        (("projection.1",), r"projection\.1: there are projections of 1 label sets"),
    ],
)
def test_what_the_encoder_has_not_is_told(outputs: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        write_graph(TINY, weights(TINY), OnnxOptions(outputs=outputs), heads=made_heads())


def test_all_that_it_has_not_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        write_graph(TINY, weights(TINY), OnnxOptions(outputs=("layer.9", "projection", "logits")))
    assert [problem.split(":")[1].strip() for problem in caught.value.problems] == ["layer.9", "projection", "logits"]


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"outputs": ("layer9",)}, r"layer9, expected embeddings, layer\.N"),
        ({"outputs": ("",)}, r"\(nothing\), expected embeddings"),
        ({"outputs": ("layer.1", "layer.1")}, r"named twice: layer\.1"),
        ({"outputs": ("layer.1",), "layers": "all"}, "both say what the graph gives"),
    ],
)
def test_names_that_cannot_be_meant_are_told(entries: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        OnnxOptions(**entries)


def test_units_of_features_far_from_zero_are_exact() -> None:
    """Where frames lie by an offset a thousand times larger than what tells them apart."""
    heads = made_heads(layers=(0,))
    config = dataclasses.replace(TINY, encoder_num_layers=1)
    state = {name: tensor.numpy() for name, tensor in weights(config).items()}
    shift = 300 * np.random.default_rng(1).standard_normal(DIM).astype(np.float32)
    norm = "encoder.transformer.layers.0.final_layer_norm.bias"
    moved = heads.with_centroids({0: heads.centroids[0] + shift})
    state[norm] = state[norm] + shift
    model = write_graph(config, state, OnnxOptions(outputs=("layer.0.units",)), heads=moved)
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    wide = torch_outputs(config, tensors, clip(4000).double())["layer.0"][..., None, :]
    expected = ((wide - moved.centroids[0].astype(np.float64)) ** 2).sum(-1).argmin(-1)
    np.testing.assert_array_equal(run(model, clip(4000))["layer.0.units"], expected)
