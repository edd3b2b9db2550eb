"""The table of backends, what other packages add to it, and what is said of a name or a package that is wrong."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import toymaker

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import REDUCED
from aves_verify.backends.backend import DEFAULT, IMPLEMENTATIONS, Implementation, implementation
from aves_verify.comparison.compare import TOLERANCES
from aves_verify.loading.load import in_order
from aves_verify.verification.plan import Plan, check_comparable

OTHER = 'from aves_verify import Implementation\nTOY = Implementation("other", reads="onnx", make="a:b")\n'


def line(error: pytest.ExceptionInfo[InputError]) -> str:
    """The only line of an error."""
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_every_row_names_a_function_that_is_there() -> None:
    for name, row in IMPLEMENTATIONS.items():
        assert row.name == name
        assert row.kind in TOLERANCES
        assert callable(row.maker())
    assert set(DEFAULT) < set(IMPLEMENTATIONS)


def test_the_reference_comes_first_and_every_backend_once() -> None:
    assert [row.name for row in in_order(("openvino", "onnx", "fairseq", "onnx"))] == ["fairseq", "onnx", "openvino"]


@pytest.mark.parametrize(
    ("name", "told"), [("openvin", "did you mean openvino?"), ("tensorflow", "give two or more with `backends`")]
)
def test_an_unknown_name_lists_the_known_ones(name: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        implementation(name)
    assert line(caught) == f"unknown backend {name}; there are {', '.join(IMPLEMENTATIONS)}; {told}"
    assert list(IMPLEMENTATIONS) == ["fairseq", "torchaudio", "onnx", *REDUCED, "transformers", "openvino"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"check": "here"}, "check is 'here', expected module:function"),
        ({"name": "My Toy"}, "name is 'My Toy', expected small letters"),
        ({"make": "toymaker.running"}, "make is 'toymaker.running', expected module:function"),
        ({"make": 3}, "make is 3, expected module:function"),
        ({"reads": "tflite"}, "reads is 'tflite', expected one of fairseq, torchaudio, onnx"),
        (
            {"modules": "toy_runtime"},
            r"modules is 'toy_runtime', expected a tuple of names, such as \('toy_runtime',\)",
        ),
        ({"modules": (3,)}, "modules is .*, expected a tuple of names"),
        ({"options": {"threads": 1}}, "options has 1, expected text by name, such as {'device': 'cpu'}"),
        ({"options": {1: "threads"}}, "options has 1, expected text by name"),
        ({"options": "fast"}, "options is 'fast', expected text by name"),
        ({"kind": "lenient"}, "kind is 'lenient', expected one of torchaudio, transformers, onnx, reduced, unmeasured"),
        ({"kind": "reduced"}, "kind is 'reduced', and reads 'onnx': what reads one of onnx.float16-weights, .*"),
        ({"reads": "onnx.int8"}, "kind is 'onnx', and reads 'onnx.int8': what reads .* is of the kind 'reduced'"),
    ],
)
def test_a_row_that_cannot_be_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Implementation(**{"name": "toy", "reads": "onnx", "make": "a:b", **change})


def test_what_a_backend_needs_is_told_with_the_command_that_adds_it() -> None:
    row = Implementation("toy", "onnx", "a:b", modules=("no_such_module",), install="pip install toys")
    with pytest.raises(InputError, match="the backend toy needs no_such_module, not installed here; pip install toys"):
        row.check_installed()


def test_options_have_defaults_and_others_are_refused() -> None:
    row = IMPLEMENTATIONS["openvino"]
    assert row.chosen({"device": "GPU"}) == {"device": "GPU", "precision": "f32", "threads": ""}
    with pytest.raises(InputError, match="openvino takes no option 'colour'; it takes device, precision, threads"):
        Plan(backends=("fairseq", "openvino"), options={"openvino": {"colour": "red"}})
    with pytest.raises(InputError, match=r"options for openvino, which is not among fairseq, onnx; .* `backends`"):
        Plan(backends=("fairseq", "onnx"), options={"openvino": {"device": "CPU"}})


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toymaker.installed(tmp_path_factory.mktemp("toys"))


def test_what_a_package_brings_is_found_by_its_name(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(toys))
    row = implementation("toy")
    assert (row.reads, row.package, row.called) == ("onnx", "toymaker", "toy of the package toymaker")
    assert not row.here
    with pytest.raises(InputError, match=r"onnx, .*, transformers, openvino, toy; did you mean toy"):
        implementation("toys")
    check_comparable(Plan(backends=("fairseq", "toy")))
    with pytest.raises(InputError, match="toy takes no option 'size'; it takes error"):
        Plan(backends=("fairseq", "toy"), options={"toy": {"size": "1"}})


def test_two_packages_with_one_name_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[aves_verify.backends]\ntwin = nowhere:AT_ALL\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"several packages bring a backend twin: (one, two|two, one); keep one"):
        implementation("twin")


BROKEN: dict[str, tuple[Mapping[str, str], str]] = {
    "does not import": ({"toymaker/__init__.py": "import no_such_thing"}, "ModuleNotFoundError: No module named"),
    "ends the program": ({"toymaker/__init__.py": "raise SystemExit('away')"}, "SystemExit: away"),
    "has nothing there": ({"toymaker/__init__.py": ""}, "AttributeError: module 'toymaker' has no attribute 'TOY'"),
    "something else": ({"toymaker/__init__.py": "TOY = 'a toy'"}, "is of str, expected aves_verify.Implementation"),
    "another name": ({"toymaker/__init__.py": OTHER}, "calls itself other"),
    "a row that cannot be": (
        {"toymaker/__init__.py": OTHER.replace('"a:b"', '"a b"')},
        "make is 'a b', expected module:function",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_package_that_is_broken_is_named_in_one_line(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, told = BROKEN[broken]
    monkeypatch.syspath_prepend(str(toymaker.installed(tmp_path, files=files)))
    sys.modules.pop("toymaker", None)
    with pytest.raises(InputError) as caught:
        Plan(backends=("fairseq", "toy"))
    sys.modules.pop("toymaker", None)
    assert line(caught).startswith("the package toymaker does not bring the backend toy that it names: toymaker:TOY")
    assert told in line(caught)


def test_nothing_to_compare_with_is_told() -> None:
    with pytest.raises(InputError, match=r"at least two of fairseq, torchaudio, onnx, .*, transformers, openvino"):
        check_comparable(Plan(backends=("openvino",)))


def test_an_option_that_cannot_be_is_told_before_anything_is_made_though_no_backend_is_named() -> None:
    with pytest.raises(InputError, match="nonsense"):
        check_comparable(Plan(options={"onnx": {"provider": "nonsense"}}))
