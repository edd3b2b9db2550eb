"""Running an original and its ports with every inner value kept."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tests.support.graphs import encoder_graph
from tests.support.tiny_encoders import TINY, clip, weights

from aves_convert.sounds.clip import Clip
from aves_verify.backends.backend import Backend
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.comparison.compare import TOLERANCES, Comparison
from aves_verify.explanation.worst import explain_worst
from aves_verify.loading.load import Loaded

pytestmark = pytest.mark.slow

DAMAGED = "encoder.transformer.layers.1.feed_forward.intermediate_dense.weight"
STATE = weights(TINY)
SECOND = "/feature_extractor/conv_layers.1/conv/Conv"  # as our graphs call what this convolution gives


def given(*lengths: int) -> list[Clip]:
    return [Clip(f"{n}", clip(n)[0].numpy(), "made here") for n in lengths]


def damaged() -> dict[str, torch.Tensor]:
    """One matrix in the precision of bfloat16."""
    return {**STATE, DAMAGED: STATE[DAMAGED].bfloat16().float()}


def loaded(*ports: Backend, exact: bool = True) -> Loaded:
    reference = TorchaudioBackend(TINY, STATE)
    answer = TorchaudioBackend(TINY, STATE, dtype=torch.float64) if exact else None
    return Loaded((reference, *ports), answer, TINY, normalize=False, problems=(), weights={})


def graph(state_dict: dict[str, torch.Tensor], folder: Path) -> OnnxBackend:
    onnx.save(encoder_graph(TINY, state_dict), folder / "x.onnx")
    return OnnxBackend(folder / "x.onnx")


def compared(items: Sequence[Clip], backend: str = "onnx") -> list[Comparison]:
    tolerance = TOLERANCES["onnx"]
    return [
        Comparison(backend, "fairseq", item.name, "final", tolerance, "pass", "", error_ratio=1.0) for item in items
    ]


def test_the_stage_and_operator_of_damage_are_named_in_either_port(tmp_path: Path) -> None:
    items = given(3000)
    ports = (TorchaudioBackend(TINY, damaged()), graph(damaged(), tmp_path))
    both = [*compared(items, "torchaudio"), *compared(items, "onnx")]
    found = explain_worst(loaded(*ports), items, both)
    assert [explanation.backend for explanation in found] == ["torchaudio", "onnx"]
    for explanation in found:
        first = explanation.first
        assert first is not None
        assert (first.stage, first.operator) == ("layer 1", "feed-forward, first linear")
        assert first.ratio is not None
        assert first.ratio > 1000


def test_a_good_port_is_far_from_any_damage(tmp_path: Path) -> None:
    items = given(3000)
    (found,) = explain_worst(loaded(graph(STATE, tmp_path)), items, compared(items))
    seen = [stage for stage in found.stages if stage.found]
    assert max(stage.ratio or 0 for stage in seen) < 10
    assert len(seen) > 0.8 * len(found.stages)  # the others are operators that the graph has merged


def test_the_clip_that_fails_comes_before_the_one_with_the_larger_error(tmp_path: Path) -> None:
    items = given(2000, 2500, 3000, 3500)
    comparisons = compared(items)
    comparisons[0] = dataclasses.replace(comparisons[0], error_ratio=30.0)
    comparisons[1] = dataclasses.replace(comparisons[1], status="near-zero drift", error_ratio=2.0)
    assert explain_worst(loaded(graph(STATE, tmp_path)), items, comparisons)[0].clip == "2500"
    comparisons[2] = dataclasses.replace(comparisons[2], status="fail")
    assert explain_worst(loaded(graph(STATE, tmp_path)), items, comparisons)[0].clip == "3000"
    comparisons[3] = dataclasses.replace(comparisons[3], status="fail", error_ratio=None)  # not even computable
    assert explain_worst(loaded(graph(STATE, tmp_path)), items, comparisons)[0].clip == "3500"


def test_sound_is_explained_before_silence_unless_silence_alone_shows_it(tmp_path: Path) -> None:
    silence = Clip("silence", np.zeros(3000, dtype=np.float32), "made here")
    items = [*given(2000), silence]
    comparisons = compared(items)
    comparisons[1] = dataclasses.replace(comparisons[1], error_ratio=30.0)
    assert explain_worst(loaded(graph(STATE, tmp_path)), items, comparisons)[0].clip == "2000"
    comparisons[1] = dataclasses.replace(comparisons[1], status="fail")
    assert explain_worst(loaded(graph(STATE, tmp_path)), items, comparisons)[0].clip == "silence"


def test_padded_and_batched_input_is_not_explained(tmp_path: Path) -> None:
    items = given(2000)
    (single,) = compared(items)
    comparisons = [single, dataclasses.replace(single, clip="batch of 3", status="fail")]
    (found,) = explain_worst(loaded(graph(STATE, tmp_path)), items, comparisons)
    assert found.clip == "2000"
    assert explain_worst(loaded(graph(STATE, tmp_path)), items[1:], comparisons[1:]) == ()


def test_five_seconds_of_a_long_clip_are_looked_at_where_they_show_it(tmp_path: Path) -> None:
    items = given(90_000)
    (found,) = explain_worst(loaded(graph(STATE, tmp_path)), items, compared(items))
    assert found.seconds == 5.0
    assert "clip 90000, its first 5 s: no stage departs" in found.text
    (short,) = explain_worst(loaded(graph(STATE, tmp_path)), given(4000), compared(given(4000)))
    assert short.seconds == 0.25


@pytest.mark.parametrize("beside", [False, True], ids=["a clip", "an input beside the clips"])
def test_a_fault_that_only_long_sounds_show_is_sought_in_all_of_them(beside: bool, tmp_path: Path) -> None:
    """Values beyond so many positions of the second convolution are a little too large."""
    model = encoder_graph(TINY, STATE)
    (second,) = (node for node in model.graph.node if list(node.output) == [SECOND])
    second.output[0] = "right"
    fine = 8_500  # positions: 5.3 s
    constants = {"begin": [fine], "end": [2**31], "axis": [3], "one_more": 1.001, "none": [0]}
    for name, value in constants.items():
        kind = np.float32 if isinstance(value, float) else np.int64
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, kind), name))
    at = list(model.graph.node).index(second) + 1
    for i, node in enumerate(
        [
            helper.make_node("Slice", ["right", "none", "begin", "axis"], ["before"]),
            helper.make_node("Slice", ["right", "begin", "end", "axis"], ["behind"]),
            helper.make_node("Mul", ["behind", "one_more"], ["larger"]),
            helper.make_node("Concat", ["before", "larger"], [SECOND], axis=3),
        ]
    ):
        model.graph.node.insert(at + i, node)
    onnx.save(model, tmp_path / "x.onnx")
    short, long = given(2000, 90_000)
    clips, others = ([short], {long.name: long.waveform[None]}) if beside else ([short, long], {})
    comparisons = compared([short, long])
    comparisons[1] = dataclasses.replace(comparisons[1], status="fail")
    (found,) = explain_worst(loaded(OnnxBackend(tmp_path / "x.onnx")), clips, comparisons, others)
    assert found.clip == long.name
    assert (found.seconds, found.partly) == (90_000 / 16_000, False)
    assert found.first is not None
    assert found.first.stage == "conv block 1"


def test_without_the_exact_encoder_nothing_can_be_said(tmp_path: Path) -> None:
    items = given(2000)
    assert explain_worst(loaded(graph(STATE, tmp_path), exact=False), items, compared(items)) == ()


def test_a_port_that_does_not_run_is_told_and_the_others_explained(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 7])
    model = helper.make_model(
        helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    onnx.save(model, tmp_path / "frozen.onnx")
    items = given(2000)
    ports = (OnnxBackend(tmp_path / "frozen.onnx"), TorchaudioBackend(TINY, STATE))
    both = [*compared(items, "onnx"), *compared(items, "torchaudio")]
    found = explain_worst(loaded(*ports), items, both)
    assert [explanation.backend for explanation in found] == ["onnx", "torchaudio"]
    assert found[0].first is None
    assert "onnx, clip 2000: not explained: " in found[0].text
    assert "frozen.onnx: ONNX Runtime does not run it" in found[0].text


@pytest.mark.parametrize("change", ["layers exchanged", "other weights"])
def test_a_port_that_computes_something_else_is_told_from_there_on(change: str) -> None:
    other = weights(TINY, seed=1)
    if change == "layers exchanged":
        first, second = "transformer.layers.0.", "transformer.layers.1."
        other = {n.replace(first, "-").replace(second, first).replace("-", second): t for n, t in STATE.items()}
    items = given(3000)
    (found,) = explain_worst(loaded(TorchaudioBackend(TINY, other)), items, compared(items, "torchaudio"))
    assert found.first is not None
    stage = "layer 0" if change == "layers exchanged" else "conv block 0"
    assert found.first.stage == stage
    assert not found.first.found
    assert "the port computes something else" in found.text
    assert np.isfinite(found.first.own)
