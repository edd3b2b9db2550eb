"""What this processor is, and whether it has instructions for products of eight bits."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# VNNI of x86 in either form, the dot products of Arm, and its matrix products.
_INT8 = frozenset(("avx512_vnni", "avx_vnni", "avx_vnni_int8", "asimddp", "i8mm"))


def processor_name() -> str:
    """Give the processor's model name; Linux tells it in /proc/cpuinfo, elsewhere the platform's short name must do."""
    return next(_entries("model name"), "") or platform.processor() or platform.machine()


def multiplies_int8() -> bool | None:
    """Whether it has instructions that add products of eight bits in 32: VNNI on x86, dot products on Arm.

    None where nothing tells, as on other systems than Linux.
    """
    flags = next(_entries("flags", "Features"), "")
    return not _INT8.isdisjoint(flags.split()) if flags else None


def _entries(*names: str) -> Iterator[str]:
    """The values of these names in /proc/cpuinfo."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return iter(())
    split = (line.partition(":") for line in lines)
    return (value.strip() for name, _, value in split if name.strip() in names)
