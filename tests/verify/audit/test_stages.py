"""Each stage's own error, from a port's inner values under any names."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import VARIANTS, clip, tiny, weights

from aves_verify.audit.stages import LIMIT, PEAK_LIMIT, StageError, stage_errors
from aves_verify.audit.steps import FINAL, OUTPUT, WAVEFORM, steps

LAYER = "encoder.transformer.layers.1"
WAVE = clip(3000).numpy()
Values = dict[str, np.ndarray]
Change = Callable[[torch.Tensor], torch.Tensor]


def port(variant: str = "base", **faults: Change) -> Values:
    """What a float32 port has inside, by site; a fault changes a value, and what follows is computed from that.

    A fault's name is its site's, with ``__`` for a dot.
    """
    config = tiny(variant)
    state, values = weights(config), {WAVEFORM: torch.tensor(WAVE)}
    changes = {name.replace("__", "."): change for name, change in faults.items()}
    for step in steps(config, (FINAL,)):
        value = step.compute(state.__getitem__, *(values[source] for source in step.sources))
        values[step.site] = changes.get(step.site, lambda x: x)(value)
    return {site: value.numpy().copy() for site, value in values.items() if site != WAVEFORM}


def renamed(values: Values) -> Values:
    """Inner values as a graph has them: under other names, turned, without a batch; the output under its own too."""
    found = {f"value_{i}": value[0].T for i, (site, value) in enumerate(values.items()) if site != FINAL}
    return {**found, FINAL: values[FINAL]}


def audited(values: Values, variant: str = "base") -> dict[str, StageError]:
    state = {name: tensor.double() for name, tensor in weights(tiny(variant)).items()}
    found = stage_errors(steps(tiny(variant)), state.__getitem__, WAVE, values)
    return {stage.site: stage for stage in found}


def departing(found: dict[str, StageError]) -> list[str]:
    return [site for site, stage in found.items() if stage.departs]


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_clean_port_s_stages_are_all_found_and_within_rounding(variant: str) -> None:
    found = audited(renamed(port(variant)), variant)
    assert departing(found) == []
    errors = [stage.error for stage in found.values()]
    assert all(error is not None and error.ratio < 0.6 * LIMIT for error in errors)


@pytest.mark.parametrize(
    ("site", "change"),
    [
        (f"{LAYER}.attention.k_proj", lambda x: x * 1.00001),
        (f"{LAYER}.attention:scores", lambda x: x.half().float()),
        (f"{LAYER}.attention:shares", lambda x: torch.where(x < 2.5e-4, 0, x + 1e-6)),
        (f"{LAYER}.layer_norm", lambda x: x * 1.000005),
        (f"{LAYER}.feed_forward.output_dense:input", lambda x: x.bfloat16().float()),
        (f"{LAYER}.final_layer_norm:input", lambda x: x.half().float()),
        ("feature_extractor.conv_layers.0.layer_norm", lambda x: x * 1.0001),
        ("encoder.transformer.pos_conv_embed.conv", lambda x: x.half().float()),
        (FINAL, lambda x: torch.where(x.abs() < 2.5e-3, 0, x)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_stage_with_a_fault_is_named_and_no_other(site: str, change: Change) -> None:
    found = audited(renamed(port(**{site.replace(".", "__"): change})))
    assert departing(found) == [site]
    assert found[site].between == ()


def test_several_faults_are_each_named() -> None:
    sites = [f"encoder.transformer.layers.{i}.{part}" for i in (0, 1, 2) for part in ("layer_norm", "attention.q_proj")]
    faults = {site.replace(".", "__"): lambda x: x * 1.0001 for site in sites}
    assert sorted(departing(audited(renamed(port(**faults))))) == sorted(sites)


def test_neighbours_that_are_both_off_are_each_named() -> None:
    sites = [f"{LAYER}.attention.{part}_proj" for part in "qkv"]
    faults = {site.replace(".", "__"): lambda x: x.bfloat16().float() for site in sites}
    assert departing(audited(renamed(port(**faults)))) == sites


def without(values: Values, *sites: str, **others: np.ndarray) -> Values:
    return renamed({site: value for site, value in values.items() if site not in sites} | others)


def test_a_value_that_a_graph_has_merged_away_is_not_found_and_no_fault() -> None:
    gone = (f"{LAYER}.attention:scores", f"{LAYER}.attention:shares", f"{LAYER}.layer_norm:input")
    found = audited(without(port(), *gone))
    assert departing(found) == []
    assert all(found[site].error is None for site in gone)
    assert found[f"{LAYER}.layer_norm"].between == ("layer 1, sum after attention",)


def test_a_fault_behind_merged_values_is_found_at_the_next_one() -> None:
    values = port(**{f"{LAYER}.attention:scores".replace(".", "__"): lambda x: x.half().float()})
    found = audited(without(values, f"{LAYER}.attention:scores", f"{LAYER}.attention:shares"))
    assert departing(found) == [f"{LAYER}.attention.out_proj:input"]
    assert found[f"{LAYER}.attention.out_proj:input"].between == ("layer 1, attention scores", "layer 1, softmax")


def test_a_product_without_its_bias_is_another_value() -> None:
    values, state = port(), weights(tiny("base"))
    for part in ("out_proj", "v_proj"):
        site = f"{LAYER}.attention.{part}"
        bias = 0.05 * state[f"{site}.bias"].numpy()  # near enough to be taken for it
        found = audited(without(values, site, product=values[site] - bias))
        assert departing(found) == []
        assert found[site].error is None


def test_a_sum_s_larger_part_is_another_value() -> None:
    values = port("pre-norm")
    small = values[f"{LAYER}.final_layer_norm:input"] + 0.01 * values[f"{LAYER}.attention.out_proj"]
    found = audited(without(values, f"{LAYER}.final_layer_norm:input", part=small), "pre-norm")
    assert departing(found) == []


def test_with_nothing_found_inside_the_whole_is_judged() -> None:
    values = port()
    assert departing(audited({FINAL: values[FINAL]})) == []
    found = audited({FINAL: values[FINAL] * np.float32(1.0001)})
    assert departing(found) == [FINAL]
    assert len(found[FINAL].between) == len(found) - 1


def test_a_port_that_computes_something_else_departs_at_its_output() -> None:
    values = port(**{f"{LAYER}.layer_norm".replace(".", "__"): lambda x: x.flip(1)})
    found = audited(renamed(values))
    assert FINAL in departing(found)
    assert found[FINAL].error is not None
    assert found[FINAL].error.relative > 0.1


def test_an_output_of_another_shape_departs() -> None:
    values = port()
    found = audited({**renamed(values), FINAL: values[FINAL][:, :-1]})
    assert FINAL in departing(found)


def test_other_outputs_are_judged_as_well() -> None:
    config, values = tiny("base"), port()
    state = {name: tensor.double() for name, tensor in weights(config).items()}
    outputs = {"layer.0": values["encoder.transformer.layers.0.final_layer_norm"]}
    exchanged = {"layer.1": outputs["layer.0"]}
    for given, wanted in ((outputs, []), (exchanged, ["layer.1"])):
        where = steps(config, (FINAL, *given))
        found = stage_errors(where, state.__getitem__, WAVE, {**renamed(values), **given})
        assert [stage.site for stage in found if stage.departs] == wanted
        assert [stage.operator for stage in found][-2:] == [OUTPUT, OUTPUT]


def test_a_batch_is_judged_as_one() -> None:
    config = tiny("base")
    state, batch = weights(config), clip(3000, batch=3)
    values = {WAVEFORM: batch}
    for step in steps(config):
        values[step.site] = step.compute(state.__getitem__, *(values[source] for source in step.sources))
    inside = {site: value.numpy() for site, value in values.items() if site != WAVEFORM}
    wide = {name: tensor.double() for name, tensor in state.items()}
    found = stage_errors(steps(config), wide.__getitem__, batch.numpy(), inside)
    assert [stage.site for stage in found if stage.departs] == []
    assert all(stage.error is not None for stage in found)


def test_the_limits_leave_room_above_what_was_measured() -> None:
    assert (LIMIT, PEAK_LIMIT) == (4.0, 30.0)
