"""The encoder as steps computes what TorchAudio's model computes, and names the same points."""

import numpy as np
import pytest
import torch
from tests.support.tiny_encoders import VARIANTS, clip, tiny, weights

from aves_artifacts.encoder import EncoderConfig
from aves_verify.audit.steps import COARSE_WAYS, FINAL, OUTPUT, WAVEFORM, steps
from aves_verify.backends.torchaudio_encoder import TorchaudioBackend
from aves_verify.explanation.points import points


def computed(config: EncoderConfig, outputs: tuple[str, ...], *, coarse: int | None = None) -> dict[str, torch.Tensor]:
    """Every step's value on one batch, in float64 or, with one of the ``coarse`` ways, in float32."""
    dtype = torch.float64 if coarse is None else torch.float32
    state = {name: tensor.to(dtype) for name, tensor in weights(config).items()}
    values = {WAVEFORM: clip(2000, batch=2).to(dtype)}
    for step in steps(config, outputs):
        compute = step.compute if coarse is None else step.coarsely(coarse)
        values[step.site] = compute(state.__getitem__, *(values[source] for source in step.sources))
    return values


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_steps_are_the_encoder(variant: str) -> None:
    config = tiny(variant)
    exact = TorchaudioBackend(config, weights(config), dtype=torch.float64).run(
        clip(2000, batch=2).numpy(), layers=True
    )
    found = computed(config, tuple(exact))
    for name, wanted in exact.items():
        np.testing.assert_allclose(found[name].numpy(), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("way", range(COARSE_WAYS))
@pytest.mark.parametrize("variant", VARIANTS)
def test_coarse_sums_give_the_same_but_for_rounding(variant: str, way: int) -> None:
    config = tiny(variant)
    exact, coarse = computed(config, (FINAL,))[FINAL], computed(config, (FINAL,), coarse=way)[FINAL]
    np.testing.assert_allclose(coarse.numpy(), exact.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_steps_that_are_modules_are_the_points_of_an_explanation(variant: str) -> None:
    each = steps(tiny(variant), (FINAL, "logits"))
    modules = [(s.site, s.stage, s.operator) for s in each if s.is_module and s.operator != OUTPUT]
    assert modules == [(p.site, p.stage, p.operator) for p in points(tiny(variant)) if p.site != FINAL]


def test_only_outputs_that_the_encoder_has_are_steps() -> None:
    asked = ("final", "layer.2", "layer.3", "logits")
    assert [step.site for step in steps(tiny("base"), asked) if step.operator == OUTPUT] == ["final", "layer.2"]
    assert [step.site for step in steps(tiny("ctc-head"), asked)][-3:] == ["final", "layer.2", "logits"]


def test_a_sum_knows_how_many_numbers_it_adds() -> None:
    config = tiny("base")
    added = {step.site: step.added for step in steps(config)}
    assert added["feature_extractor.conv_layers.0.conv"] == 10
    assert added["feature_extractor.conv_layers.2.conv"] == 16 * 3
    assert added["encoder.transformer.pos_conv_embed.conv"] == 24 // 4 * 16
    assert added["encoder.transformer.layers.1.feed_forward.output_dense"] == 48
    assert added["encoder.transformer.layers.1.layer_norm"] == 1
