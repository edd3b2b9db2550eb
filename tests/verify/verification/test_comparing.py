"""One input through every backend: when somebody looks at what float32 leaves of it, and what that changes."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.support.tiny_encoders import TINY, clip, weights

from aves_verify.backends.backend import Backend, Embeddings, RunError
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.comparison.compare import Comparison
from aves_verify.comparison.evidence import Kept
from aves_verify.comparison.task_cost import TaskSamples
from aves_verify.loading.load import Loaded
from aves_verify.sounds.inputs import Input
from aves_verify.verification import answers, comparing
from aves_verify.verification.plan import Plan

WAVE = clip(3000).numpy()
EXACT = TorchaudioBackend(TINY, weights(TINY), dtype=torch.float64)
ANSWER: NDArray[np.float64] = EXACT.run(WAVE)["final"]
NOISE = np.random.default_rng(0).normal(size=ANSWER.shape)


class Answering:
    """A backend that has one answer."""

    version = ""

    def __init__(self, name: str, answer: NDArray[np.float64]) -> None:
        self.name = name
        self.kind = "torchaudio"
        self._answer = answer.astype(np.float32)

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:  # noqa: ARG002
        return {"final": self._answer}


def compared(*backends: Backend, exact: bool = True) -> list[Comparison]:
    loaded = Loaded(backends, EXACT if exact else None, TINY, normalize=False, problems=(), weights={})
    seconds = dict.fromkeys(("fairseq", "torchaudio", "exact"), 0.0)
    return list(
        comparing.compare_input(
            loaded, Input("x", WAVE), Plan(), seconds, Kept(), TaskSamples(), layers=False, shapes=set()
        )
    )


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What float32 leaves, as a share of ``NOISE``; once more for each time that somebody asks."""
    sizes: list[float] = []

    def in_float32(*_: object) -> tuple[Embeddings, ...]:
        sizes.append(sizes[0])
        return ({"final": (ANSWER + sizes[0] * NOISE).astype(np.float32)},)

    monkeypatch.setattr(answers, "in_float32", in_float32)
    return sizes


FAIRSEQ = Answering("fairseq", ANSWER + 1e-6 * NOISE)


def test_of_an_ordinary_difference_nobody_asks(left: list[float]) -> None:
    left.append(1e-3)
    (found,) = compared(FAIRSEQ, Answering("torchaudio", ANSWER - 1e-6 * NOISE))
    assert found.status == "pass"
    assert found.noise is not None
    assert found.noise.float32 is None
    assert len(left) == 1


@pytest.mark.parametrize(("leaves", "status"), [(1e-4, "pass"), (1e-6, "fail")])
def test_a_difference_passes_where_float32_leaves_as_much(left: list[float], leaves: float, status: str) -> None:
    left.append(leaves)
    ports = [Answering("torchaudio", ANSWER + 1e-4 * NOISE), Answering("torchaudio", ANSWER - 1e-4 * NOISE)]
    found = compared(FAIRSEQ, *ports)
    assert [c.status.replace("near-zero drift", "pass") for c in found] == [status, status]
    assert all(c.noise is not None and c.noise.float32 == pytest.approx(leaves, rel=0.1) for c in found)
    assert len(left) == 2  # computed once for all


def test_a_difference_that_no_rounding_explains_is_not_looked_into(left: list[float]) -> None:
    left.append(10.0)
    (found,) = compared(FAIRSEQ, Answering("torchaudio", ANSWER + NOISE))
    assert found.status == "fail"
    assert len(left) == 1


@pytest.mark.parametrize(("leaves", "status"), [(1e-3, "pass"), (1e-6, "fail")])
def test_an_original_in_doubt_is_looked_into_though_the_port_agrees(
    left: list[float], leaves: float, status: str
) -> None:
    left.append(leaves)
    far = ANSWER + 1e-3 * NOISE
    (found,) = compared(Answering("fairseq", far), Answering("torchaudio", far))
    assert found.status == status
    assert ("one of the two is another model" in found.reason) == (status == "fail")


def test_without_the_exact_answer_a_port_may_differ_by_what_ordinary_exports_do() -> None:
    (found,) = compared(FAIRSEQ, Answering("torchaudio", ANSWER + 2e-4 * np.sign(NOISE)), exact=False)
    assert found.status != "fail"
    assert found.tolerance.atol == 3e-4
    (found,) = compared(FAIRSEQ, Answering("torchaudio", ANSWER + 4e-4 * np.sign(NOISE)), exact=False)
    assert found.status == "fail"


def test_where_careless_sums_leave_nothing_of_a_sound_another_model_does_not_pass(left: list[float]) -> None:
    """Beside an original in doubt too, which asks for what float32 leaves."""
    left.append(2.0)
    doubtful = Answering("fairseq", ANSWER + 1e-4 * NOISE)
    other = np.random.default_rng(1).normal(size=ANSWER.shape) * ANSWER.std()
    (found,) = compared(doubtful, Answering("torchaudio", other))
    assert found.status == "fail"
    (found,) = compared(doubtful, Answering("torchaudio", ANSWER + 1e-2 * NOISE))
    assert found.status == "fail"
    assert found.noise is not None
    assert found.noise.float32 is None


class Warming(Answering):
    """A backend whose first run of a shape is not like the others, as of runtimes that choose kernels meanwhile."""

    def __init__(self, name: str, answer: NDArray[np.float64], *, off: float = 1e-7) -> None:
        super().__init__(name, answer)
        self._off, self._seen = off, set[tuple[int, ...]]()

    def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
        outputs = dict(super().run(waveform, layers=layers))
        if waveform.shape not in self._seen:
            outputs["final"] = outputs["final"] + np.float32(self._off)
        self._seen.add(waveform.shape)
        return outputs


def rerun(port: Backend, *items: Input) -> list[list[Comparison]]:
    """The comparisons of each input, one after the other."""
    loaded = Loaded((FAIRSEQ, port), None, TINY, normalize=False, problems=(), weights={})
    seconds, shapes = dict.fromkeys(("fairseq", "torchaudio"), 0.0), set[tuple[int, ...]]()
    return [
        list(comparing.compare_input(loaded, item, Plan(), seconds, Kept(), TaskSamples(), layers=False, shapes=shapes))
        for item in items
    ]


LONG_WAVE = np.zeros((1, 25_000), np.float32)


@pytest.mark.parametrize("waveform", [WAVE, LONG_WAVE])
def test_a_first_run_that_differs_from_the_second_fails_however_long_it_is(waveform: NDArray[np.float32]) -> None:
    """Though either would pass by itself."""
    port = Warming("torchaudio", ANSWER)
    ((once, again), (later, *more)) = rerun(port, Input("x", waveform), Input("y", waveform))
    assert once.status != "fail"
    assert (again.status, again.clip) == ("fail", "x, run again")
    assert again.reason.startswith("the first run of a shape differs from its second")
    assert (later.status == "fail", more) == (False, [])
    assert rerun(Warming("torchaudio", ANSWER, off=0.0), Input("x", waveform))[0][1:] == []


def test_a_long_input_of_a_shape_that_was_run_is_run_once() -> None:
    class Counting(Answering):
        runs = 0

        def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
            self.runs += 1
            return super().run(waveform, layers=layers)

    port = Counting("torchaudio", ANSWER)
    rerun(port, Input("x", LONG_WAVE), Input("y", LONG_WAVE), Input("z", WAVE), Input("a", WAVE))
    assert port.runs == 2 + 1 + 2 + 2


def test_a_second_run_that_fails_is_told() -> None:
    class Tiring(Answering):
        runs = 0

        def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
            self.runs += 1
            if self.runs % 2 == 0:
                raise RunError("too tired")
            return super().run(waveform, layers=layers)

    ((_, first), (_, second)) = rerun(Tiring("torchaudio", ANSWER), Input("x", WAVE), Input("y", WAVE))
    assert first.reason == "the first run of a shape is followed by one that fails; too tired"
    assert second.reason == "a second run fails; too tired"


def test_of_several_outputs_only_those_fail_that_a_second_run_gives_otherwise() -> None:
    class Changing(Warming):
        def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
            return {"embeddings": self._answer, **super().run(waveform, layers=layers)}

    ((*_, again),) = rerun(Changing("torchaudio", ANSWER), Input("x", WAVE))
    assert (again.clip, again.layer, again.status) == ("x, run again", "final", "fail")
    ((*once,),) = rerun(Changing("torchaudio", ANSWER, off=0.0), Input("x", WAVE))
    assert [c.layer for c in once] == ["final", "embeddings"]


def test_an_output_that_a_second_run_lacks_fails() -> None:
    class Losing(Warming):
        def run(self, waveform: NDArray[np.float32], *, layers: bool = False) -> Embeddings:
            seen = waveform.shape in self._seen
            outputs = super().run(waveform, layers=layers)
            return outputs if seen else {**outputs, "embeddings": self._answer}

    ((*_, again),) = rerun(Losing("torchaudio", ANSWER, off=0.0), Input("x", WAVE))
    assert (again.clip, again.layer, again.status) == ("x, run again", "embeddings", "fail")
    assert again.reason == "the first run of a shape differs from its second; it gives embeddings no more"
