"""Reading what the processor is: by Linux's own file, and nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from aves_artifacts.base import processor
from aves_artifacts.base.processor import multiplies_int8, processor_name

_X86 = "processor: 0\nmodel name\t: Some CPU @ 2.00GHz: boosted\nflags\t: fpu avx2 {}\n\nprocessor: 1\nflags: fpu\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (_X86.format("avx512_vnni"), True),
        (_X86.format("avx_vnni fma"), True),
        (_X86.format("avx512f"), False),
        ("processor : 0\nFeatures : fp asimd asimddp\n", True),
        ("processor : 0\nFeatures : fp asimd\n", False),
        ("nothing of that kind", None),
        ("", None),
    ],
)
def test_instructions_for_eight_bits(
    text: str, found: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    assert multiplies_int8() is found
    if "model name" in text:
        assert processor_name() == "Some CPU @ 2.00GHz: boosted"


def test_without_the_file_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "none")
    assert multiplies_int8() is None
    assert processor_name()
