"""What is verified: its files, whose hashes are known, and stand-ins that are made for the time of a run."""

import dataclasses
import tempfile
from pathlib import Path

import pytest

from aves_artifacts.configurations.catalog import catalog
from aves_convert.checkpoint.reading import read_checkpoint
from aves_convert.sounds.signals import reference_signals
from aves_verify.subjects.subject import Subject, stand_in_for
from aves_verify.verification.plan import Plan
from aves_verify.verification.verify import verify_subject

CLIPS = tuple(clip for clip in reference_signals() if clip.name in ("chirp", "shortest", "odd_frames"))


@pytest.mark.slow
def test_stand_ins_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with stand_in_for(catalog()["all"], geometry="tiny") as subject:
        report = verify_subject(subject, Plan(CLIPS))
        assert list(tmp_path.rglob("*.onnx"))
    assert not list(tmp_path.iterdir())
    assert report.passed
    assert (report.name, report.source) == ("all", "stand-in")


def test_a_subject_hashes_what_the_manifest_does_not_vouch_for(subject: Subject, tiny_checkpoint: Path) -> None:
    trusted = subject.sha256(("fairseq", "torchaudio", "onnx"))
    untrusted = dataclasses.replace(subject, known_sha256={}).sha256(("fairseq", "torchaudio", "onnx"))
    assert trusted == untrusted
    assert read_checkpoint(tiny_checkpoint).num_updates == 0
