"""One verdict of all parts: the ordinary report's numbers in whatever order, and a failure where parts are missing."""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from tests.support.corpus_runs import ALONE, BACKENDS, CUTTING, checked, run_over, sounds

from aves_artifacts.base.errors import InputError
from aves_artifacts.files.address import Address
from aves_artifacts.files.json_schema import schema_problem
from aves_convert.sounds.audio import read_clips
from aves_verify.comparison.compare import Comparison
from aves_verify.corpus.shards import joined
from aves_verify.corpus.windows import Cutting
from aves_verify.parts import part
from aves_verify.parts.identity import Looking
from aves_verify.report.html import to_html
from aves_verify.report.json_report import to_json
from aves_verify.report.summary import ports
from aves_verify.runs.ordering import verified
from aves_verify.subjects.subject import Subject, ready
from aves_verify.verdict.verdict import corpus_report
from aves_verify.verification.plan import Plan
from aves_verify.verification.run import verify


def test_it_is_the_ordinary_reports_to_the_last_digit(subject: Subject, corpus: Path, tmp_path: Path) -> None:
    """Recordings that are no longer than a window are clips, and every number of theirs is the same."""
    whole = Cutting(10.0, 10.0, 2)
    run_over(subject, corpus, tmp_path / "parts", looking=Looking(whole, worst=1))
    (found,) = corpus_report(str(tmp_path / "parts")).configs
    clips, _ = read_clips([corpus])
    (ordinary,) = verify(subject, Plan(clips=clips, backends=BACKENDS)).configs
    names = {clip.name for clip in clips}
    expected = {(c.backend, c.clip.rpartition("/")[2], c.layer): c for c in ordinary.comparisons if c.clip in names}
    assert found.corpus is not None
    windows = {
        (c.backend, c.clip, c.layer): c
        for c in found.comparisons
        if found.corpus.holds(c) and not c.clip.endswith("together")
    }
    assert windows.keys() == {key for key in expected if key[2] == "final"}
    for key, comparison in windows.items():
        assert dataclasses.replace(comparison, clip=expected[key].clip) == expected[key]
    together = next(c for c in found.comparisons if c.clip == "4 windows together" and c.backend == "onnx")
    same = [c for (backend, *_), c in expected.items() if backend == "onnx" and c.layer == "final"]
    assert_reduced(together, same)


def assert_reduced(together: Comparison, each: list[Comparison]) -> None:
    for name in ("max_abs", "max_rel", "min_tolerance"):
        assert getattr(together, name) == max(getattr(c, name) for c in each)
    assert together.cosine_min == min(c.cosine_min for c in each)
    noises = [c.noise for c in each if c.noise is not None]
    assert together.noise is not None
    assert together.noise.reference_peak == max(noise.reference_peak for noise in noises)
    assert min(c.error_ratio or 0 for c in each) <= (together.error_ratio or 0) <= max(c.error_ratio or 0 for c in each)
    assert together.near_zero is not None
    assert together.near_zero.elements == sum(c.near_zero.elements for c in each if c.near_zero)
    assert together.quantiles is not None
    assert together.quantiles.p50 <= together.quantiles.p999 <= together.max_abs * 1.125


def test_every_number_of_a_port_is_that_of_its_worst_window(whole: Path) -> None:
    (config,) = corpus_report(str(whole)).configs
    (port,) = ports(config)
    assert config.corpus is not None
    assert config.passed
    assert port.max_abs == max(c.max_abs for c in config.comparisons)
    (total,) = (each for each in config.corpus.totals if each.layer == "final")
    assert total.statuses == {"pass": total.windows}
    assert total.windows == config.corpus.windows == sum(total.ratios.counts)
    assert total.elements == sum(total.differences.counts)
    assert [sum(map(sum, grid.counts)) for grid in total.grids] == [total.windows] * 3


def test_the_order_of_parts_changes_nothing(whole: Path, tmp_path: Path) -> None:
    expected = to_json(corpus_report(str(whole)))
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    (listing,) = parts.glob("*.json")
    document = json.loads(listing.read_text())
    document["shards"].reverse()
    document["corpus"] = joined(document["shards"])
    listing.write_text(json.dumps(document))
    shuffled = to_json(corpus_report(str(parts)))
    assert shuffled == expected
    assert schema_problem(json.loads(expected), "report.schema.json") == ""


@pytest.mark.parametrize(
    "damage", ["gone", "cut off", "garbled", "of another run", "another shard's", "the port's own"]
)
def test_missing_parts_are_told_and_fail(damage: str, whole: Path, tmp_path: Path) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    shards = sorted(path for path in parts.glob("*.parquet") if "signals" not in path.name)
    if damage == "gone":
        shards[1].unlink()
    elif damage == "cut off":
        shards[1].write_bytes(shards[1].read_bytes()[:-3])
    elif damage == "garbled":
        content = bytearray(shards[1].read_bytes())
        content[len(content) // 3] ^= 1
        shards[1].write_bytes(content)
    elif damage == "of another run":
        shards[1].write_bytes(next(parts.glob("*signals*")).read_bytes())
    elif damage == "another shard's":
        shards[1].write_bytes(shards[0].read_bytes())
    else:
        next(parts.glob("*signals*")).unlink()
    (config,) = corpus_report(str(parts)).configs
    assert not config.passed
    assert config.corpus is not None
    assert len(config.corpus.missing) == 1
    (problem,) = config.problems
    assert problem.startswith(f"incomplete: 1 of {len(shards) + 1} parts are missing")
    assert ("signals" if damage == "the port's own" else shards[1].name) in problem


def test_a_number_that_is_none_is_damage(whole: Path, tmp_path: Path) -> None:
    """No comparison gives NaN, and none is larger: such a part must not pass, whatever its checksums say."""
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    path = next(path for path in parts.glob("*.parquet") if "signals" not in path.name)
    table = pyarrow.parquet.read_table(path)
    at, numbers = table.schema.get_field_index("max_abs"), table.column("max_abs").to_pylist()
    changed = pyarrow.array([float("nan"), *numbers[1:]])
    pyarrow.parquet.write_table(table.set_column(at, table.schema.field(at), changed), path)
    (config,) = corpus_report(str(parts)).configs
    assert not config.passed
    assert f"{path.name}: damaged, or no part (a number is NaN" in config.problems[0]


def changed_numbers(table: pyarrow.Table, name: str, value: float) -> pyarrow.Table:
    """The table with another number in its first row; ``name`` may be that of a field in a struct."""
    column, _, inner = name.partition(".")
    at, rows = table.schema.get_field_index(column), table.column(column).to_pylist()
    rows[0] = {**rows[0], inner: value} if inner else value
    return table.set_column(at, table.schema.field(at), pyarrow.array(rows, table.schema.field(at).type))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_abs", -1.0), ("cosine_min", np.nan), ("mean_abs", np.inf), ("elements", -5), ("elements", 0)),
        *(("squares", -1.0), ("squares", 1e308), ("reference_squares", np.nan), ("noise.port", -1.0)),
        *(("noise.scale", 1e200), ("noise.reference", np.inf), ("noise.reference_peak", np.nan)),
        *(("tolerance.atol", np.nan), ("tolerance.rtol", -1.0)),
    ],
)
def test_a_number_that_cannot_be_is_damage(name: str, value: float, whole: Path, tmp_path: Path) -> None:
    """Whatever its checksums say: whoever writes a part writes those too."""
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    path = next(path for path in parts.glob("*.parquet") if "signals" not in path.name)
    pyarrow.parquet.write_table(changed_numbers(pyarrow.parquet.read_table(path), name, value), path)
    report = corpus_report(str(parts))
    assert f"{path.name}: damaged, or no part (" in report.configs[0].problems[0]
    assert json.loads(to_json(report))["passed"] is False


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("waveform", [np.nan, 0.0]),
        ("frame_differences", []),
        ("frame_differences", [np.inf]),
        ("sample_difference", [1.0, 2.0]),
        ("sample_reference", [-1.0]),
    ],
)
def test_what_nothing_can_be_drawn_of_is_damage(name: str, values: list[float], whole: Path, tmp_path: Path) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    path = next(path for path in parts.glob("*.parquet") if "signals" not in path.name)
    table = pyarrow.parquet.read_table(path)
    at, rows = table.schema.get_field_index(name), table.column(name).to_pylist()
    changed = pyarrow.array([each and values for each in rows], table.schema.field(at).type)
    pyarrow.parquet.write_table(table.set_column(at, table.schema.field(at), changed), path)
    report = corpus_report(str(parts))
    assert f"{path.name}: damaged, or no part (" in report.configs[0].problems[0]
    to_html(report)


@pytest.mark.parametrize("counts", [{"-1": 3}, {"2048": 3}, {"9": -3}])
def test_differences_that_cannot_be_are_damage(counts: dict[str, int], whole: Path, tmp_path: Path) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    path = next(path for path in parts.glob("*.parquet") if "signals" not in path.name)
    table = pyarrow.parquet.read_table(path)
    facts = json.loads(table.schema.metadata[part.KIND.encode()])
    facts["differences"]["onnx"]["final"] = counts
    metadata = {**table.schema.metadata, **{k.encode(): v.encode() for k, v in part.sealed(part.KIND, facts).items()}}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)
    (config,) = corpus_report(str(parts)).configs
    assert "damaged, or no part (differences of a size, or of a number, that cannot be)" in config.problems[0]


def test_a_list_that_leads_elsewhere_is_told(whole: Path, tmp_path: Path) -> None:
    """Parts are found by what it says, and are those beside it."""
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    (listing,) = parts.glob("*.json")
    listing.write_text(json.dumps({**json.loads(listing.read_text()), "port": "../elsewhere/x"}))
    with pytest.raises(InputError, match=r"damaged, or no list of parts \(a digest that is none"):
        corpus_report(str(parts))


def test_a_list_that_somebody_shortened_is_told(whole: Path, tmp_path: Path) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    (listing,) = parts.glob("*.json")
    document = json.loads(listing.read_text())
    listing.write_text(json.dumps({**document, "shards": document["shards"][:1]}))
    with pytest.raises(InputError, match="its parts are not those of its corpus"):
        corpus_report(str(parts))


def test_what_is_said_of_a_port_is_not_taken_from_another_run(subject: Subject, whole: Path, tmp_path: Path) -> None:
    parts, seeded, audio = tmp_path / "parts", tmp_path / "seeded", str(sounds(tmp_path / "sea", 1, 0.2))
    shutil.copytree(whole, parts)
    looking = Looking(CUTTING)
    list(verified([ready(subject)], Plan(backends=BACKENDS), looking, [audio], str(seeded), ALONE, seed=7))
    (own,), (other,) = parts.glob("*signals*"), seeded.glob("*signals*")
    assert own.name != other.name
    own.write_bytes(other.read_bytes())
    (config,) = corpus_report(str(parts)).configs
    assert not config.passed
    assert f"{own.name}: damaged: it is of another run" in config.problems[0]


def test_windows_that_can_be_read_are_compared_though_others_cannot(
    subject: Subject, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "sea").mkdir()
    sound = np.random.default_rng(1).normal(size=32_000).astype(np.float32) * np.float32(0.1)
    sound[9_000] = np.nan
    soundfile.write(tmp_path / "sea" / "a.wav", sound, 16_000, "FLOAT")
    run_over(subject, tmp_path / "sea", checked(whole, tmp_path / "parts"))
    (config,) = corpus_report(str(tmp_path / "parts"), unreadable=1).configs
    assert config.passed
    assert config.corpus is not None
    assert (config.corpus.windows, config.corpus.planned, config.corpus.unreadable) == (3, 4, 1)


def test_windows_that_fail_fail_the_corpus(subject: Subject, tmp_path: Path) -> None:
    sounds(tmp_path / "sea", 2)
    strict = {
        name: dataclasses.replace(each, atol=0.0, rtol=0.0, own_error=0.0) for name, each in Plan().tolerances.items()
    }
    plan = Plan(backends=BACKENDS, tolerances=strict)
    run_over(subject, tmp_path / "sea", tmp_path / "parts", plan=plan)
    (config,) = corpus_report(str(tmp_path / "parts")).configs
    assert not config.passed
    assert config.corpus is not None
    (total,) = (each for each in config.corpus.totals if each.layer == "final")
    assert total.statuses == {"fail": total.windows}
    failure = config.corpus.failures[0]
    assert failure.count == total.windows
    assert "elements are beyond the tolerance" in failure.reason
    assert not any(digit in failure.reason for digit in "0123456789")
    assert config.statuses["fail"] >= total.windows
    worst = config.corpus.worst[0]
    assert worst.comparison.max_abs == total_max(config.comparisons)
    assert worst.waveform is not None
    assert worst.waveform.shape == (round(worst.seconds * 16_000),)
    assert worst.evidence is not None
    assert worst.evidence.frames.max() == np.float32(worst.comparison.max_abs)


def total_max(comparisons: tuple[Comparison, ...]) -> float:
    return max(c.max_abs for c in comparisons if c.clip.endswith("together"))


def test_recordings_that_cannot_be_read_fail_unless_so_many_may(subject: Subject, whole: Path, tmp_path: Path) -> None:
    folder = sounds(tmp_path / "sea", 2)
    (folder / "bad.wav").write_bytes(b"RIFF and nothing")
    (folder / "short.wav").write_bytes(wav(100))
    run_over(subject, folder, checked(whole, tmp_path / "parts"))
    (config,) = corpus_report(str(tmp_path / "parts")).configs
    assert not config.passed
    assert config.corpus is not None
    assert config.corpus.unreadable == 2
    assert [problem.partition(":")[0] for problem in config.problems] == ["bad.wav", "short.wav"]
    assert sorted((each.backend, each.count) for each in config.corpus.failures) == [("", 1), ("", 1)]
    (config,) = corpus_report(str(tmp_path / "parts"), unreadable=2).configs
    assert config.passed


def test_a_recordings_short_end_is_counted_and_fails_nothing(subject: Subject, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "a.wav").write_bytes(wav(8_000 + 300))
    run_over(subject, tmp_path / "sea", checked(whole, tmp_path / "parts"))
    (config,) = corpus_report(str(tmp_path / "parts")).configs
    assert config.passed
    assert config.corpus is not None
    assert (config.corpus.windows, config.corpus.skipped, config.corpus.unreadable) == (1, 1, 0)


def wav(samples: int) -> bytes:
    stream = io.BytesIO()
    sound = np.random.default_rng(samples).normal(size=samples) * 0.1
    soundfile.write(stream, sound.astype(np.float32), 16_000, format="WAV")
    return stream.getvalue()


def test_nothing_to_report_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run of a corpus; make one with: aves-verify corpus run"):
        corpus_report(str(tmp_path))
    (tmp_path / "0-1-2.json").write_text('{"kind": "aves-verify corpus run", "schema": 9}')
    with pytest.raises(InputError, match="schema 9, this version reads 1"):
        corpus_report(str(tmp_path))


def test_several_runs_are_several_configurations(whole: Path, tmp_path: Path) -> None:
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    (listing,) = parts.glob("*.json")
    (parts / "other.json").write_bytes(listing.read_bytes())
    assert len(corpus_report(str(parts)).configs) == 2
    (config,) = corpus_report(str(parts), only=["oth"]).configs
    assert config.corpus is not None
    assert config.corpus.run == "other"
    with pytest.raises(InputError, match="no run nothing"):
        corpus_report(str(parts), only=["nothing"])


def test_a_store_that_does_not_answer_is_no_missing_part(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Address.read

    def answers(self: Address, name: str, most: int | None = None) -> bytes | None:
        if name.endswith(".parquet"):
            raise InputError("the store does not answer")
        return read(self, name, most)

    monkeypatch.setattr(Address, "read", answers)
    with pytest.raises(InputError, match="does not answer"):
        corpus_report(str(whole))
