"""Ports under another configuration's name: the report says whose weights they are."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from tests.support.commands import invoke

from aves_artifacts.configurations.catalog import catalog
from aves_artifacts.configurations.store import bundle_folder, place
from aves_artifacts.fetch.lock_file import Locked, default_lock_file
from aves_artifacts.files.file_record import sha256_of
from aves_convert.conversion.bundle import make_bundle
from aves_convert.conversion.convert import fairseq_to_onnx
from aves_convert.conversion.request import Source, Target
from aves_convert.conversion.stand_in import write_stand_in
from aves_convert.graph.options import OnnxOptions
from aves_verify.cli import main
from aves_verify.subjects.identity import misnamed
from aves_verify.subjects.subject import of_files

pytestmark = pytest.mark.slow

CATALOG = """
address = "http://127.0.0.1:9/"
[owls]
file_name = "owls-base"
dimension = 24
files = {original = "o.pt", torchaudio = "o.tpt", config = "o.json", onnx = "o.onnx"}
[crows]
file_name = "crows-base"
dimension = 24
files = {original = "c.pt", torchaudio = "c.tpt", config = "c.json", onnx = "c.onnx"}
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two configurations with everything that is published of them."""
    (tmp_path / "catalog.toml").write_text(CATALOG)
    monkeypatch.setenv("AVES_CATALOG", str(tmp_path / "catalog.toml"))
    monkeypatch.setenv("AVES_HOME", str(tmp_path / "store"))
    for name in ("owls", "crows"):
        original = file(name, "original")
        original.parent.mkdir(parents=True)
        write_stand_in(name, original, geometry="tiny")
        made = make_bundle(Source(original), Target(tmp_path / name, f"{name}-base"))
        (original.parent / "published").mkdir()
        for role in ("torchaudio", "config", "onnx"):
            shutil.copy(made.path(role), file(name, role))
    return tmp_path / "store"


def file(name: str, role: Any) -> Path:
    return place(catalog()[name], role)


verify = functools.partial(invoke, main)


def problems(tmp_path: Path, *arguments: object) -> list[str]:
    result = verify(*(arguments or ("owls", "--ports", "published")), "--json", tmp_path / "r.json")
    assert result.exit_code in (0, 1), result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["passed"] is (result.exit_code == 0)
    found: list[str] = report["configs"][0]["problems"]
    return found


def resave(source: Path, target: Path) -> None:
    """The same weights in other bytes."""
    torch.save(torch.load(source, weights_only=True), target)
    assert sha256_of(source) != sha256_of(target)


def export(source: Path, target: Path) -> None:
    """The same weights as torch.onnx.export lays them out."""
    fairseq_to_onnx(Source(source), target, OnnxOptions(exporter="torch"), force=True)


@pytest.mark.usefixtures("store")
def test_ports_under_their_own_names_are_not_suspected(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


@pytest.mark.usefixtures("store")
def test_weights_of_another_configuration_are_recognised(tmp_path: Path) -> None:
    resave(file("crows", "torchaudio"), file("owls", "torchaudio"))
    found = problems(tmp_path)
    (told,) = [problem for problem in found if "these are the weights" in problem]
    assert told.startswith("torchaudio: these are the weights of crows: 50 of the 54 tensors of ")
    assert str(file("crows", "original")) in told


@pytest.mark.usefixtures("store")
def test_a_graph_of_another_configuration_is_recognised_however_it_was_exported(tmp_path: Path) -> None:
    export(file("crows", "original"), file("owls", "onnx"))
    (told,) = [problem for problem in problems(tmp_path) if "these are the weights" in problem]
    assert told.startswith("onnx: these are the weights of crows: ")


@pytest.mark.usefixtures("store")
def test_the_ledger_of_a_bundle_is_enough(tmp_path: Path) -> None:
    make_bundle(Source(file("crows", "original")), Target(bundle_folder(catalog()["crows"]), "crows-base"))
    resave(file("crows", "torchaudio"), file("owls", "torchaudio"))
    for path in (*file("crows", "original").parent.rglob("*.pt"), *file("crows", "original").parent.rglob("*.onnx")):
        path.unlink()
    (told,) = [problem for problem in problems(tmp_path) if "these are the weights" in problem]
    assert told.startswith("torchaudio: these are the weights of crows: 50 of the 50 tensors of ")


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.usefixtures("store")
def test_the_lock_file_is_enough(elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if elsewhere:
        monkeypatch.setenv("AVES_LOCK", str(tmp_path / "committed.json"))
    graph = file("crows", "onnx")
    found = Locked("http://127.0.0.1:9/c.onnx", graph.stat().st_size, "", sha256_of(graph))
    default_lock_file().settle(graph.name, found, unique=True)
    shutil.copy(graph, file("owls", "onnx"))
    shutil.rmtree(file("crows", "original").parent)
    told = problems(tmp_path)
    assert f"onnx: {file('owls', 'onnx')} is byte for byte crows-base.onnx, as the lock file has it" in told


@pytest.mark.usefixtures("store")
def test_of_unknown_weights_nothing_is_claimed(tmp_path: Path) -> None:
    resave(file("crows", "torchaudio"), file("owls", "torchaudio"))
    shutil.rmtree(file("crows", "original").parent)
    found = problems(tmp_path)
    assert found
    assert not [problem for problem in found if "these are the weights" in problem]


@pytest.mark.usefixtures("store")
def test_both_ports_and_no_original_to_tell(tmp_path: Path) -> None:
    """They agree with each other; only what is known of the other configuration shows that the name is wrong."""
    (tmp_path / "catalog.toml").write_text(CATALOG.replace('original = "o.pt", ', ""))
    arguments = ("owls", "--ports", "published", "--backends", "torchaudio,onnx")
    assert problems(tmp_path, *arguments) == []
    resave(file("crows", "torchaudio"), file("owls", "torchaudio"))
    export(file("crows", "original"), file("owls", "onnx"))
    told = problems(tmp_path, *arguments)
    assert [problem.partition(": ")[0] for problem in told] == ["torchaudio", "onnx"]
    assert all("these are the weights of crows" in problem for problem in told)


@pytest.mark.usefixtures("store")
def test_an_original_under_the_wrong_name_with_ports_to_match(tmp_path: Path) -> None:
    for role in ("original", "torchaudio", "onnx"):
        shutil.copy(file("crows", role), file("owls", role))
    told = problems(tmp_path)
    assert [problem.partition(": ")[0] for problem in told] == ["fairseq", "torchaudio", "onnx"]


def loose(name: str, **ports: Path) -> list[object]:
    arguments: list[object] = ["--fairseq", file(name, "original")]
    for role in ("torchaudio", "config", "onnx"):
        arguments += [f"--{role}", ports.get(role, file(name, role))]
    return arguments


@pytest.mark.usefixtures("store")
def test_loose_files_claim_no_name_and_are_looked_at_when_they_fail(tmp_path: Path) -> None:
    shutil.copy(file("owls", "original"), tmp_path / "mine.pt")
    arguments = ["--fairseq", tmp_path / "mine.pt", *loose("owls")[2:]]
    assert problems(tmp_path, *arguments) == []
    resave(file("crows", "torchaudio"), tmp_path / "other.pt")
    told = problems(tmp_path, "--fairseq", tmp_path / "mine.pt", *loose("owls", torchaudio=tmp_path / "other.pt")[2:])
    assert any("torchaudio: these are the weights of crows" in problem for problem in told)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "no torch file": lambda path: path.write_bytes(b"x"),
    "another kind": lambda path: torch.save([1], path),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.usefixtures("store")
def test_unusable_files_of_others_are_no_obstacle(damage: Callable[[Path], object], tmp_path: Path) -> None:
    damage(file("crows", "original"))
    assert problems(tmp_path) == []


@pytest.mark.usefixtures("store")
def test_constants_do_not_tell_whose_a_file_is() -> None:
    """Biases of zero are anybody's."""
    for name in ("owls", "crows"):
        path = file(name, "torchaudio")
        weights = torch.load(path, weights_only=True)
        torch.save({key: torch.zeros_like(tensor) for key, tensor in weights.items()}, path)
        file(name, "original").unlink()
        model = onnx.load(file(name, "onnx"))
        del model.graph.initializer[:]
        onnx.save(model, file(name, "onnx"))
    subject = of_files(None, file("owls", "torchaudio"), file("owls", "config"), None)
    assert list(misnamed(subject, {"torchaudio": "x"})) == []
