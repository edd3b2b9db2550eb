from pathlib import Path
from typing import Any

import pytest

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import REDUCED
from aves_artifacts.configurations.catalog import Configuration, catalog
from aves_convert.conversion.stand_in import write_stand_in
from aves_verify.cli.selection import BackendOptions, Selection
from aves_verify.subjects.subject import geometry_of


def test_a_checkpoint_path_works_where_a_name_does(tmp_path: Path) -> None:
    write_stand_in("x", tmp_path / "x.pt", geometry="tiny")
    (chosen,) = Selection(names=(str(tmp_path / "x.pt"),)).subjects("last")
    with chosen.files as subject:
        assert subject.fairseq == tmp_path / "x.pt"
        assert subject.torchaudio is not None
        assert subject.torchaudio.is_file()
    assert not subject.torchaudio.exists()
    with pytest.raises(InputError, match="--stand-in"):
        Selection(names=(str(tmp_path / "x.pt"),), stand_in=True).subjects("last")


def test_all_configs_are_those_with_an_original() -> None:
    assert len(Selection(all_configs=True, stand_in=True).subjects("last")) == 4


def test_ports_alone_have_nothing_to_be_compared_with() -> None:
    with pytest.raises(InputError, match=r"birdaves-biox-base: its authors publish ports only.*`ports` published"):
        Selection(names=("birdaves-biox-base",)).subjects("last")


def test_a_stand_in_has_the_size_of_its_configuration() -> None:
    assert geometry_of(catalog()["birdaves-biox-large"]) == "large"
    assert geometry_of(catalog()["bio"]) == "base"
    with pytest.raises(InputError, match="no stand-in of dimension 512"):
        geometry_of(Configuration("x", "x", dimension=512))


X, Y, Z = Path("x"), Path("y"), Path("z")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of: NAME"),
        ({"names": ("bio",), "bundle": X}, "expected one of: NAME"),
        ({"all_configs": True, "onnx": X}, "expected one of: NAME"),
        ({"bundle": X, "onnx": Y}, "expected one of: NAME"),
        ({"bundle": X, "torchaudio": Y, "config": Z}, "expected one of: NAME"),
        ({"stand_in": True, "bundle": X}, "--stand-in goes with NAME"),
        ({"stand_in": True, "fairseq": X}, "--stand-in goes with NAME"),
        ({"download": True, "bundle": X}, "--download and --ports go with NAME"),
        ({"ports": "published", "onnx": X}, "--download and --ports go with NAME"),
        ({"names": ("bio",), "stand_in": True, "download": True}, "--download and --ports go with NAME"),
        ({"names": ("bio",), "stand_in": True, "ports": "published"}, "--download and --ports go with NAME"),
        ({"names": ("bio",), "fairseq": X}, "take no files"),
        ({"names": ("bio",), "reference": X}, "take no files"),
        ({"all_configs": True, "pretrained": X}, "take no files"),
        ({"bundle": X, "pretrained": Y}, "--pretrained goes with --fairseq"),
        ({"all_configs": True, "geometry": "base"}, "take no files"),
        ({"bundle": X, "geometry": "base"}, "--geometry goes with --fairseq"),
        ({"names": ("bio",), "geometry": "base"}, "--pretrained and --geometry complete a file"),
        ({"fairseq": X, "reference": Y}, "--reference takes the original's place"),
        ({"torchaudio": X}, "weights and their config go together"),
        ({"config": X, "onnx": Y}, "weights and their config go together"),
        ({"names": ("bio", "nowhere")}, "nowhere"),
        ({"bundle": Path("nowhere")}, "nowhere: no such folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVES_HOME", str(tmp_path))
    with pytest.raises(InputError, match=message):
        Selection(**options).subjects("last")


def test_loose_files_are_one_subject_named_after_the_first() -> None:
    files = {"torchaudio": Path("a/owls.torchaudio.pt"), "config": Path("a/c.json"), "onnx": Path("b/crows.onnx")}
    (chosen,) = Selection(**files, reference=X).subjects("last")
    with chosen.files as subject:
        assert (subject.name, subject.source, subject.recording) == ("owls", "file", X)
        assert {name: getattr(subject, name) for name in files} == files
    (alone,) = Selection(onnx=Path("b/crows.onnx")).subjects("last")
    with alone.files as subject:
        assert (subject.name, subject.fairseq) == ("crows", None)
    (original,) = Selection(fairseq=Path("crows.pt"), pretrained=Y).subjects("last")
    with original.files as subject:
        assert (subject.name, subject.fairseq, subject.pretrained) == ("crows", Path("crows.pt"), Y)


def test_every_name_is_a_subject_in_the_order_given(tmp_path: Path) -> None:
    write_stand_in("x", tmp_path / "x.pt", geometry="tiny")
    chosen = Selection(names=(str(tmp_path / "x.pt"), str(tmp_path / "x.pt"))).subjects("all")
    assert len(chosen) == 2
    with chosen[0].files as first, chosen[1].files as second:
        assert first.fairseq == second.fairseq
        assert first.onnx != second.onnx


def test_the_options_of_backends_are_those_that_were_given() -> None:
    assert BackendOptions().by_backend() == {}
    given = BackendOptions("cuda", None, "f16", ("toy.error=a=b", "openvino.threads=", "onnx.threads=2"))
    assert given.by_backend(("fairseq", "onnx", "openvino", "toy")) == {
        "onnx": {"provider": "cuda", "threads": "2"},
        "openvino": {"precision": "f16", "threads": ""},
        "toy": {"error": "a=b"},
    }


def test_a_provider_is_for_every_graph_that_onnx_runtime_runs() -> None:
    cuda = {"provider": "cuda"}
    given = BackendOptions("cuda", backend_options=("onnx.int8.provider=cpu",))
    assert given.by_backend() == {"onnx": cuda, **dict.fromkeys(REDUCED, cuda), "onnx.int8": {"provider": "cpu"}}
    assert BackendOptions("cuda").by_backend(("fairseq", "onnx.float16")) == {"onnx.float16": cuda}
    assert BackendOptions("cuda").by_backend(("fairseq", "openvino")) == {"onnx": cuda}  # which is then told


@pytest.mark.parametrize("text", ["toy", "toy=1", "toy.=1", ".error=1", "toy.error"])
def test_what_is_no_option_of_a_backend_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"expected BACKEND\.OPTION=VALUE, such as openvino\.threads=1"):
        BackendOptions(backend_options=(text,)).by_backend()
