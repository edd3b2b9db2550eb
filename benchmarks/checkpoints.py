"""Checkpoints for the benchmark, each made in a process of its own.

    python -m benchmarks.checkpoints SIZE OUT.pt

SIZE is ``trained``, fairseq's own trainer's file with optimizer state (1.1 GB), or a seeded stand-in without it:
``tiny``, ``small``, ``base``, ``large``, ``extra-large`` (3.6 GB).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measures.large_models import COMMON, PRE_NORM, XLARGE
from tests.support.trained_checkpoint import train

from aves_convert.conversion.stand_in import GEOMETRIES, checkpoint_contents
from aves_convert.torch_files.writer import write_torch_file

MODELS = {
    **GEOMETRIES,
    "small": {**GEOMETRIES["tiny"], "encoder_layers": 4},
    "extra-large": {**COMMON, **XLARGE, **PRE_NORM},
}


def main(size: str, out: Path) -> None:
    """Write one."""
    if size == "trained":
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            train(Path(folder), "base").replace(out)
        return
    write_torch_file(checkpoint_contents(MODELS[size], seed=size), out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
