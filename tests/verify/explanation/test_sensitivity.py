"""What moves embeddings, and by how much."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests.support.tiny_encoders import TINY, weights

from aves_convert.sounds.clip import Clip
from aves_verify.backends.backend import Backend, Embeddings, RunError
from aves_verify.backends.onnx_session import LEVELS, OnnxBackend
from aves_verify.backends.recorded import RecordedBackend
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.explanation.sensitivity import CHANGES, Sensitivity, characterise
from aves_verify.loading.load import Loaded
from aves_verify.sounds.inputs import inputs
from aves_verify.verification.recording import record

MODEL = list(CHANGES)


def given(*samples: int) -> list[Clip]:
    noise = np.random.default_rng(0)
    return [Clip(f"{n}", (0.1 * noise.standard_normal(n)).astype(np.float32), "made here") for n in samples]


def loaded(*backends: Backend) -> Loaded:
    return Loaded(backends, exact=None, config=TINY, normalize=False, problems=(), weights={})


@pytest.fixture(scope="module")
def measured(graph: Path) -> tuple[Sensitivity, ...]:
    return characterise(loaded(TorchaudioBackend(TINY, weights(TINY)), OnnxBackend(graph)), given(4000, 1000))


def moved(measured: tuple[Sensitivity, ...], backend: str, kind: str) -> dict[str, float]:
    return {
        s.change: s.relative for s in measured if s.backend == backend and s.kind == kind and s.relative is not None
    }


def test_every_change_is_measured_in_every_backend(measured: tuple[Sensitivity, ...]) -> None:
    common = ["one thread", "in a batch of 3"]
    assert list(moved(measured, "torchaudio", "model")) == list(moved(measured, "onnx", "model")) == MODEL
    assert set(moved(measured, "torchaudio", "rounding")) == set(common)
    assert set(moved(measured, "onnx", "rounding")) == {*common, *(f"optimisation: {level}" for level in LEVELS)}


def test_all_backends_move_alike_where_it_is_the_models_nature(measured: tuple[Sensitivity, ...]) -> None:
    a, b = moved(measured, "torchaudio", "model"), moved(measured, "onnx", "model")
    assert a == pytest.approx(b, rel=1e-3, abs=1e-5)
    # without a bias in the first convolution, the group norm takes a constant out again
    assert {change for change, size in a.items() if size > 1e-4} == {*MODEL} - {"offset of 0.1"}


def test_nothing_but_rounding_moves_the_rest(measured: tuple[Sensitivity, ...]) -> None:
    for backend in ("torchaudio", "onnx"):
        assert max(moved(measured, backend, "rounding").values()) < 1e-5


class Summing:
    """A backend that says how it was called: one number for each frame of 100 samples."""

    name = kind = "torchaudio"
    version = "0"

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []
        self.threads: list[int] = []

    def run(self, waveform: np.ndarray, *, layers: bool = False) -> Embeddings:
        assert not layers
        self.seen.append(waveform)
        self.threads.append(torch.get_num_threads())
        frames = waveform.shape[1] // 100
        return {"final": waveform[:, : 100 * frames].reshape(len(waveform), frames, 100).sum(2, keepdims=True)}


def test_sizes_follow_their_definition_over_the_frames_that_both_have() -> None:
    ones = Clip("ones", np.ones(1000, dtype=np.float32), "made here")
    found = characterise(loaded(Summing()), [ones])
    sizes = {s.change: (s.max_abs, s.relative) for s in found}
    assert sizes["0.5 s of zeros appended"] == (0.0, 0.0)
    assert sizes["gain of 0.5"] == (50.0, 0.5)
    assert sizes["offset of 0.1"] == pytest.approx((10.0, 0.1), rel=1e-5)
    assert sizes["second half cut off"] == (0.0, 0.0)
    assert sizes["in a batch of 3"] == (0.0, 0.0)


def test_the_longest_clip_is_used_and_two_seconds_of_it() -> None:
    backend = Summing()
    characterise(loaded(backend), given(1000, 50_000, 2000))
    assert backend.seen[0].shape == (1, 32_000)


def test_threads_are_as_they_were_afterwards_even_where_it_fails() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        backend = Summing()
        characterise(loaded(backend), given(1000))
        assert 1 in backend.threads
        assert torch.get_num_threads() == 3

        class Failing(Summing):
            def run(self, waveform: np.ndarray, *, layers: bool = False) -> Embeddings:
                if torch.get_num_threads() == 1:
                    raise RunError("not with one thread")
                return super().run(waveform, layers=layers)

        found = characterise(loaded(Failing()), given(1000))
        assert [s for s in found if s.max_abs is None] == [
            Sensitivity("one thread", "rounding", "torchaudio", None, None)
        ]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_change_that_leaves_no_frame_is_none() -> None:
    found = characterise(loaded(TorchaudioBackend(TINY, weights(TINY))), given(TINY.receptive_field))
    assert "second half cut off" not in {s.change for s in found}
    assert "gain of 0.5" in {s.change for s in found}


def test_silence_moves_by_numbers_too() -> None:
    silence = Clip("silence", np.zeros(1000, dtype=np.float32), "made here")
    found = characterise(loaded(Summing()), [silence])
    assert {s.change: s.relative for s in found}["gain of 0.5"] == 0.0
    assert all(s.relative is not None and np.isfinite(s.relative) for s in found)


@pytest.mark.slow
def test_a_port_that_takes_no_batch_is_told_and_the_others_measured(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "s"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "s", 1])
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [2])
    nodes = [helper.make_node("Unsqueeze", ["x", "axis"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], initializer=[axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "frozen.onnx")
    found = characterise(loaded(Summing(), OnnxBackend(tmp_path / "frozen.onnx")), given(1000))
    failed = [s for s in found if s.max_abs is None]
    assert failed == [Sensitivity("in a batch of 3", "rounding", "onnx", None, None)]
    assert len(found) == 6 + 6 + len(LEVELS)


def test_a_port_that_does_not_run_at_all_has_no_numbers() -> None:
    class Broken(Summing):
        def run(self, waveform: np.ndarray, *, layers: bool = False) -> Embeddings:
            super().run(waveform, layers=layers)
            raise RunError("never")

    found = characterise(loaded(Broken()), given(1000))
    assert len(found) == 6
    assert {(s.max_abs, s.relative) for s in found} == {(None, None)}


def test_a_recording_has_no_answer_and_is_left_out(tmp_path: Path) -> None:
    clips = given(1000)
    items = inputs(clips, receptive_field=TINY.receptive_field, normalize=False)
    record(Summing(), items, tmp_path / "r", layers="last", normalize=False, config=TINY, weights="")
    found = characterise(loaded(RecordedBackend(tmp_path / "r"), Summing()), clips)
    assert len(found) == 6
    assert {s.backend for s in found} == {"torchaudio"}


def test_without_a_clip_nothing_is_measured() -> None:
    assert characterise(loaded(Summing()), []) == ()
