"""Where an error begins, on values made by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from aves_verify.explanation.explain import DEPARTURE, SAME_VALUE, Explanation, PointError, explain
from aves_verify.explanation.points import FINAL, Point

POINTS = (
    Point("a", "conv block 0", "convolution"),
    Point("b", "conv block 0", "group norm"),
    Point("c", "layer 0", "output projection"),
    Point(FINAL, "output", "embeddings"),
)
SHAPES = {"a": (1, 8, 40), "b": (1, 8, 40), "c": (1, 20, 6), FINAL: (1, 20, 6)}
EXACT = {site: np.random.default_rng(i).standard_normal(shape) for i, (site, shape) in enumerate(SHAPES.items())}
OWN = {site: value.astype(np.float32) for site, value in EXACT.items()}


def off(site: str, error: float) -> np.ndarray:
    """A value with an error of about this size, relative to the value."""
    noise = np.random.default_rng(99).standard_normal(EXACT[site].shape)
    return (EXACT[site] + error * noise).astype(np.float32)


def told(port: Mapping[str, Any], own: Mapping[str, Any] = OWN) -> Explanation:
    return explain(POINTS, EXACT, own, port, backend="onnx", clip="chirp", seconds=1.5)


def named(**errors: float) -> dict[str, np.ndarray]:
    """A port's values under names of its own; those without an error are as good as float32."""
    port = {f"node_{site}" if site != FINAL else FINAL: off(site, errors.get(site, 1e-8)) for site in SHAPES}
    return {"waveform": np.zeros((1, 2000), dtype=np.float32), **port}


def test_a_port_as_good_as_float32_departs_nowhere() -> None:
    found = told(named())
    assert found.first is None
    assert [stage.value for stage in found.stages] == ["node_a", "node_b", "node_c", FINAL]
    assert all(stage.found and not stage.departs for stage in found.stages)
    assert found.text.startswith("onnx, clip chirp: no stage departs from float32's own rounding; the largest is 0.9")
    assert (found.backend, found.clip, found.seconds) == ("onnx", "chirp", 1.5)


def test_the_first_point_that_departs_is_named_with_the_graphs_own_name() -> None:
    found = told(named(b=1e-5, c=1e-5, final=1e-6))
    assert found.first is not None
    assert (found.first.stage, found.first.operator, found.first.value) == ("conv block 0", "group norm", "node_b")
    assert found.first.ratio == pytest.approx(found.stages[1].port / found.stages[1].own)  # type: ignore[operator]
    ratio, end = found.stages[1].ratio, found.stages[3].ratio
    assert found.text == (
        f"onnx, clip chirp: the error begins in conv block 0, group norm (b), the graph's node_b: {ratio:.3g} times "
        f"float32's own there; {end:.3g} times at the end. ONNX Runtime sums this norm over the whole clip in float32, "
        "which a constant offset makes worse: write the graph with aves-convert's own exporter, or take the offset "
        "out of the recordings"
    )


def test_what_to_do_is_told_of_an_ordinary_exports_group_norm_alone() -> None:
    damage = {"node_b": off("b", 1e-5), "node_c": off("c", 1e-5), FINAL: off(FINAL, 1e-5)}
    assert "own exporter" in told({**named(), **damage}).text
    assert "exporter" not in told(named(c=1e-5)).text
    assert "exporter" not in told(named()).text
    assert "exporter" not in told({**named(), **{name: -value for name, value in damage.items()}}).text
    other = explain(POINTS, EXACT, OWN, {**named(), **damage}, backend="torchaudio", clip="chirp", seconds=1.5)
    assert other.first is not None
    assert "exporter" not in other.text


def test_an_error_that_another_place_makes_far_larger_is_told_there_too() -> None:
    found = told(named(b=1e-6, c=1e-3, final=1e-3))
    assert found.first is not None
    assert found.grows is not None
    assert (found.first.site, found.grows.site) == ("b", "c")
    assert "the error begins in conv block 0, group norm (b)" in found.text
    assert "; most of it comes in layer 0, output projection (c), the graph's node_c: " in found.text
    assert "exporter" not in found.text  # which would not help
    assert told(named(b=1e-6, c=2e-5, final=2e-5)).grows is None


def test_where_a_small_error_comes_before_something_else_both_are_told() -> None:
    port = named(b=1e-5)
    port["node_c"], port[FINAL] = -port["node_c"], -port[FINAL]
    found = told(port)
    assert "the error begins in conv block 0, group norm (b)" in found.text
    assert found.text.endswith("; from layer 0, output projection (c) on, the port computes something else")


def test_what_could_not_be_looked_at_is_told() -> None:
    found = Explanation("onnx", "chirp", 5.0, (), failure="x.onnx: it needs more memory")
    assert (found.first, found.grows, found.lost) == (None, None, None)
    assert found.text == "onnx, clip chirp: not explained: x.onnx: it needs more memory"
    found = Explanation("onnx", "chirp", 5.0, told(named()).stages, partly=True)
    assert found.text.startswith("onnx, clip chirp, its first 5 s: no stage departs")


def test_a_name_that_is_the_sites_is_not_told_twice() -> None:
    port = {("b" if name == "node_b" else name): value for name, value in named(b=1e-5).items()}
    assert "group norm (b): " in told(port).text


def test_time_and_channels_may_be_exchanged() -> None:
    port = named()
    port["node_a"] = np.ascontiguousarray(np.swapaxes(port["node_a"], 1, 2))
    port["node_c"] = np.ascontiguousarray(np.swapaxes(port["node_c"], 1, 2)[0])
    assert told(port).first is None


def test_operators_that_a_graph_has_merged_are_passed_over() -> None:
    port = named()
    del port["node_a"]
    found = told(port)
    assert not found.stages[0].found
    assert found.first is None
    port = named(c=1e-4)
    del port["node_a"], port["node_b"]
    later = told(port).first
    assert later is not None
    assert later.site == "c"


def test_where_nothing_right_follows_the_port_computes_something_else() -> None:
    port = named()
    port["node_b"], port["node_c"], port[FINAL] = (-v for v in (port["node_b"], port["node_c"], port[FINAL]))
    found = told(port)
    assert found.first is not None
    assert found.first.site == "b"
    assert found.text == ("onnx, clip chirp: from conv block 0, group norm (b) on, the port computes something else")


def test_a_port_that_has_nothing_right_is_told_from_its_beginning() -> None:
    assert "from conv block 0, convolution (a) on" in told({FINAL: -OWN[FINAL]}).text


def test_what_is_returned_is_held_against_what_is_returned_alone() -> None:
    """A right value inside, in a graph that returns another one, is no right output."""
    port = named()
    port["inner"] = port[FINAL]
    port[FINAL] = port["node_c"]
    found = told(port).stages[-1]
    assert (found.value, found.found) == (FINAL, False)
    port = named()
    port["node_c"] = -port["node_c"]
    port[FINAL] = OWN["c"]
    assert not told(port).stages[2].found


def test_the_closest_of_many_values_is_taken() -> None:
    port = named(b=1e-6)
    crowd = {f"other_{i}": np.random.default_rng(100 + i).standard_normal(SHAPES["b"]) for i in range(40)}
    found = told({**crowd, **port, "worse": off("b", 1e-3)})
    assert found.stages[1].value == "node_b"


def test_a_value_that_is_no_number_is_no_value() -> None:
    port = named()
    port["node_a"] = np.full_like(port["node_a"], np.nan)
    port["node_b"] = np.full_like(port["node_b"], np.inf)
    found = told(port)
    assert [(s.value, s.port, s.ratio, s.found) for s in found.stages[:2]] == [(None, None, None, False)] * 2


def test_the_limits() -> None:
    def stage(error: float | None, own: float = 1e-7) -> PointError:
        return PointError("x", "x", "x", "x", own, error)

    assert stage(SAME_VALUE).found
    assert not stage(SAME_VALUE * 1.001).found
    assert not stage(None).found
    assert stage(None).ratio is None
    assert not stage(DEPARTURE * 1e-7).departs
    assert stage(DEPARTURE * 1.001e-7).departs
    assert not stage(None).departs
    assert not stage(1.0).departs  # another value is no departure


def test_errors_are_relative_to_the_value() -> None:
    scaled = {site: 1000 * value for site, value in EXACT.items()}
    own = {site: value.astype(np.float32) for site, value in scaled.items()}
    port = {f"node_{site}" if site != FINAL else FINAL: (1.001 * v).astype(np.float32) for site, v in scaled.items()}
    found = explain(POINTS, scaled, own, port, backend="onnx", clip="chirp", seconds=1.0)
    assert [stage.port for stage in found.stages] == pytest.approx([1e-3] * 4, rel=1e-3)


def test_an_exact_value_of_zeros_does_no_harm() -> None:
    exact = {site: np.zeros_like(value) for site, value in EXACT.items()}
    own = {site: value.astype(np.float32) for site, value in exact.items()}
    port = {f"node_{site}" if site != FINAL else FINAL: value for site, value in own.items()}
    found = explain(POINTS, exact, own, port, backend="onnx", clip="silence", seconds=1.0)
    assert found.first is None
    assert [stage.ratio for stage in found.stages] == [0.0] * 4


def test_float32s_own_rounding_has_a_floor() -> None:
    """Where the original happens to hit the exact value, storing the port's costs something."""
    found = told(named(), own=EXACT)
    assert {stage.own for stage in found.stages} == {float(np.finfo(np.float32).eps) / 4}
    assert found.first is None
