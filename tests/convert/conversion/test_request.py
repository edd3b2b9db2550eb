from pathlib import Path

import pytest

from aves_artifacts.base.errors import InputError
from aves_convert.conversion.request import Source, Target, Terms
from aves_convert.conversion.stand_in import write_stand_in


def test_terms_that_are_not_given_are_the_known_ones() -> None:
    known = Terms("CC0-1.0", "who made it")
    assert Terms().or_else(known) == known
    assert Terms("MIT").or_else(known) == Terms("MIT", "who made it")
    assert Terms("", "").or_else(known) == Terms("", "")  # empty is said, and not left out


def test_a_stand_in_is_a_source(tmp_path: Path) -> None:
    source = Source.stand_in("bio", tmp_path / "x.pt", geometry="tiny", seed=3)
    write_stand_in("bio", tmp_path / "y.pt", geometry="tiny", seed=3)
    assert source == Source(tmp_path / "x.pt")
    assert source.path.read_bytes() == (tmp_path / "y.pt").read_bytes()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "bell\x07", "\udcff"])
def test_a_target_has_a_plain_name(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        Target(Path(), name)
