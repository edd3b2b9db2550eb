import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from aves_artifacts.base.errors import InputError
from aves_artifacts.cli import main
from aves_artifacts.configurations.catalog import ROLES, by_file_name, catalog, named, read_catalog
from aves_artifacts.configurations.store import place

BASE = "https://storage.googleapis.com/esp-public-files"
OWLS = """
address = "http://example.org/owls"
[owls]
file_name = "owls-base"
dimension = 768
[owls.files]
original = "owls.pt"
onnx = "https://elsewhere.example.org/owls.onnx"
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(OWLS)
    monkeypatch.setenv("AVES_CATALOG", str(path))
    return path


@pytest.mark.parametrize("name", ["core", "bio", "nonbio", "all"])
def test_addresses_of_aves(name: str) -> None:
    assert catalog()[name].files == {
        "original": f"{BASE}/aves/aves-base-{name}.pt",
        "torchaudio": f"{BASE}/ported_aves/aves-base-{name}.torchaudio.pt",
        "config": f"{BASE}/ported_aves/aves-base-{name}.torchaudio.model_config.json",
        "onnx": f"{BASE}/ported_aves/aves-base-{name}.onnx",
    }


@pytest.mark.parametrize(
    ("name", "dimension"), [("biox-base", 768), ("biox-large", 1024), ("bioxn-large", 1024)], ids=lambda value: value
)
def test_birdaves_has_ports_only(name: str, dimension: int) -> None:
    configuration = catalog()[f"birdaves-{name}"]
    assert not configuration.has_original
    assert configuration.dimension == dimension
    assert configuration.near_zero_drift == "reported by the authors"
    assert configuration.files == {
        "torchaudio": f"{BASE}/birdaves/birdaves-{name}.torchaudio.pt",
        "config": f"{BASE}/birdaves/birdaves-{name}.torchaudio.model_config.json",
        "onnx": f"{BASE}/birdaves/birdaves-{name}.onnx",
    }


def test_the_peculiar_ones_are_those_that_the_authors_name() -> None:
    peculiar = {name for name, configuration in catalog().items() if configuration.near_zero_drift}
    assert peculiar == {"all", "birdaves-biox-base", "birdaves-biox-large", "birdaves-bioxn-large"}


def test_every_file_has_a_place_of_its_own() -> None:
    places = [place(configuration, role) for configuration in catalog().values() for role in configuration.files]
    assert len(set(places)) == len(places) == 4 * len(ROLES) + 3 * 3


@pytest.mark.usefixtures("own")
def test_an_own_catalogue_is_added() -> None:
    assert list(catalog())[-1] == "owls"
    assert catalog()["owls"].files == {
        "original": "http://example.org/owls/owls.pt",
        "onnx": "https://elsewhere.example.org/owls.onnx",
    }
    assert "owls" in CliRunner().invoke(main, ["list"]).output


def test_an_own_catalogue_replaces_by_name(own: Path) -> None:
    own.write_text(OWLS.replace("owls-base", "aves-base-bio").replace("[owls", "[bio"))
    assert catalog()["bio"].files["original"] == "http://example.org/owls/owls.pt"


def test_a_mirror_takes_the_place_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVES_MIRROR", "http://mirror.example.org/aves")
    assert catalog()["bio"].files["original"] == "http://mirror.example.org/aves/aves/aves-base-bio.pt"
    monkeypatch.setenv("AVES_MIRROR", "mirror.example.org")
    with pytest.raises(InputError, match="AVES_MIRROR"):
        catalog()


def test_every_problem_is_told_at_once() -> None:
    text = """
    address = "ftp://example.org"
    number = 1
    [owls]
    file_name = "../owls"
    hours = 0
    colour = "brown"
    [owls.files]
    original = "owls.pt"
    pytorch = "owls.bin"
    config = "http://example.org:port/owls.json"
    onnx = "http://example.org/\\u001b[2J"
    ["wood peckers"]
    file_name = "picidae"
    dimension = true
    pretraining = 3
    files = "http://example.org/x.pt"
    [kites]
    file_name = "Picidae"
    dimension = 768
    [kites.files]
    """
    with pytest.raises(InputError) as caught:
        read_catalog(text, "own.toml")
    assert all(problem.startswith("own.toml: not a catalogue: ") for problem in caught.value.problems)
    message = str(caught.value)
    assert len(message.splitlines()) == len(caught.value.problems)
    expected = [
        "number: expected a table",
        "owls: unknown entry 'colour'",
        "owls: missing entry 'dimension'",
        "owls: file_name is '../owls'",
        "owls: hours is 0",
        "owls: files.original is 'owls.pt', expected an http:// or https:// address",
        "owls: files has 'pytorch'",
        "owls: files.config is 'http://example.org:port/owls.json'",
        "owls: files.onnx is 'http://example.org/\\x1b[2J'",
        "owls: files has one of torchaudio and config",
        "wood peckers: a name is of letters",
        "wood peckers: dimension is True",
        "wood peckers: pretraining is 3",
        "wood peckers: files is no table",
        "wood peckers and kites have the same file_name Picidae",
    ]
    assert [part for part in expected if part not in message] == []


def test_terms_are_shared_where_an_entry_has_none_of_its_own() -> None:
    kites = OWLS.replace('"http://example.org/owls"', '"http://example.org"\nlicence = "MIT"\ncitation = "All"')
    kites += '[kites]\nfile_name = "kites"\ndimension = 768\nlicence = "CC0-1.0"\n[kites.files]\n'
    found = read_catalog(kites, "own.toml")
    assert [(c.licence, c.citation) for c in found.values()] == [("MIT", "All"), ("CC0-1.0", "All")]
    with pytest.raises(InputError, match="licence: expected a table"):
        read_catalog("licence = 3", "own.toml")
    with pytest.raises(InputError, match="owls: citation is 3, expected text"):
        read_catalog(OWLS.replace("dimension = 768", "dimension = 768\ncitation = 3"), "own.toml")


def test_every_configuration_says_whom_to_cite() -> None:
    assert all("arxiv.org/abs/2210.14493" in c.citation and "\n" not in c.citation for c in catalog().values())


def test_a_configuration_is_found_by_the_names_of_its_files() -> None:
    assert by_file_name("aves-base-bio") == catalog()["bio"]
    assert by_file_name("bio") is None


@pytest.mark.parametrize(
    "text",
    [
        "= no TOML",
        "address = 3",
        OWLS.replace("owls-base", "aves-base-bio"),
        OWLS.replace('"owls.pt"', '"http://[::1/owls.pt"'),
        OWLS.replace("768", "0x" + "f" * 5000),
        "[" + "\\u001b" * 1000 + "]",
        b"\xff\xfe",
        None,
    ],
)
def test_an_unusable_catalogue_is_one_line_and_status_2(own: Path, text: str | bytes | None) -> None:
    own.unlink()
    if text is not None:
        own.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert str(own) in result.output


def test_half_an_address_is_a_problem_wherever_it_stands(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = "http://[::1"
    with pytest.raises(InputError, match=r"original is 'owls\.pt', expected an http"):
        read_catalog(OWLS.replace("http://example.org/owls", half), "own.toml")
    own.write_text(OWLS)
    monkeypatch.setenv("AVES_MIRROR", half)
    with pytest.raises(InputError, match="AVES_MIRROR is 'http://\\[::1'"):
        catalog()


def test_of_very_many_problems_the_first_are_told() -> None:
    with pytest.raises(InputError, match="and 9980 more") as caught:
        read_catalog("".join(f"a{i} = 1\n" for i in range(10_000)), "own.toml")
    assert len(caught.value.problems) == 21


def test_a_name_in_a_message_is_short_and_printable() -> None:
    with pytest.raises(InputError) as caught:
        read_catalog('"' + "\\u001b" * 10_000 + '" = 1', "own.toml")
    assert len(str(caught.value)) < 1000
    assert str(caught.value).replace("\n", "").isprintable()


def test_what_a_catalogue_says_cannot_steer_the_terminal(own: Path) -> None:
    own.write_text(OWLS.replace("dimension", 'pretraining = "\\u001b[2Jow\\u009bls\\n"\ndimension'))
    output = CliRunner().invoke(main, ["list"]).output
    assert "\\x1b[2Jow\\x9bls\\n" in output
    assert output.replace("\n", "").isprintable()


def test_a_path_works_where_a_name_does(tmp_path: Path) -> None:
    (tmp_path / "x.pt").touch()
    assert named(["bio", str(tmp_path / "x.pt")]) == [catalog()["bio"], tmp_path / "x.pt"]
    with pytest.raises(InputError, match="nowhere: neither a configuration nor a file; the catalogue has core, bio"):
        named(["bio", "nowhere"])


def test_the_catalogue_of_the_docs_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "fetch.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert read_catalog(example, "docs/fetch.md")["owls"].files["config"].startswith("https://example.org/models/owls.")
