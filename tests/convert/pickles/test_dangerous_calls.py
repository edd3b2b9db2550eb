"""What a pickle wants to run is refused by name, and never runs."""

from __future__ import annotations

import pickle
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.hostile_files import GADGETS, PAYLOADS
from tests.support.pickle_bytes import pickled
from tests.support.watched import nothing_runs

from aves_artifacts.base.errors import InputError
from aves_convert.pickles.dangerous_calls import is_harmless, refuse_dangerous
from aves_convert.pickles.reader import read_pickle
from aves_convert.pickles.records import Global


@pytest.mark.parametrize(("module", "attribute"), [gadget.rpartition(".")[::2] for gadget in GADGETS])
def test_no_gadget_is_harmless(module: str, attribute: str) -> None:
    assert not is_harmless(Global(module, attribute))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_are_inert(payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    raw, _ = PAYLOADS[payload]
    with nothing_runs(), pytest.raises(InputError) as caught:
        refuse_dangerous(read_pickle(pickled([raw]), "file.pt").calls, "file.pt")

    assert "file.pt: " in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("payload", ["reduce", "numpy_generator", "numpy_random_state", "python2_module"])
def test_pickle_would_have_run_the_payload(payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The payloads are real: the machine is what stops them."""
    monkeypatch.chdir(tmp_path)
    with suppress(AttributeError):  # numpy, when the command has run
        made = pickle.loads(pickled(PAYLOADS[payload][0]))
        if isinstance(made, subprocess.Popen):
            made.wait()

    assert (tmp_path / "EXECUTED").exists()
