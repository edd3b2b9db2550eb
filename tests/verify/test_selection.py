from pathlib import Path

import pytest

from aves_artifacts.catalog import Configuration, catalog
from aves_artifacts.errors import InputError
from aves_convert.stand_in import write_stand_in
from aves_verify.selection import Selection
from aves_verify.subject import geometry_of


def test_a_checkpoint_path_works_where_a_name_does(tmp_path: Path) -> None:
    write_stand_in("x", tmp_path / "x.pt", geometry="tiny")
    (chosen,) = Selection(names=(str(tmp_path / "x.pt"),)).subjects("last")
    with chosen as subject:
        assert subject.fairseq == tmp_path / "x.pt"
        assert subject.torchaudio is not None
        assert subject.torchaudio.is_file()
    assert not subject.torchaudio.exists()
    with pytest.raises(InputError, match="--stand-in"):
        Selection(names=(str(tmp_path / "x.pt"),), stand_in=True).subjects("last")


def test_all_configs_are_those_with_an_original() -> None:
    assert len(Selection(all_configs=True, stand_in=True).subjects("last")) == 4


def test_ports_alone_have_nothing_to_be_compared_with() -> None:
    with pytest.raises(InputError, match=r"birdaves-biox-base: its authors publish ports only.*--ports published"):
        Selection(names=("birdaves-biox-base",)).subjects("last")


def test_a_stand_in_has_the_size_of_its_configuration() -> None:
    assert geometry_of(catalog()["birdaves-biox-large"]) == "large"
    assert geometry_of(catalog()["bio"]) == "base"
    with pytest.raises(InputError, match="no stand-in of dimension 512"):
        geometry_of(Configuration("x", "x", dimension=512))
