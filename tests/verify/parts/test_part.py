"""Parts as files: they read back as they were, have the same bytes each time, and no damage goes unseen."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from aves_artifacts.base.errors import InputError
from aves_convert.reduction.cost import Cost
from aves_verify.comparison.compare import Bound, Comparison, Flips, Place, Quantiles, Tolerance
from aves_verify.comparison.evidence import Evidence
from aves_verify.comparison.noise import NearZero, NoiseFloor
from aves_verify.parts.part import SCHEMA, Facts, Part, PartFile, is_intact, to_bytes
from aves_verify.parts.row import SKIPPED, Arrays, Row, Sums, Where

WHERE = Where("sea/gull.wav", "ab" * 32, 16_000, 8_000, 0.1, -0.2, 0.9)
FULL = Comparison(
    "onnx",
    "fairseq",
    "sea/gull.wav @ 1 s",
    "final",
    Tolerance(),
    "fail",
    "it differs",
    max_abs=1e-5,
    max_rel=np.inf,
    mean_abs=1e-6,
    cosine_min=-np.inf,
    min_tolerance=1e-5,
    snr_db=100.0,
    error_ratio=2.0,
    noise=NoiseFloor(1e-6, 5e-7, 1e-5, 1.0, 1e-6, None),
    quantiles=Quantiles(1e-7, 1e-6, 2e-6, 3e-6),
    near_zero=NearZero(1e-3, 5, 1, 0.5, 1e-6),
    flips=Flips(10, 2, 1, 0.1, 0.01),
    max_abs_at=Place(0, 3, 4, 1.0, 1.1),
    bound=Bound(20.0, 0.9),
    cost=Cost(30.0, 20.0, 25.0, 0.99, 0.999),
)
BARE = Comparison("onnx", "fairseq", "x", "final", Tolerance(), "fail", "another shape")
FLOATS = np.float32([0.5, -0.25, 1e-30])
ARRAYS = Arrays(FLOATS, Evidence(FLOATS, FLOATS, FLOATS), FLOATS, None)
ROWS = (
    Row.of(WHERE, FULL, Sums(100, 1e-10, 50.0), ARRAYS),
    Row.of(WHERE, BARE, None),
    Row(dataclasses.replace(WHERE, level=np.nan, offset=np.nan, peak=np.nan), SKIPPED, "too short"),
)
FACTS = Facts(
    SCHEMA, "run", "audio", 3, 2, 16_000, {"onnx": {"version": "1"}}, {"cpu": "x"}, {"onnx": {"final": {0: 3, 900: 2}}}
)


def test_it_reads_back() -> None:
    part = PartFile(to_bytes(Part(FACTS, ROWS)), "x")
    assert part.facts == FACTS
    first, second, third = (row for _, row in part.rows())
    assert (first.where, first.comparison, first.sums) == (WHERE, FULL, ROWS[0].sums)
    assert first.arrays is not None
    assert np.array_equal(first.arrays.waveform, FLOATS)
    assert first.arrays.evidence is not None
    assert np.array_equal(first.arrays.evidence.difference, FLOATS)
    assert first.arrays.port is not None
    assert first.arrays.reference is None
    assert (second.comparison, second.sums, second.arrays) == (BARE, None, None)
    assert (third.status, third.reason, third.comparison) == (SKIPPED, "too short", None)
    assert np.isnan(third.where.level)


def test_it_has_the_same_bytes_each_time() -> None:
    assert to_bytes(Part(FACTS, ROWS)) == to_bytes(Part(FACTS, ROWS))


def test_a_shard_without_windows() -> None:
    part = PartFile(to_bytes(Part(dataclasses.replace(FACTS, rows=0, windows=0, differences={}), ())), "x")
    assert list(part.rows()) == []


@pytest.mark.slow
def test_no_damage_goes_unseen() -> None:
    """A bit anywhere: it is told, or what is read is what was written (some bytes of a footer mean nothing)."""
    content = to_bytes(Part(FACTS, ROWS))
    expected = [repr(row) for _, row in PartFile(content, "x").rows()]
    told = []
    for at in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        try:
            part = PartFile(bytes(damaged), "x")
            rows = [repr(row) for _, row in part.rows()]
        except InputError as error:
            told.append(str(error))
        else:
            assert (part.facts, rows) == (FACTS, expected)
    assert all(each.startswith("x: damaged, or no part (") for each in told)
    assert len(told) > len(content) / 7 / 4


def test_a_part_belongs_where_it_says(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(to_bytes(Part(FACTS, ROWS)))
    assert is_intact(path, "run", "audio")
    assert is_intact(path, None, "")
    assert not is_intact(path, "another", "audio")
    assert not is_intact(path, "run", "of another shard")
    assert not is_intact(path, "run", "")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)  # whole, and no part at all
    assert is_intact(path, None, "")
    assert not is_intact(path, "run", "audio")
    facts = {"aves-verify corpus part": "{}", "aves-verify corpus part sha256": "0" * 64}
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}).replace_schema_metadata(facts), path)
    assert not is_intact(path, None, "")


@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_what_is_cut_off_is_told(length: int) -> None:
    with pytest.raises(InputError, match="x: damaged, or no part"):
        PartFile(to_bytes(Part(FACTS, ROWS))[:length], "x")


def test_another_version_and_another_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="schema 9, this version reads 1"):
        PartFile(to_bytes(Part(dataclasses.replace(FACTS, schema=9), ROWS)), "x")
    with pytest.raises(InputError, match="damaged, or no part"):
        PartFile(b"PAR1 and more PAR1", str(tmp_path))
