"""Probes: the same seed draws the same inputs, another one others, and each is what its name says."""

import dataclasses

import numpy as np
import pytest
from tests.support.documents import BASE
from tests.support.tiny_encoders import TINY

from aves_artifacts.encoder import EncoderConfig
from aves_verify.sounds.probes import CALLS, KINDS, LONG, calls_probe, long_probe, new_seed, probes
from aves_verify.sounds.ran import InputFacts, what_ran

SEEDS = range(30)


def drawn(seed: int, *, normalize: bool = False) -> dict[str, np.ndarray]:
    made = probes(seed, receptive_field=400, hop=320, normalize=normalize)
    return {item.name: item.waveform for item in made}


def frames(waveform: np.ndarray) -> int:
    return (waveform.shape[1] - 400) // 320 + 1


def test_a_seed_draws_the_same_again_and_another_one_others() -> None:
    one, same, other = drawn(5), drawn(5), drawn(6)
    assert list(one) == list(other) == [kind.name for kind in KINDS]
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one)
    one, same, other = (long_probe(seed, BASE, 10**7, normalize=False).waveform for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert one.shape != other.shape


def test_a_new_seed_is_another_one() -> None:
    assert len({new_seed() for _ in range(20)}) > 15


@pytest.mark.parametrize("seed", SEEDS)
def test_each_probe_is_what_it_is_called(seed: int) -> None:
    found = drawn(seed)
    assert all(waveform.dtype == np.float32 for waveform in found.values())
    assert frames(found["probe: one frame"]) == 1
    assert 4 <= found["probe: batch"].shape[0] <= 8
    assert np.abs(found["probe: quiet"]).max() < 1e-3
    assert np.abs(found["probe: loud"]).max() > 20
    assert found["probe: offset"].mean() > 0.3
    assert found["probe: offset below"].mean() < -0.3
    rows = found["probe: batch"]
    assert not any(np.array_equal(rows[0], row) for row in rows[1:])


def test_lengths_are_of_every_remainder() -> None:
    lengths = {drawn(seed)["probe: some frames"].shape[1] for seed in SEEDS}
    assert len(lengths) == len(SEEDS)
    assert len({length % 2 for length in lengths}) == 2


def test_an_encoder_that_normalises_is_given_normalised_rows() -> None:
    for waveform in drawn(3, normalize=True).values():
        assert np.abs(waveform.astype(np.float64).mean(axis=1)).max() < 1e-5


@pytest.mark.parametrize(
    ("config", "least", "most"),
    [(TINY, 1025, 3000), (BASE, 1025, 1280), (dataclasses.replace(BASE, encoder_num_layers=48), 1025, 1025)],
    ids=["tiny", "base", "large"],
)
def test_the_long_one_is_longer_than_tables_and_as_long_as_it_costs_little(
    config: EncoderConfig, least: int, most: int
) -> None:
    lengths = [long_probe(seed, config, 10**7, normalize=False).waveform.shape[1] for seed in SEEDS]
    assert all(least <= config.frames(length) <= most for length in lengths)
    assert len(set(lengths)) > len(SEEDS) // 2


def test_the_long_one_fits_into_memory_and_has_no_exact_answer() -> None:
    item = long_probe(1, BASE, 12_345, normalize=False)
    assert (item.name, item.waveform.shape, item.exactly) == (LONG, (1, 12_345), False)
    assert long_probe(1, BASE, 3, normalize=False).waveform.shape == (1, 400)


def test_calls_stand_on_an_offset_of_either_sign_with_silence_between_them() -> None:
    waves = [calls_probe(seed, receptive_field=400, normalize=False).waveform for seed in range(30)]
    again = calls_probe(3, receptive_field=400, normalize=False)
    assert (again.name, again.exactly) == (CALLS, True)
    assert np.array_equal(again.waveform, waves[3])
    assert len({wave.shape for wave in waves}) > 1
    offsets = [float(np.median(wave)) for wave in waves]
    assert min(offsets) < -0.05
    assert max(offsets) > 0.05
    for wave, offset in zip(waves, offsets, strict=True):
        assert 0.05 <= abs(offset) <= 0.3
        assert np.mean(wave == np.float32(offset)) > 0.05  # silence
        assert np.abs(wave - offset).max() > 0.1
    assert calls_probe(1, receptive_field=50_000, normalize=False).waveform.shape == (1, 50_000)
    assert abs(calls_probe(1, receptive_field=400, normalize=True).waveform.mean()) < 1e-3


def test_what_ran_has_the_ranges_over_all_inputs() -> None:
    items = list(probes(2, receptive_field=400, hop=320, normalize=False))
    facts = [InputFacts.of(item, frames(item.waveform), repeated=i < 3) for i, item in enumerate(items)]
    ran = what_ran(facts, seed=2, optimisations=("all", "none"))
    assert ran is not None
    assert (ran.seed, ran.inputs, ran.repeated) == (2, len(items), 3)
    assert ran.frames[0] == 1
    assert ran.batch == (1, items[2].waveform.shape[0])
    assert ran.batches == (1, items[2].waveform.shape[0])
    assert f"in batches of 1 and {ran.batches[1]}, RMS" in ran.text
    assert ran.peak == max(np.abs(item.waveform).max() for item in items)
    assert ran.offset[0] < -0.3 < 0.3 < ran.offset[1]
    assert "drawn again by the seed 2" in ran.text
    assert "3 of them again, short ones at optimisation all and none" in ran.text


def test_sizes_of_batches_that_were_not_run_are_not_claimed() -> None:
    facts = [InputFacts(400, 1, batch, (0.1,), (0.0,), 0.5, False) for batch in (1, 3, 7, 3, 1)]
    ran = what_ran(facts, seed=None, optimisations=())
    assert ran is not None
    assert "in batches of 1, 3 and 7, RMS" in ran.text
    single = what_ran(facts[:1], seed=None, optimisations=())
    assert single is not None
    assert "in batches of 1, RMS" in single.text
    assert "in batches of 1 and 7" in dataclasses.replace(ran, batches=()).text  # of a part from before


def test_nothing_ran() -> None:
    assert what_ran([], seed=1, optimisations=()) is None
