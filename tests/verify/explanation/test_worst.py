"""Running an original and its ports with every inner value kept."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests.support.tiny_encoders import TINY, clip, weights

from aves_convert.graph.encoder import encoder_graph
from aves_verify.backends.backend import Backend
from aves_verify.backends.loading import Loaded
from aves_verify.backends.onnx_session import OnnxBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.comparison.compare import TOLERANCES, Comparison
from aves_verify.explanation.worst import explain_worst
from aves_verify.sounds.clip import Clip

pytestmark = pytest.mark.slow

DAMAGED = "encoder.transformer.layers.1.feed_forward.intermediate_dense.weight"
STATE = weights(TINY)


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


def test_five_seconds_of_a_long_clip_are_looked_at(tmp_path: Path) -> None:
    items = given(90_000)
    (found,) = explain_worst(loaded(graph(STATE, tmp_path)), items, compared(items))
    assert found.seconds == 5.0
    (short,) = explain_worst(loaded(graph(STATE, tmp_path)), given(4000), compared(given(4000)))
    assert short.seconds == 0.25


def test_without_the_exact_encoder_nothing_can_be_said(tmp_path: Path) -> None:
    items = given(2000)
    assert explain_worst(loaded(graph(STATE, tmp_path), exact=False), items, compared(items)) == ()


def test_a_port_that_does_not_run_is_left_out_and_the_others_explained(tmp_path: Path) -> None:
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
    assert [explanation.backend for explanation in found] == ["torchaudio"]


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
