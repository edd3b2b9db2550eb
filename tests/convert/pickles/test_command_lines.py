"""Classes of other packages that run something are told from those that hold settings."""

from __future__ import annotations

import pytest
from tests.support.pickle_bytes import Raw, name, new, pickled, reduced

from aves_convert.pickles.command_lines import is_runner
from aves_convert.pickles.dangerous_calls import dangerous_calls
from aves_convert.pickles.reader import read_pickle

DATA = {
    "settings": new(name("mine", "RunConfig"), {"command": ["a", "b"]}),
    "enum": reduced(name("fairseq.dataclass.constants", "DDP_BACKEND_CHOICES"), "no_c10d"),
    "mode": reduced(name("hydra.types", "RunMode"), 1),
    "named_tuple": Raw(name("mine", "Fields").opcodes + b"(](Vx\nVy\neVof two\nt\x81"),
    "node": reduced(name("omegaconf.nodes", "AnyNode"), "value"),
    "old_class": reduced(name("copy_reg", "_reconstructor"), name("mine", "Names"), name("__builtin__", "list"), ["a"]),
}


@pytest.mark.parametrize("kind", DATA)
def test_settings_are_no_commands(kind: str) -> None:
    assert dangerous_calls(read_pickle(pickled([DATA[kind]]), "file.pt").calls) == []


@pytest.mark.parametrize(
    "called", ["CommonEvalConfig", "EvalLMConfig", "Callback", "SentencePieceProcessor", "PIPELINE_CHECKPOINT_CHOICES"]
)
def test_names_that_only_sound_so(called: str) -> None:
    assert not is_runner("fairseq.dataclass.configs", called)
