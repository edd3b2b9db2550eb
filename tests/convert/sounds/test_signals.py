import numpy as np
import pytest

from aves_convert.sounds.clip import Clip
from aves_convert.sounds.signals import reference_signals

# Recorded with numpy 1.23.5 and 2.4.6, with and without their AVX2 and AVX-512 loops.
SHA256 = {
    "chirp": "7d5d08e22919ea2332f96e9a99faa50e71f9058d5aecda1bcd5f19ac72d9bcf5",
    "frog": "1ae7d1549d2808ef58d07bf64a34d198b743da2f92c1379d55a1b9c9c62d0b84",
    "crickets": "8e939cd447bfa2b04d43fa7450dc09c10884b1a8fcf6685bd009fb1a5de645ce",
    "whale": "de82b3d2fd60339236ea57375889103b508e6e04f06029391a0a4927145d0547",
    "bark": "268283128f0e8b64235cd2fc09ecf09f37ae747da91a035b037c3a7e46f33a51",
    "soundscape": "fb31468a2b8364a07fb28288bc89bb30f90073badbf351cfdd5ed14901b186c0",
    "silence": "0c92bddb4e96f3ea9ec9f0f64a668255a6c15527ac09f6f119cafde60c7c4a39",
    "impulse": "12705ae82a1650648a442155ae7fb8ba560b99553f928c1331033550e4e0cca2",
    "dc_offset": "395e059e873d883b016795595a1f48468afbb13cc99d30b8c8b92d71fc2d6eee",
    "very_quiet": "28097cb69c6e2f3d33d57ea602be7b6cf5319adee1e4538b151e98cbdb76dcd9",
    "beyond_full_scale": "a4d98e4238970f952abd5647492626e0b31c1509dff4af28562f875e5933117b",
    "clipped": "b6b62d6e4d48af8a3c57e3ad76317405703078e0c7dad439bd397a709aeba871",
    "shortest": "7430ac6cfe2c4a191c6da6dcfdb1eb52e8ae9e31d5eac5d8b9de16fd2acf31fb",
    "odd_frames": "d93b2a30a778bc539fa72b95ec1b18479925717feef3753307e85d305ea8cdd5",
    "even_frames": "7bcc14c8c234d509e58948065f3fe12f56fa4250fa2361c909c62af93dcd6161",
    "twenty_seconds": "2791e0f7bc759087bc3d5ccc47485aa8196598a4f61597c28a0131f6bbd2852d",
}


def clip(name: str) -> Clip:
    return next(c for c in reference_signals() if c.name == name)


def power_spectrum(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in hertz, and power."""
    windowed = waveform.astype(np.float64) * np.hanning(len(waveform))
    return np.fft.rfftfreq(len(waveform), 1 / 16_000), np.abs(np.fft.rfft(windowed)) ** 2


def share(name: str, low: float, high: float) -> float:
    """Share of a clip's power between two frequencies."""
    frequency, power = power_spectrum(clip(name).waveform)
    return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())


def rate(name: str, lowest: float, highest: float) -> float:
    """The strongest repetition rate of a clip's loudness between two rates, in hertz."""
    frequency, power = power_spectrum(np.abs(clip(name).waveform))
    inside = (frequency >= lowest) & (frequency <= highest)
    return float(frequency[inside][power[inside].argmax()])


def test_every_sample_is_the_same_on_every_machine() -> None:
    assert {c.name: c.sha256 for c in reference_signals()} == SHA256


def test_names_are_unique_and_all_is_synthesised() -> None:
    clips = reference_signals()
    assert len({c.name for c in clips}) == len(clips) == 16
    assert {c.source for c in clips} == {"synthesised"}


def test_the_signals_stay_short_enough_to_run_often() -> None:
    assert sum(c.duration for c in reference_signals()) < 40
    assert clip("twenty_seconds").duration == 20
    assert all(c.duration <= 3 for c in reference_signals() if c.name != "twenty_seconds")


def test_no_signal_leaves_full_scale_or_is_silent_but_those_named_so() -> None:
    for c in reference_signals():
        assert np.isfinite(c.waveform).all()
        assert (np.abs(c.waveform).max() <= 1.0) == (c.name != "beyond_full_scale")
        assert (np.abs(c.waveform).max() == 0.0) == (c.name == "silence")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("chirp", 2000, 6100),
        ("frog", 950, 2400),
        ("crickets", 4500, 5300),
        ("whale", 100, 2400),
        ("bark", 300, 6500),
    ],
)
def test_the_animals_call_in_their_bands(name: str, low: float, high: float) -> None:
    assert share(name, low, high) > 0.95


def test_frogs_and_crickets_pulse_at_their_rates() -> None:
    assert rate("frog", 10, 40) == pytest.approx(24, abs=1)
    assert rate("crickets", 10, 40) == pytest.approx(27, abs=1)


def test_the_chirp_rises_and_then_falls() -> None:
    waveform = clip("chirp").waveform

    def peak(start: float) -> float:
        part = waveform[round(start * 16_000) : round((start + 0.03) * 16_000)]
        frequency, power = power_spectrum(part)
        return float(frequency[power.argmax()])

    assert peak(0.08) < peak(0.14) < peak(0.20)
    assert peak(0.37) > peak(0.41) > peak(0.45)


def test_the_soundscapes_noise_falls_with_frequency() -> None:
    frequency, power = power_spectrum(clip("soundscape").waveform[:3000])
    bands = [power[(frequency >= low) & (frequency < 1.6 * low)].mean() for low in (125, 500, 2500)]
    assert bands[0] > 2 * bands[1] > 4 * bands[2]


def test_the_hard_cases_are_what_their_names_say() -> None:
    assert np.count_nonzero(clip("impulse").waveform) == 1
    assert clip("dc_offset").waveform.mean() == pytest.approx(0.36, abs=1e-3)
    assert np.array_equal(clip("very_quiet").waveform, clip("chirp").waveform * np.float32(1e-4))
    assert np.array_equal(clip("beyond_full_scale").waveform, clip("bark").waveform * np.float32(6.7))
    assert np.mean(np.abs(clip("beyond_full_scale").waveform) > 1) > 0.02
    assert np.mean(np.abs(clip("clipped").waveform) >= 32767 / 32768) > 0.02


@pytest.mark.parametrize(("receptive_field", "hop"), [(400, 320), (40, 20), (10, 5), (7, 1), (30_000, 16_000)])
def test_frame_boundaries_follow_the_geometry(receptive_field: int, hop: int) -> None:
    clips = {c.name: c.waveform for c in reference_signals(receptive_field=receptive_field, hop=hop)}

    def frames(name: str) -> int:
        return (len(clips[name]) - receptive_field) // hop + 1

    assert len(clips["shortest"]) == receptive_field
    assert frames("shortest") == 1
    assert frames("even_frames") % 2 == 0
    assert frames("odd_frames") == frames("even_frames") - 1
    assert np.array_equal(clips["odd_frames"], clips["even_frames"][:-1])
    assert clips["shortest"].any()


def test_the_geometry_changes_nothing_but_the_frame_boundaries() -> None:
    here = {c.name: c.sha256 for c in reference_signals(receptive_field=40, hop=20)}
    assert {name for name in SHA256 if here[name] != SHA256[name]} == {"shortest", "odd_frames", "even_frames"}
