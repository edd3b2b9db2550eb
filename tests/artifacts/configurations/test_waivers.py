"""Waivers, as a catalogue has them."""

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.configurations.catalog import read_catalog
from aves_artifacts.configurations.waivers import Waiver

CATALOG = """
[owls]
file_name = "owls"
dimension = 24
[owls.files]
original = "https://example.org/owls.pt"
"""


def waivers(text: str) -> tuple[Waiver, ...]:
    return read_catalog(f"{CATALOG}{text}", "here")["owls"].waivers


def test_a_configuration_has_none_unless_it_says_so() -> None:
    assert waivers("") == ()


def test_a_waiver_names_comparisons_and_has_a_reason() -> None:
    (waiver,) = waivers('[[owls.waivers]]\nbackend = "onnx"\nclip = "offset"\nreason = "known"\n')
    assert waiver == Waiver("onnx", "known", clip="offset")
    assert waiver.covers("onnx", "offset", "final")
    assert not waiver.covers("onnx", "chirp", "final")
    assert not waiver.covers("torchaudio", "offset", "final")
    assert Waiver("onnx", "known", layer="layer 3").covers("onnx", "chirp", "layer 3")
    assert not Waiver("onnx", "known", layer="layer 3").covers("onnx", "chirp", "final")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[owls.waivers]\nbackend = "onnx"\n', "waivers is no list of tables"),
        ('[[owls.waivers]]\nbackend = "onnx"\n', "one has no reason; whoever waives says why"),
        ('[[owls.waivers]]\nbackend = "onnx"\nreason = " "\n', "one has no reason"),
        ('[[owls.waivers]]\nreason = "x"\n', "backend is None, expected torchaudio or onnx"),
        ('[[owls.waivers]]\nbackend = "fairseq"\nreason = "x"\n', "backend is 'fairseq'"),
        ('[[owls.waivers]]\nbackend = "onnx"\nreason = "x"\nclip = 3\n', "clip is 3, expected text"),
        ('[[owls.waivers]]\nbackend = "onnx"\nreason = "x"\nsound = "y"\n', "unknown entry 'sound', expected backend"),
    ],
)
def test_a_wrong_waiver_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        waivers(text)
