"""The noise of one product alone, held against graphs in which it alone is in eight bits."""

import dataclasses

import numpy as np
import pytest
from tests.support.reduced_graphs import encoder
from tests.support.tiny_encoders import open_session, tiny, weights

from aves_artifacts.bundle.outputs import EMBEDDINGS
from aves_convert.graph.encoder import weighted_encoder_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.transformer import products
from aves_convert.reduction.cost import energies
from aves_convert.reduction.limits import Table
from aves_convert.reduction.sensitivity import NOTHING, Encoder, energy, noise_alone, tenths
from aves_convert.reduction.trial import Bench
from aves_convert.sounds.signals import reference_signals

CHIRP, FROG = (clip.waveform[None, :12_000] for clip in reference_signals()[:2])


def made(variant: str, layers: int | None = None) -> Encoder:
    config, state_dict = encoder(variant)
    output = EMBEDDINGS if layers is None else f"layer.{layers - 1}"
    return Encoder(config, state_dict, output, products(layers or config.encoder_num_layers))


@pytest.mark.parametrize(
    ("variant", "layers"), [("base", None), ("large", None), ("base", 2), ("large", 2), ("odd-sizes", None)]
)
def test_alone_in_a_chain_of_layers_is_alone_in_the_whole_graph(variant: str, layers: int | None) -> None:
    given = made(variant, layers)
    noise = dict(noise_alone(given, [CHIRP], (), print))
    assert list(noise) == list(given.products)
    options = OnnxOptions(outputs=(given.output,))
    exact = run(given, options, CHIRP)
    for product in given.products[::4]:
        others = tuple(each for each in given.products if each != product)
        port = run(given, OnnxOptions(precision="int8", wide=others, outputs=options.outputs), CHIRP)
        signal, expected = (each.sum() for each in energies(port, exact))
        found = (energy(noise[product][0]) * energies(port, exact)[0]).sum()
        assert found / signal == pytest.approx(expected / signal, rel=0.02)


def run(given: Encoder, options: OnnxOptions, waveform: np.ndarray) -> np.ndarray:
    graph = weighted_encoder_graph(given.config, given.state_dict, options)
    (answer,) = open_session(graph.proto()).run(None, {"waveform": waveform})
    return np.asarray(answer)


@pytest.mark.parametrize("variant", ["base", "large"])
def test_noise_adds_up(variant: str) -> None:
    """What the choice rests on: all together are, within a decibel or so, the sum of each alone.

    Not in the tiniest encoders: the roundings of few numbers have something to do with each other.
    """
    config = dataclasses.replace(tiny(variant), encoder_embed_dim=96, encoder_ff_interm_features=192)
    state_dict = {name: tensor.numpy() for name, tensor in weights(config).items()}
    given = Encoder(config, state_dict, EMBEDDINGS, products(config.encoder_num_layers))
    clips = {"chirp": CHIRP, "frog": FROG}
    bench = Bench.of(given, OnnxOptions(precision="int8"), clips, {})
    noise = dict(noise_alone(given, list(clips.values()), (), print))
    signals = {name: energies(answer[0], answer[0])[0] for name, answer in bench.references.items()}
    together = [energy(each) for each in bench.noise(())]
    table = Table.of(signals, noise, ())
    predicted, _ = table.predicted(given.products)
    measured = -10 * np.log10(max(n @ s / s.sum() for n, s in zip(together, signals.values(), strict=True)))
    assert measured == pytest.approx(predicted, abs=1.0)


def test_what_is_known_is_not_measured_again() -> None:
    given = made("base")
    known = given.products[:-2]
    steps: list[str] = []
    assert [name for name, _ in noise_alone(given, [CHIRP], known, steps.append)] == list(given.products[-2:])
    assert steps == ["the float32 encoder", "product 17 of 18", "product 18 of 18"]
    assert list(noise_alone(given, [CHIRP], given.products, steps.append)) == []
    assert len(steps) == 3


def test_noise_is_in_tenths_of_a_decibel_of_the_frame() -> None:
    exact = np.float32([[3, 4], [3, 4], [0, 0], [0, 0]])
    port = exact + np.float32([[0.5, 0], [0, 0], [0, 0], [1e-3, 0]])
    found = tenths(port, exact)
    assert found[:3].tolist() == [-200, NOTHING, NOTHING]
    assert found[3] > 1000
    assert energy(found[:3]).tolist() == [0.01, 0, 0]
