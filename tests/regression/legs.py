"""The versions that users meet: which torch on which Python, and which ONNX Runtime, onnx and numpy beside the newest.

Not the full product: every torch is there on one sensible Python, every Python with some torch. fairseq's part runs up
to Python 3.12; numpy 2 is known from torch 2.2 on, and numpy 1.26 to Python 3.12. Each has a transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Axis = Literal["torch", "runtime"]


@dataclass(frozen=True)
class Leg:
    """One environment."""

    name: str
    axis: Axis
    python: str
    requirements: tuple[str, ...]

    @property
    def has_fairseq(self) -> bool:
        """Does fairseq import on this Python?"""
        return self.python != "3.13"

    @property
    def has_newest_torch(self) -> bool:
        """Is torch the newest that this Python has?"""
        return "torch" in self.requirements


# Beside each torch the newest that takes it, but for torch 2.1, which has the oldest of the extra's range. From torch
# 2.6 on it is the newest there is, which no pin holds back.
TRANSFORMERS = {
    # The last that imports beside torch 2.0. Those before 4.48 look for that torch's own names of the positional
    # convolution: from_pretrained makes up its weights, from 4.45 on without a word.
    "2.0.1": "transformers==4.49.0",
    "2.1.2": "transformers==4.40.0",  # 4.55.4 is the last that takes torch 2.1
    "2.2.2": "transformers==5.0.0",  # the first of version 5, and the last that takes torch 2.2
    "2.4.1": "transformers==5.14.1",  # 5.15 asks for torch 2.5
}
NEWEST_TRANSFORMERS = "transformers"


def _torch(version: str, torchaudio: str, python: str, *others: str) -> Leg:
    needs = (f"torch=={version}", f"torchaudio=={torchaudio}", TRANSFORMERS.get(version, NEWEST_TRANSFORMERS))
    return Leg(f"torch-{version}", "torch", python, (*needs, *others))


def _runtime(version: str, onnx: str, numpy: str) -> Leg:
    needs = (f"onnxruntime=={version}", f"onnx=={onnx}", f"numpy=={numpy}")
    return Leg(f"onnxruntime-{version}", "runtime", "3.11", (*_NEWEST, *needs))


_NEWEST = ("torch", "torchaudio", NEWEST_TRANSFORMERS)
LEGS = {
    leg.name: leg
    for leg in (
        _torch("2.0.1", "2.0.2", "3.10", "numpy<2"),
        _torch("2.1.2", "2.1.2", "3.11", "numpy<2"),
        _torch("2.2.2", "2.2.2", "3.12", "numpy<2"),
        _torch("2.4.1", "2.4.1", "3.10"),
        _torch("2.6.0", "2.6.0", "3.12"),
        _torch("2.8.0", "2.8.0", "3.11"),
        _torch("2.9.1", "2.9.1", "3.13"),
        _torch("2.11.0", "2.11.0", "3.12"),
        Leg("torch-newest", "torch", "3.11", _NEWEST),
        Leg("torch-newest-python-3.13", "torch", "3.13", _NEWEST),
        _runtime("1.17.3", "1.16.2", "1.26.4"),
        _runtime("1.18.1", "1.16.2", "1.26.4"),
        _runtime("1.19.2", "1.16.2", "2.0.2"),
        _runtime("1.20.1", "1.17.0", "1.26.4"),
        _runtime("1.22.1", "1.18.0", "2.2.6"),
        _runtime("1.24.4", "1.20.1", "1.26.4"),
        _runtime("1.27.0", "1.21.0", "2.3.5"),
        Leg("onnxruntime-newest-numpy-1.26", "runtime", "3.11", (*_NEWEST, "onnxruntime", "onnx", "numpy==1.26.4")),
    )
}
