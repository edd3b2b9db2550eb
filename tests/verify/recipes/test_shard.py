"""What is made of one shard: rows, sums, the worst windows, and nothing that depends on anything else."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.corpus_runs import BACKENDS, CUTTING, sounds

from aves_artifacts.base.errors import InputError
from aves_verify.corpus.addresses import StoreError
from aves_verify.corpus.index import index_block
from aves_verify.corpus.listing import list_audio
from aves_verify.corpus.shards import Shard, cut
from aves_verify.corpus.windows import ChangedError, Cutting
from aves_verify.loading.load import Loaded, load
from aves_verify.parts.identity import Looking
from aves_verify.recipes import shard as module
from aves_verify.recipes import verifying
from aves_verify.recipes.shard import Found, verify_shard
from aves_verify.recipes.verifying import check_fits
from aves_verify.subjects.subject import Subject
from aves_verify.verification.plan import Plan

PLAN = Plan(backends=BACKENDS)


@pytest.fixture(scope="module")
def loaded(subject: Subject) -> Loaded:
    return load(subject, BACKENDS)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    folder = sounds(tmp_path_factory.mktemp("shard") / "sea", 2)
    recordings = index_block(list_audio([str(folder)]))
    (found,) = cut(recordings, dataclasses.replace(CUTTING, shard_windows=1000))
    return found


def verified(loaded: Loaded, shard: Shard, **how: Any) -> Found:
    seconds = dict.fromkeys((*BACKENDS, "exact"), 0.0)
    return verify_shard(loaded, shard, PLAN, Looking(CUTTING, **how), seconds)


def test_a_row_for_each_window_and_output(loaded: Loaded, shard: Shard) -> None:
    found = verified(loaded, shard)
    assert found.windows == shard.windows == len(found.rows)
    assert found.samples == sum(row.where.samples for row in found.rows)
    assert {row.where.samples for row in found.rows} == {8_000, 3_200}
    for row in found.rows:
        assert row.comparison is not None
        assert row.sums is not None
        frames = loaded.config.frames(row.where.samples)
        assert row.sums.elements == frames * loaded.config.encoder_embed_dim
        assert np.isclose(np.sqrt(row.sums.squares / row.sums.elements), rms_of(found, row.where.start), rtol=10)
        assert row.where.level > 0
    assert sum(found.differences["onnx"]["final"].values()) == sum(row.sums.elements for row in found.rows if row.sums)


def rms_of(found: Found, start: int) -> float:
    comparison = next(row.comparison for row in found.rows if row.where.start == start)
    assert comparison is not None
    return comparison.mean_abs


def test_it_is_the_same_again(loaded: Loaded, shard: Shard) -> None:
    one, other = verified(loaded, shard), verified(loaded, shard)
    assert [dataclasses.replace(row, arrays=None) for row in one.rows] == [
        dataclasses.replace(row, arrays=None) for row in other.rows
    ]


def test_the_worst_keep_their_sound(loaded: Loaded, shard: Shard) -> None:
    found = verified(loaded, shard, worst=2)
    kept = [row for row in found.rows if row.arrays is not None]
    sizes = sorted((row.comparison.max_abs for row in found.rows if row.comparison), reverse=True)
    assert sorted((row.comparison.max_abs for row in kept if row.comparison), reverse=True) == sizes[:2]
    for row in kept:
        assert row.arrays is not None
        assert len(row.arrays.waveform) == row.where.samples
        assert row.arrays.evidence is not None
        assert row.arrays.port is None  # it passes


def test_one_window_of_some_is_judged_exactly(loaded: Loaded, shard: Shard) -> None:
    found = verified(loaded, shard, exact_every=3)
    measured = [row for row in found.rows if row.comparison and row.comparison.noise is not None]
    assert 0 < len(measured) < len(found.rows)
    again = [row.where for row in verified(loaded, shard, exact_every=3).rows
             if row.comparison and row.comparison.noise is not None]  # fmt: skip
    assert [row.where for row in measured] == again


def test_of_a_long_recording_one_window_of_some_is_judged_exactly(loaded: Loaded, tmp_path: Path) -> None:
    """Windows begin at multiples of their hop; it is their number that decides."""
    sounds(tmp_path / "sea", 1, 5.0)
    (shard,) = cut(index_block(list_audio([str(tmp_path / "sea")])), dataclasses.replace(CUTTING, shard_windows=1000))
    rows = [row for row in verified(loaded, shard, exact_every=5).rows if row.comparison]
    assert [row.comparison is not None and row.comparison.noise is not None for row in rows].count(True) == 2


def test_a_store_that_does_not_answer_is_no_row(loaded: Loaded, shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> Iterator[None]:
        raise StoreError("the store does not answer")
        yield

    monkeypatch.setattr(module, "windows_or_reasons", silent)
    with pytest.raises(StoreError):
        verified(loaded, shard)


def test_an_original_that_does_not_run_is_no_row(loaded: Loaded, shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of the recording: nobody would see that windows are missing."""

    def fails(*_: object, **__: object) -> None:
        raise InputError("fairseq does not run on this")

    monkeypatch.setattr(loaded.backends[0], "run", fails)
    with pytest.raises(InputError, match="does not run on this"):
        verified(loaded, shard)


def test_what_is_cut_off_while_it_is_used_is_no_row(loaded: Loaded, tmp_path: Path) -> None:
    folder = sounds(tmp_path / "sea", 1)
    (shard,) = cut(index_block(list_audio([str(folder)])), dataclasses.replace(CUTTING, shard_windows=1000))
    path = folder / "0.wav"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ChangedError, match=r"0\.wav: changed since it was indexed"):
        verified(loaded, shard)


def test_windows_that_give_no_frame(loaded: Loaded) -> None:
    with pytest.raises(InputError, match=r"a window of 0\.02 s gives no frame; give `window` from 0\.025 on"):
        check_fits(loaded, Cutting(0.02, 0.02), deep=False)


def test_windows_that_do_not_fit(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "available", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"a window of 60 s takes .* of memory or so"):
        check_fits(loaded, Cutting(60.0, 60.0), deep=False)


def test_threads_of_every_backend_that_has_them() -> None:
    plan = Plan(backends=("torchaudio", "onnx"), options={"onnx": {"device": "1"}}).with_threads(3)
    assert plan.options == {"onnx": {"device": "1", "threads": "3"}}
    asked = Plan(backends=("torchaudio", "onnx"), options={"onnx": {"threads": "2"}})
    assert asked.with_threads(3).options == {"onnx": {"threads": "2"}}
