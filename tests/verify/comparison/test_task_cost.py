"""What a smaller graph changes of tasks: counted against what must change, and what cannot."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aves_verify.comparison.task_cost import TaskSamples

DIM = 16


def clips(count: int = 6, frames: int = 80) -> list[NDArray[np.float32]]:
    """Each clip's frames lie around a place of their own."""
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal(DIM) + 0.3 * rng.standard_normal((1, frames, DIM))).astype(np.float32)
        for _ in range(count)
    ]


def measured(noise: float, given: list[NDArray[np.float32]]) -> TaskSamples:
    samples, rng = TaskSamples(), np.random.default_rng(1)
    for each in given:
        samples.add("onnx.int8", (each + noise * rng.standard_normal(each.shape)).astype(np.float32), each)
    return samples


def test_the_original_changes_nothing() -> None:
    (found,) = measured(0.0, clips()).found()
    assert (found.neighbours, found.probe, found.letters) == (0, 0, None)
    assert (found.backend, found.clips, found.frames) == ("onnx.int8", 6, 300)
    assert found.probe_right > 0.95


def test_more_noise_changes_more() -> None:
    found = [measured(noise, clips()).found()[0] for noise in (0.01, 0.3, 3.0)]
    assert found[0].neighbours < found[1].neighbours < found[2].neighbours
    assert found[0].probe <= found[1].probe < found[2].probe
    assert found[2].probe > 0.3


def test_a_turn_that_keeps_all_distances_changes_no_neighbour_and_spoils_the_probe() -> None:
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((DIM, DIM)))[0]
    samples = TaskSamples()
    for each in clips():
        samples.add("onnx.int8", (each @ turn).astype(np.float32), each)
    (found,) = samples.found()
    assert found.neighbours == 0
    assert found.probe > 0.5


@pytest.mark.parametrize("given", [[], clips(1), [clips(1)[0], clips(1)[0][:, :1]]])
def test_of_too_little_nothing_is_said(given: list[NDArray[np.float32]]) -> None:
    assert measured(0.1, given).found() == ()


def test_what_cannot_be_compared_is_left_out() -> None:
    samples = measured(0.0, clips())
    other = clips()[0]
    samples.add("onnx.int8", other[:, :-1], other)
    samples.add("onnx.int8", np.full_like(other, np.nan), other)
    assert samples.found()[0].clips == 6


def test_letters_that_come_out_otherwise_are_counted() -> None:
    samples = measured(0.0, clips())
    logits = np.eye(4, dtype=np.float32)[None, [0, 1, 2, 3]]
    samples.add_letters("onnx.int8", logits[:, ::-1], logits)
    samples.add_letters("onnx.int8", logits, logits)
    assert samples.found()[0].letters == 0.5


def test_frames_that_are_all_alike_or_zero_are_no_error() -> None:
    given = [np.zeros((1, 10, DIM), np.float32), np.ones((1, 10, DIM), np.float32)]
    assert measured(0.0, given).found()[0].probe == 0
