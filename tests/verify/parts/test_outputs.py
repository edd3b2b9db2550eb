"""Outputs that were recorded, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from aves_artifacts.base.errors import InputError
from aves_verify.parts.outputs import OutputRow, RecordedShard, to_bytes

WAVEFORM = np.float32([[0.5, -0.25, 0.125]])
OUTPUT = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
ABOUT = {"run": "run", "audio": "audio", "backend": "fairseq", "version": "1", "environment": {}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A shard of one window."""
    row = OutputRow("gull.wav", "ab" * 32, 0, 3, WAVEFORM, {"final": OUTPUT})
    (tmp_path / "shard.parquet").write_bytes(to_bytes(ABOUT, [row]))
    return tmp_path / "shard.parquet"


def test_what_was_recorded_is_given_back(path: Path) -> None:
    np.testing.assert_array_equal(RecordedShard(path, "x").run(WAVEFORM)["final"], OUTPUT)
    with pytest.raises(InputError, match="holds no output for a waveform"):
        RecordedShard(path, "x").run(WAVEFORM + 1)


@pytest.mark.parametrize("kind", [pyarrow.struct([("list", pyarrow.list_(pyarrow.float32()))]), pyarrow.string()])
def test_columns_of_other_types_are_damage(path: Path, kind: pyarrow.DataType) -> None:
    table = pyarrow.parquet.read_table(path)
    at = table.schema.get_field_index("final")
    other = table.set_column(at, "final", pyarrow.array([None], kind))
    pyarrow.parquet.write_table(other, path)
    with pytest.raises(InputError, match=r"x: damaged, or no part .*its columns are others"):
        RecordedShard(path, "x")
