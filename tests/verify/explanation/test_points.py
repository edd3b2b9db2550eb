"""The points of an encoder are TorchAudio's own modules, in the order in which they compute."""

import pytest
from tests.support.tiny_encoders import VARIANTS, clip, tiny, weights

from aves_convert.weights.model import load_model
from aves_verify.explanation.points import FINAL, INPUT, points


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_point_is_a_module_that_is_reached_in_that_order(variant: str) -> None:
    config = tiny(variant)
    model = load_model(config, weights(config))
    reached: list[str] = []
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda _m, _in, name=name: reached.append(name + INPUT))
        module.register_forward_hook(lambda _m, _in, _out, name=name: reached.append(name))
    model(clip(2000))
    sites = [point.site for point in points(config)]
    assert sites[-1] == FINAL
    assert len(set(sites)) == len(sites)
    places = [reached.index(site) for site in sites[:-1]]
    assert places == sorted(places)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stage_and_its_operator_name_one_point(variant: str) -> None:
    found = points(tiny(variant))
    assert len({(point.stage, point.operator) for point in found}) == len(found)


def operators(variant: str, stage: str) -> list[str]:
    return [point.operator for point in points(tiny(variant)) if point.stage == stage]


def test_norms_are_where_the_geometry_has_them() -> None:
    assert operators("base", "conv block 0") == ["convolution", "group norm", "GELU"]
    assert operators("base", "conv block 1") == ["convolution", "GELU"]
    assert operators("layer-norm", "conv block 1") == ["convolution", "layer norm", "GELU"]
    assert operators("base", "positional convolution")[-2:] == ["sum", "layer norm"]
    assert operators("pre-norm", "positional convolution")[-1] == "sum"
    assert operators("base", "layer 2")[0] == "query projection"
    assert operators("pre-norm", "layer 2")[0] == "layer norm before attention"
    assert operators("pre-norm", "last layer norm") == ["layer norm"]
    assert operators("base", "last layer norm") == []


def test_only_a_fine_tuned_model_has_a_head() -> None:
    assert operators("ctc-head", "head") == ["linear"]
    assert operators("base", "head") == []
