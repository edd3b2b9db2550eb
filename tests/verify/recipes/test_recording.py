"""An original that is recorded on a corpus, once, stands in its place for every later run."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from tests.support.corpus_runs import ALONE, CUTTING, contents, run_over

from aves_artifacts.base.errors import InputError
from aves_verify.comparison.compare import Comparison
from aves_verify.corpus.windows import Cutting
from aves_verify.parts.identity import Looking
from aves_verify.report.report import ConfigReport
from aves_verify.runs.ordering import recorded
from aves_verify.runs.run import Done
from aves_verify.subjects.subject import Subject, ready
from aves_verify.verdict.verdict import corpus_report
from aves_verify.verification.plan import Plan

EVERY = Plan(layers="all")


@pytest.fixture(scope="module")
def reference(subject: Subject, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What fairseq gives of every layer, recorded on some recordings."""
    parts = tmp_path_factory.mktemp("reference") / "parts"
    assert not record(subject, corpus, parts).missing
    return parts


def record(
    subject: Subject, corpus: Path, parts: Path, share: tuple[int, int] | None = None, *, check: bool = False
) -> Done:
    crew = dataclasses.replace(ALONE, share=share, check=check)
    _, done = recorded(ready(subject), "fairseq", "all", CUTTING, [str(corpus)], str(parts), crew)
    return done


@pytest.fixture
def ports(subject: Subject) -> Subject:
    """The ports alone, as somebody has them who cannot install fairseq."""
    return dataclasses.replace(subject, fairseq=None)


def windows(config: ConfigReport) -> list[Comparison]:
    assert config.corpus is not None
    return [c for c in config.comparisons if config.corpus.holds(c)]


def test_its_numbers_are_those_of_the_original_itself(
    subject: Subject, ports: Subject, corpus: Path, reference: Path, tmp_path: Path
) -> None:
    run_over(subject, corpus, tmp_path / "run", plan=EVERY)
    run_over(ports, corpus, tmp_path / "held", plan=EVERY, reference=str(reference))
    (really,), (held,) = (corpus_report(str(tmp_path / each)).configs for each in ("run", "held"))
    assert held.passed
    assert held.reference == "fairseq"
    assert windows(held) == windows(really)
    assert {c.layer for c in windows(held)} >= {"final", "layer.0", "layer.1"}


def test_it_is_the_same_by_whoever_it_is_made_and_is_not_made_again(
    subject: Subject, corpus: Path, reference: Path, tmp_path: Path
) -> None:
    for i in (2, 1):
        record(subject, corpus, tmp_path / "parts", (i, 2))
    assert contents(tmp_path / "parts") == contents(reference)
    assert record(subject, corpus, tmp_path / "parts").made == 0


def test_other_windows_than_were_recorded(ports: Subject, corpus: Path, reference: Path, tmp_path: Path) -> None:
    looking = Looking(Cutting(0.4, 0.4, 4))
    with pytest.raises(InputError, match=r"recorded of other audio, or of other windows: \d+ windows of 0.5 s"):
        run_over(ports, corpus, tmp_path / "parts", reference=str(reference), looking=looking, plan=Plan())
    with pytest.raises(InputError, match="no run of a corpus"):
        run_over(ports, corpus, tmp_path / "parts", reference=str(tmp_path), plan=Plan())


def test_layers_that_were_not_recorded(ports: Subject, corpus: Path, reference: Path, tmp_path: Path) -> None:
    held = Path(shutil.copytree(reference, tmp_path / "reference"))
    (listing,) = held.glob("*.json")
    listing.write_text(listing.read_text().replace('"layers": "all"', '"layers": "last"'))
    with pytest.raises(InputError, match="only the last layer was recorded"):
        run_over(ports, corpus, tmp_path / "parts", plan=EVERY, reference=str(held))


def test_a_report_of_what_is_a_recording(reference: Path) -> None:
    with pytest.raises(InputError, match="holds what was recorded of an original, and no comparisons"):
        corpus_report(str(reference))


def test_a_part_of_the_recording_that_is_missing_or_damaged(
    ports: Subject, corpus: Path, reference: Path, tmp_path: Path
) -> None:
    held = Path(shutil.copytree(reference, tmp_path / "reference"))
    first, second, *_ = sorted(held.glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-50])
    done = run_over(ports, corpus, tmp_path / "parts", reference=str(held), plan=Plan())
    assert len(done.missing) == 2
    assert sorted(reason.partition(": ")[2][:20] for reason in done.missing.values()) == [
        "damaged, or no part ",
        "not there; run aves-",
    ]
    (config,) = corpus_report(str(tmp_path / "parts")).configs
    assert not config.passed


def test_a_part_of_the_recording_in_anothers_place(
    subject: Subject, ports: Subject, corpus: Path, reference: Path, tmp_path: Path
) -> None:
    held = Path(shutil.copytree(reference, tmp_path / "reference"))
    first, second, *_ = sorted(held.glob("*.parquet"))
    first.write_bytes(second.read_bytes())
    done = run_over(ports, corpus, tmp_path / "parts", reference=str(held), plan=Plan())
    (reason,) = done.missing.values()
    assert reason.startswith(f"{held}/{first.name}: damaged: it is of another run, or of another shard; make it anew")
    assert record(subject, corpus, held).made == 0
    assert record(subject, corpus, held, check=True).made == 1
    assert contents(held) == contents(reference)
    assert not run_over(ports, corpus, tmp_path / "parts", reference=str(held), plan=Plan()).missing


def test_a_recording_of_the_reference_signals_that_is_cut_off(
    subject: Subject, ports: Subject, corpus: Path, reference: Path, tmp_path: Path
) -> None:
    held = Path(shutil.copytree(reference, tmp_path / "reference"))
    (signals,) = held.glob("*signals*")
    signals.write_bytes(signals.read_bytes()[:-100])
    with pytest.raises(
        InputError,
        match=rf"{signals.name}: damaged, or cut off; make it anew by .* with `check`",
    ):
        run_over(ports, corpus, tmp_path / "parts", reference=str(held), plan=Plan())
    assert record(subject, corpus, held, check=True).made == 1
    assert contents(held) == contents(reference)


def test_weights_of_another_model(ports: Subject, corpus: Path, reference: Path, tmp_path: Path) -> None:
    from tests.support.bundles import make_tiny

    from aves_verify.subjects.subject import of_bundle

    other = dataclasses.replace(of_bundle(make_tiny(tmp_path / "other", seed=7).folder), fairseq=None)
    done = run_over(other, corpus, tmp_path / "parts", reference=str(reference), plan=Plan())
    assert "was recorded from other weights than those of" in done.stopped
    assert ports.name
