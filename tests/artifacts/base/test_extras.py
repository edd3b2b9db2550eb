"""Where a module of an extra is missing, one line says which, and the command that adds it."""

import sys

import click
import pytest
from click.testing import CliRunner
from tests.support.environments import SETTINGS

from aves_artifacts.base.command_line import Command
from aves_artifacts.base.errors import InputError
from aves_artifacts.base.extras import MODULES, advice, is_installed, need


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


def test_the_extras_are_those_of_the_project() -> None:
    assert MODULES.keys() == SETTINGS["optional-dependencies"].keys()


@pytest.mark.parametrize("extra", sorted(set(MODULES) - {"gcs"}))
def test_modules_are_called_as_they_are_imported(extra: str) -> None:
    """Of the packages that the tests have, which are all but Google's."""
    if extra == "fairseq" and sys.version_info >= (3, 13):
        pytest.skip("fairseq is not installed on this Python")
    assert [module for module in MODULES[extra] if not is_installed(module)] == []


def test_whether_a_module_is_there_is_told_without_importing_it() -> None:
    name = "antigravity"  # of the standard library, and imported by nobody
    assert is_installed(name)
    assert name not in sys.modules
    assert not is_installed("no_such_module")


@pytest.mark.usefixtures("without_torch")
def test_what_is_needed_and_missing_is_named() -> None:
    with pytest.raises(InputError) as caught:
        need("this command", "verify")
    assert str(caught.value) == (
        "this command needs torch, not installed here; "
        "pip install 'aves-ports[verify]', or in a clone: uv run --extra verify"
    )
    need("this command", "verify", modules=("onnxruntime",))
    need("this command", "release", "s3")


def test_of_many_that_are_missing_some_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (*MODULES["verify"], "fsspec"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as caught:
        need("this command", "verify", "release", "hub")
    told = str(caught.value)
    assert told.startswith("this command needs torch, torchaudio, and 6 more, not installed here; ")
    assert told.endswith(
        "pip install 'aves-ports[verify,release]', or in a clone: uv run --extra verify --extra release"
    )


@click.command(cls=Command)
@click.argument("module")
def importing(module: str) -> None:
    """Import a module."""
    __import__(module)


@pytest.mark.usefixtures("without_torch")
def test_a_command_that_meets_a_missing_module_ends_in_one_line() -> None:
    ended = CliRunner().invoke(importing, ["torch.nn"])
    assert ended.exit_code == 2
    assert ended.stderr == (
        "Error: this needs torch, not installed here; "
        "pip install 'aves-ports[verify]', or in a clone: uv run --extra verify\n"
    )


@pytest.mark.parametrize("module", ["no_such_module", "torch.no_such_module"])
def test_a_module_that_no_extra_brings_is_a_bug_of_ours(module: str) -> None:
    """So is one that a package lacks which is there."""
    ended = CliRunner().invoke(importing, [module])
    assert ended.exit_code == 70
    assert "Traceback" in ended.stderr
    assert advice(ModuleNotFoundError("", name=module)) == ""
