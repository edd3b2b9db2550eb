"""The documents of a release: index, sums, notes, claim."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.support.bundles import NAME

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.files.json_schema import schema_problem
from aves_artifacts.release.gate import Verified, Waived
from aves_artifacts.release.index import CLAIM, INDEX
from aves_artifacts.release.staging import NOTES, SUMS, Release, stage, usable_version


def other(passed: Verified, name: str) -> Verified:
    """Another encoder, as far as a release looks."""
    manifest = passed.bundle.manifest
    files = {**manifest.files, "torchaudio": dataclasses.replace(manifest.files["torchaudio"], sha256=name * 64)}
    manifest = dataclasses.replace(manifest, name=name, files=files)
    return dataclasses.replace(passed, bundle=dataclasses.replace(passed.bundle, manifest=manifest))


def read(release: Release, name: str) -> str:
    return next(file for file in (*release.files, release.index, release.claim) if file.name == name).source.read_text()


def test_the_index_lists_every_file_and_is_what_its_schema_says(passed: Verified, tmp_path: Path) -> None:
    release = stage([passed], "1.0", tmp_path)
    index = json.loads(read(release, INDEX))
    assert schema_problem(index, "index.schema.json") == ""
    assert [*(entry["name"] for entry in index["files"]), index["statement"]] == [file.name for file in release.files]
    on_disk = {f"{NAME}/{path.name}" for path in passed.bundle.folder.iterdir()}
    assert {file.name for file in release.files} == on_disk | {NOTES, SUMS, "provenance.intoto.json"}
    for file in release.files:
        content = file.source.read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    claim = json.loads(read(release, CLAIM))
    assert claim["index"]["sha256"] == release.index.sha256
    assert claim["statement"]["sha256"] == release.files[-1].sha256


def test_the_statement_is_about_every_file_and_the_index(passed: Verified, tmp_path: Path) -> None:
    release = stage([passed], "1.0", tmp_path)
    subjects = json.loads(read(release, "provenance.intoto.json"))["subject"]
    expected = {file.name: file.sha256 for file in (*release.files[:-1], release.index)}
    assert {subject["name"]: subject["digest"]["sha256"] for subject in subjects} == expected


def test_sha256sum_takes_the_sums(passed: Verified, tmp_path: Path) -> None:
    release = stage([passed], "1.0", tmp_path / "documents")
    for file in release.files:
        (tmp_path / "place" / file.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.source, tmp_path / "place" / file.name)
    command = ["sha256sum", "--check", "--strict", SUMS]
    ended = subprocess.run(command, cwd=tmp_path / "place", capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(": OK") == len(release.files) - 2


def test_the_folder_for_transformers_keeps_its_place(passed_with_folder: Verified, tmp_path: Path) -> None:
    release = stage([passed_with_folder], "1.0", tmp_path)
    inner = [file for file in release.files if ".transformers/" in file.name]
    assert [file.name.removeprefix(f"{NAME}/{NAME}.transformers/") for file in inner] == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    assert all(file.name in read(release, SUMS) and file.source.is_file() for file in inner)
    index = json.loads(read(release, INDEX))
    assert schema_problem(index, "index.schema.json") == ""
    subjects = json.loads(read(release, "provenance.intoto.json"))["subject"]
    for listed in (index["files"], subjects):
        assert {file.name for file in inner} < {entry["name"] for entry in listed}
    assert f"| {NAME} | 24 | transformers | pass |" in read(release, NOTES)


@pytest.mark.parametrize(
    "name", ["an owl.transformers/config.json", "x/../config.json", "x//config.json", "/config.json"]
)
def test_paths_that_are_no_part_of_an_address_are_refused(
    name: str, passed_with_folder: Verified, tmp_path: Path
) -> None:
    manifest = passed_with_folder.bundle.manifest
    record = dataclasses.replace(manifest.files["transformers_config"], name=name)
    manifest = dataclasses.replace(manifest, files={**manifest.files, "transformers_config": record})
    bundle = dataclasses.replace(passed_with_folder.bundle, manifest=manifest)
    with pytest.raises(InputError, match="cannot be part of an address"):
        stage([dataclasses.replace(passed_with_folder, bundle=bundle)], "1.0", tmp_path)


def test_the_same_bundles_give_the_same_bytes(passed: Verified, tmp_path: Path) -> None:
    releases = [stage([passed], "1.0", tmp_path / name) for name in ("a", "b")]
    assert releases[0].claim.sha256 == releases[1].claim.sha256
    assert stage([passed], "1.1", tmp_path / "c").claim.sha256 != releases[0].claim.sha256


def test_the_notes_tell_of_stand_ins_numbers_and_origin(passed: Verified, tmp_path: Path) -> None:
    notes = read(stage([passed], "1.0", tmp_path), NOTES)
    assert f"**{NAME}: seeded stand-in weights" in notes
    assert f"| {NAME} | 24 | onnx | pass | 1.0e-06 | 1.00000 | 1.00 | 0 |" in notes
    assert "Nothing: no comparison failed." in notes
    assert "This release is not signed." in notes
    assert passed.bundle.manifest.source.sha256 in notes
    assert "Cite" not in notes
    html = MarkdownIt("commonmark").enable("table").render(notes)
    assert html.count("<table>") == 2
    assert html.count("<h2>") == 4


def test_the_notes_of_trained_weights_cite_their_authors(passed: Verified, tmp_path: Path) -> None:
    source = dataclasses.replace(passed.bundle.manifest.source, stand_in=False)
    manifest = dataclasses.replace(passed.bundle.manifest, source=source, citation="A. Uthor")
    trained = dataclasses.replace(passed, bundle=dataclasses.replace(passed.bundle, manifest=manifest))
    notes = read(stage([trained], "1.0", tmp_path), NOTES)
    assert "stand-in" not in notes
    assert "Cite the authors of the models as: A. Uthor" in notes


def test_what_is_waived_stands_in_notes_and_index(passed: Verified, tmp_path: Path) -> None:
    waived = Waived("onnx", "a|clip", "final", "too `far`", "known: <b>harmless</b>")
    release = stage([dataclasses.replace(passed, waived=(waived,))], "1.0", tmp_path)
    notes = read(release, NOTES)
    assert rf"- {NAME}, onnx, `a|clip`, final: too \`far\`. Waived because: known: \<b\>harmless\</b\>" in notes
    assert "Nothing: no comparison failed." not in notes
    assert json.loads(read(release, INDEX))["configurations"][0]["waived"] == [dataclasses.asdict(waived)]


def test_drift_near_zero_is_told(passed: Verified, tmp_path: Path) -> None:
    config = passed.report.config
    comparisons = tuple(dataclasses.replace(c, status="near-zero drift") for c in config.comparisons)
    report = dataclasses.replace(passed.report, configs=(dataclasses.replace(config, comparisons=comparisons),))
    notes = read(stage([dataclasses.replace(passed, report=report)], "1.0", tmp_path), NOTES)
    assert f"- {NAME}: in 2 of 2 comparisons some elements near zero differ" in notes


@pytest.mark.parametrize("version", ["", "1/2", "..", "1 0", "-1", "é"])
def test_a_version_that_is_no_part_of_an_address_is_refused(passed: Verified, tmp_path: Path, version: str) -> None:
    with pytest.raises(InputError, match=f"version {version!r}: expected letters"):
        stage([passed], version, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_order_of_the_bundles_does_not_count(passed: Verified, tmp_path: Path) -> None:
    bundles = [passed, other(passed, "b"), other(passed, "0")]
    first = stage(bundles, "1.0", tmp_path / "first")
    again = stage(bundles[::-1], "1.0", tmp_path / "again")
    assert again.claim.sha256 == first.claim.sha256


def test_names_that_are_no_part_of_an_address_are_refused(passed: Verified, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name 'an owl' cannot be part of an address"):
        stage([other(passed, "an owl")], "1.0", tmp_path)


@pytest.mark.parametrize("name", ["index.json", "RELEASE.md", "sha256sums", "claim.json", "provenance.intoto.jsonl"])
def test_the_names_of_the_documents_are_taken(name: str, passed: Verified, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is that of a document of the release"):
        stage([other(passed, name)], "1.0", tmp_path)


def test_two_bundles_of_one_name_are_refused(passed: Verified, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"two bundles are called {NAME}"):
        stage([passed, passed], "1.0", tmp_path)


def test_two_encoders_with_the_same_weights_do_not_hold(passed: Verified, tmp_path: Path) -> None:
    manifest = dataclasses.replace(passed.bundle.manifest, name="b")
    twin = dataclasses.replace(passed, bundle=dataclasses.replace(passed.bundle, manifest=manifest))
    with pytest.raises(DoesNotHoldError, match=f"{NAME} and b have the same weights"):
        stage([passed, twin], "1.0", tmp_path)
    stage([passed, other(passed, "b")], "1.0", tmp_path)


def test_the_default_version_can_be_published(passed: Verified, tmp_path: Path) -> None:
    assert stage([passed], usable_version(None), tmp_path).version == usable_version(None)
