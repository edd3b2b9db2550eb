import numpy as np
from tests.support.recordings import calls

from aves_convert.sounds.clip import SAMPLE_RATE, Clip
from calls import KINDS, synthesised_calls


def centre(clip: Clip) -> float:
    """The frequency, in hertz, that half of a clip's power above 600 Hz lies below."""
    power = np.abs(np.fft.rfft(clip.waveform.astype(np.float64))) ** 2
    frequency = np.fft.rfftfreq(len(clip.waveform), 1 / SAMPLE_RATE)
    power = np.where(frequency > 600, power, 0)
    return float(frequency[np.searchsorted(np.cumsum(power), power.sum() / 2)])


def test_the_calls_are_the_same_every_time_and_all_different() -> None:
    again = [c.sha256 for clips in synthesised_calls().values() for c in clips]
    assert again == [c.sha256 for clips in calls().values() for c in clips]
    assert len(set(again)) == len(again) == 36 * len(KINDS)


def test_without_variety_nothing_but_the_noise_differs() -> None:
    one, two = synthesised_calls(2, variety=0.0)["whistle"]
    assert one.duration == two.duration
    assert one.sha256 != two.sha256
    different, call = one.waveform - two.waveform, one.waveform - one.waveform.mean()
    assert 0 < np.square(different).mean() < 0.05 * np.square(call).mean()


def test_clips_are_about_a_second_long_and_not_overdriven() -> None:
    for clip in (c for clips in calls().values() for c in clips):
        assert 0.7 <= clip.duration <= 1.1
        assert 0.05 < np.abs(clip.waveform).max() < 0.99


def test_pitch_alone_does_not_tell_the_calls_apart() -> None:
    pitches = {kind: [centre(c) for c in clips] for kind, clips in calls().items()}
    means = [np.mean(p) for p in pitches.values()]
    within = np.mean([np.std(p) for p in pitches.values()])
    assert np.std(means) < within


def test_some_recorders_leave_an_offset() -> None:
    offset = [abs(float(c.waveform.mean())) > 0.015 for clips in calls().values() for c in clips]
    assert 0.02 < np.mean(offset) < 0.25
