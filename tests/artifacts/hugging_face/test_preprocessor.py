"""preprocessor_config.json written and read, and held against transformers' own class."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hugging_face import import_transformers
from tests.support.tiny_encoders import tiny

from aves_artifacts.base.errors import InputError
from aves_artifacts.hugging_face.preprocessor import Preprocessor, preprocessor_entries, read_preprocessor


@pytest.mark.parametrize("preprocessor", [Preprocessor(True, 16_000), Preprocessor(False, 48_000)])
def test_what_is_written_is_read(preprocessor: Preprocessor) -> None:
    assert read_preprocessor(preprocessor_entries(preprocessor, tiny("base")), "w") == preprocessor
    assert read_preprocessor({}, "w") == Preprocessor(True, 16_000)


@pytest.mark.parametrize(("variant", "mask"), [("base", False), ("pre-norm", False), ("layer-norm", True)])
def test_a_mask_goes_with_the_layer_norm_alone(variant: str, mask: bool) -> None:
    assert preprocessor_entries(Preprocessor(True, 16_000), tiny(variant))["return_attention_mask"] is mask


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [True, False])
def test_the_real_class_does_what_is_written(normalize: bool) -> None:
    extractor = import_transformers().Wav2Vec2FeatureExtractor
    made = extractor.from_dict(preprocessor_entries(Preprocessor(normalize, 8_000), tiny("base")))
    wave = np.random.default_rng(0).standard_normal(400).astype(np.float32) + 3
    found = made(wave, sampling_rate=8_000, return_tensors="np")
    assert set(found) == {"input_values"}
    expected = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7) if normalize else wave
    np.testing.assert_allclose(found["input_values"][0], expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="sampling rate"):
        made(wave, sampling_rate=16_000)


REFUSED: dict[str, tuple[Any, str]] = {
    "spectrograms": (
        {"feature_extractor_type": "SeamlessM4TFeatureExtractor"},
        "prepares another input than waveforms",
    ),
    "features": ({"feature_size": 80}, r"another input than waveforms \('Wav2Vec2FeatureExtractor', feature_size 80\)"),
    "true for one": ({"feature_size": True}, "feature_size True"),
    "a number for true": ({"do_normalize": 1}, "do_normalize is 1, expected true or false"),
    "no rate": ({"sampling_rate": None}, "sampling_rate is None, expected Hz"),
    "true for a rate": ({"sampling_rate": True}, "sampling_rate is True"),
    "a rate below": ({"sampling_rate": 0}, "sampling_rate is 0"),
    "a huge rate": ({"sampling_rate": 10**5000}, "sampling_rate is a number of 16610 bits"),
    "a half rate": ({"sampling_rate": 16e3}, r"sampling_rate is 16000\.0"),
    "no object": ([], "expected a JSON object, found list"),
}


@pytest.mark.parametrize(("entries", "message"), REFUSED.values(), ids=REFUSED)
def test_another_input_is_refused_by_name(entries: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^w: .*{message}"):
        read_preprocessor(entries, "w")


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read_preprocessor({"feature_size": 80, "do_normalize": "yes", "sampling_rate": "x"}, "w")
    assert len(caught.value.problems) == 3


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner)
)


@given(st.dictionaries(st.sampled_from(sorted(preprocessor_entries(Preprocessor(True, 1), tiny("base")))), VALUES))
def test_hostile_entries_give_a_preprocessor_or_one_clear_error(entries: dict[str, Any]) -> None:
    problems: tuple[str, ...] = ()
    try:
        assert isinstance(read_preprocessor(entries, "w"), Preprocessor)
    except InputError as error:
        problems = error.problems
    assert all(problem.startswith("w: ") and problem.isprintable() for problem in problems)
