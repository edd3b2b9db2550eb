"""Checking a release from its address: one that holds, and one for each way in which it does not."""

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.support.bundles import NAME, as_document, comparison, report_on
from tests.support.releases import make_reported
from tests.support.servers import misbehaving_server as bad
from tests.support.servers.misbehaving_server import Server
from tests.support.servers.misbehaving_server import serving as serving_http

from aves_artifacts.base.progress import Silent
from aves_artifacts.bundle.manifest import MANIFEST, REPORT
from aves_artifacts.bundle.report_document import read_report
from aves_artifacts.cli import main
from aves_artifacts.files.address import Address, open_address
from aves_artifacts.files.file_record import FileRecord, file_record
from aves_artifacts.release.check import check_release, read_index
from aves_artifacts.release.gate import Verified, Waived
from aves_artifacts.release.index import CLAIM, INDEX, claim_text
from aves_artifacts.release.provenance import provenance
from aves_artifacts.release.publishing import plan_upload, publish
from aves_artifacts.release.staging import NOTES, SUMS, stage

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="module")
def releases(passed: Verified, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with version 1 that is signed, and version 2 that is not."""
    place = tmp_path_factory.mktemp("releases")
    for version, signer in (("1", KEY), ("2", None)):
        release = stage([passed], version, tmp_path_factory.mktemp("documents"), signer)
        publish(plan_upload(release, open_address(str(place))), Silent())
    return place


@pytest.fixture
def signed(releases: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(releases / "1", tmp_path / "1"))


@pytest.fixture
def unsigned(releases: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(releases / "2", tmp_path / "2"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "public.pem"
    path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def check(url: object, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify-release", str(url), *map(str, arguments)])


def reindexed(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """Write sums and index anew for what is there, as somebody does who changes a release well."""
    index = json.loads((folder / INDEX).read_text())
    for pass_ in range(2):  # the sums are listed themselves
        for entry in index["files"]:
            content = (folder / entry["name"]).read_bytes()
            entry |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if pass_ == 0:
            lines = [f"{entry['sha256']}  {entry['name']}\n" for entry in index["files"] if entry["name"] != SUMS]
            (folder / SUMS).write_text("".join(lines))
    change(index)
    write_index(folder, index)


def write_index(folder: Path, index: dict[str, Any]) -> None:
    """And the claim that goes with it."""
    content = json.dumps(index).encode()
    (folder / INDEX).write_bytes(content)
    record = FileRecord(INDEX, len(content), hashlib.sha256(content).hexdigest())
    statement = (folder / index["statement"]).read_bytes()
    stated = FileRecord(index["statement"], len(statement), hashlib.sha256(statement).hexdigest())
    (folder / CLAIM).write_text(claim_text(index["version"], record, stated))


def test_a_signed_release_holds_with_its_key(signed: Path, key: Path) -> None:
    result = check(signed, "--key", key)
    assert result.exit_code == 0, result.output
    assert f"the provenance is signed by {key}" in result.output
    assert f"{NAME}: verified against the original; a stand-in, never trained" in result.output


def test_without_a_key_nobody_is_believed_to_vouch(signed: Path, unsigned: Path) -> None:
    assert "signed; by whom was not checked, which needs the signer's public key" in check(signed).output
    assert "not signed: nobody vouches for it but the address" in check(unsigned).output


def test_what_nobody_listed_is_told(signed: Path, key: Path) -> None:
    (signed / NAME / "more.onnx").write_bytes(b"x")
    (signed / "\x1b[2J.pt").write_bytes(b"x")
    (signed / ".hidden.partial").write_bytes(b"x")
    result = check(signed, "--key", key)
    assert result.exit_code == 1
    told = result.output.splitlines()[-2:]
    assert told == [
        f"{signed}: \\x1b[2J.pt is no file of this release: index.json does not list it",
        f"{signed}: {NAME}/more.onnx is no file of this release: index.json does not list it",
    ]


def test_a_release_at_the_address_of_another_version_does_not_hold(signed: Path, key: Path) -> None:
    moved = signed.rename(signed.with_name("2.0"))
    for url in (moved, f"file://{moved}/"):
        result = check(url, "--key", key)
        assert result.exit_code == 1
        assert "it is version 1, and lies at the address of '2.0'" in result.output


# --- with the folder that transformers loads


def with_folder(passed: Verified, address: Address, documents: Path) -> Address:
    release = stage([passed], "1", documents, KEY)
    outcome = publish(plan_upload(release, address), Silent())
    assert f"{NAME}/{NAME}.transformers/model.safetensors" in outcome.uploaded
    assert publish(plan_upload(release, address), Silent()).uploaded == ()
    return address.below("1")


def test_a_release_with_the_folder_for_transformers_holds(
    passed_with_folder: Verified, address: Address, tmp_path: Path
) -> None:
    """In a folder, at a server that speaks S3, in memory."""
    place = with_folder(passed_with_folder, address, tmp_path / "documents")
    listed = read_index(place)
    assert check_release(listed, place, Silent(), KEY.public_key()) == ()
    folder = passed_with_folder.bundle.folder / f"{NAME}.transformers"
    for path in folder.iterdir():
        assert place.read(f"{NAME}/{folder.name}/{path.name}") == path.read_bytes()


def test_damage_in_the_folder_for_transformers_is_told(passed_with_folder: Verified, tmp_path: Path) -> None:
    with_folder(passed_with_folder, open_address(str(tmp_path / "place")), tmp_path / "documents")
    result = check(tmp_path / "place" / "1")
    assert (result.exit_code, "verified against the original" in result.output) == (0, True)
    inner = tmp_path / "place" / "1" / NAME / f"{NAME}.transformers"
    (inner / "pytorch_model.bin").write_bytes(b"x")
    result = check(tmp_path / "place" / "1")
    assert f"{NAME}/{NAME}.transformers/pytorch_model.bin is no file of this release" in result.output
    (inner / "pytorch_model.bin").unlink()
    (inner / "config.json").write_bytes(b"{}")
    result = check(tmp_path / "place" / "1")
    assert result.exit_code == 1
    assert f"{NAME}/{NAME}.transformers/config.json is not the file that index.json lists" in result.output
    reindexed(tmp_path / "place" / "1")
    result = check(tmp_path / "place" / "1")
    assert f"{NAME}.transformers/config.json is not the file that manifest.json records" in result.output


def test_a_report_that_leaves_the_folder_out_does_not_hold(passed_with_folder: Verified, tmp_path: Path) -> None:
    with_folder(passed_with_folder, open_address(str(tmp_path / "place")), tmp_path / "documents")
    folder = tmp_path / "place" / "1" / NAME
    report = report_on(passed_with_folder.bundle.manifest, comparisons=[comparison("torchaudio"), comparison("onnx")])
    del report["configs"][0]["sha256"]["transformers"]
    (folder / REPORT).write_bytes(as_document(report))
    reindexed(tmp_path / "place" / "1")
    output = check(tmp_path / "place" / "1").output
    assert "the report does not cover transformers" in output
    assert "transformers was not compared" in output


Change = Callable[[dict[str, Any]], object]
WAIVED = {"backend": "onnx", "clip": "x", "layer": "final", "failure": "f", "reason": "none of ours"}
INDICES: dict[str, Change] = {
    "a waiver more": lambda index: index["configurations"][0]["waived"].append(WAIVED),
    "a file less": lambda index: index["files"].pop(0),
    "files in another order": lambda index: index["files"].reverse(),
    "a stand-in less": lambda index: index["configurations"][0].update(stand_in=False),
}


@pytest.mark.parametrize("change", INDICES.values(), ids=INDICES)
def test_a_signature_is_about_the_index(change: Change, signed: Path, key: Path) -> None:
    index = json.loads((signed / INDEX).read_text())
    change(index)
    write_index(signed, index)
    assert check(signed, "--key", key).exit_code == 1


def test_an_index_of_other_bytes_with_the_same_meaning_does_not_hold(signed: Path, key: Path) -> None:
    write_index(signed, json.loads((signed / INDEX).read_text()))
    result = check(signed, "--key", key)
    assert result.exit_code == 1
    assert "provenance.intoto.jsonl is not about index.json and the files that it lists" in result.output


def test_an_index_that_says_something_twice_does_not_hold(signed: Path, key: Path) -> None:
    text = (signed / INDEX).read_text()
    index = json.loads(text)
    write_index(signed, index | {"files": [*index["files"], index["files"][0]]})
    result = check(signed, "--key", key)
    assert (result.exit_code, "lists" in result.output, "twice" in result.output) == (1, True, True)
    (signed / INDEX).write_text(text.replace('"version"', '"version": "9", "version"'))
    result = check(signed, "--key", key)
    assert result.exit_code == 2
    assert "the key 'version' stands there twice" in result.output


def as_before(folder: Path, passed: Verified, signer: Ed25519PrivateKey | None) -> None:
    """Rewrite the documents as they were when the index listed the statement, and not the other way round."""
    index = json.loads((folder / INDEX).read_text())
    name = index.pop("statement")
    entries = [entry for entry in index["files"] if entry["name"] != SUMS]
    records = [FileRecord(**entry) for entry in entries]
    (folder / name).write_text(provenance([passed], index["version"], records, signer))
    stated = file_record(folder / name)
    entries.append(dataclasses.asdict(stated))
    (folder / SUMS).write_text("".join(f"{entry['sha256']}  {entry['name']}\n" for entry in entries))
    entries.append(dataclasses.asdict(file_record(folder / SUMS)))
    (folder / INDEX).write_text(json.dumps(index | {"schema": 1, "files": entries}))
    (folder / CLAIM).write_text(claim_text(index["version"], file_record(folder / INDEX), None))


def test_a_release_of_before_is_read_and_its_signature_not_taken_for_one(
    passed: Verified, signed: Path, unsigned: Path, key: Path
) -> None:
    as_before(signed, passed, KEY)
    as_before(unsigned, passed, None)
    for folder in (signed, unsigned):
        result = check(folder)
        assert result.exit_code == 0, result.output
    result = check(signed, "--key", key)
    assert result.exit_code == 1
    (told,) = [line for line in result.output.splitlines() if not line.startswith("reading ")]
    assert told.startswith(f"{signed}: it was signed by an older version of this tool, which did not sign index.json")


@pytest.mark.parametrize("name", [INDEX, CLAIM, NOTES, "provenance.intoto.jsonl"])
def test_a_pipe_is_not_waited_for(name: str, signed: Path) -> None:
    (signed / name).unlink()
    os.mkfifo(signed / name)
    result = check(signed)
    assert result.exit_code == 2
    assert f"{name}: cannot read: it is a pipe or a device" in result.output


def test_a_key_that_is_a_pipe_is_not_waited_for(signed: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = check(signed, "--key", tmp_path / "pipe")
    assert result.exit_code == 2
    assert "pipe: cannot read the key: it is a pipe or a device" in result.output


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """The files of a release over HTTP."""
    with serving_http() as server:
        for path in folder.rglob("*"):
            if path.is_file():
                server.files[f"/{folder.name}/{path.relative_to(folder)}"] = path.read_bytes()
        yield server


def test_of_a_file_no_more_is_read_than_the_index_lists(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad.Handler, "do_HEAD", lambda handler: handler.answer(405, b""))  # no size is told
    with served(signed) as server:
        server.always[f"/1/{NOTES}"] = bad.endless
        result = check(f"{server.address}/1")
        assert result.exit_code == 1
        assert f"{NOTES} is not the file that index.json lists" in result.output
        assert not server.endless


@pytest.mark.slow
@pytest.mark.parametrize("name", [INDEX, NOTES])
def test_a_server_that_sends_nearly_nothing_has_an_end(
    name: str, signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aves_artifacts.files.address._PATIENCE", 1.0)
    with served(signed) as server:
        server.always[f"/1/{name}"] = bad.trickle
        began = time.monotonic()
        result = check(f"{server.address}/1")
        assert time.monotonic() - began < 10
        assert result.exit_code == 2
        assert f"{name}: cannot read: no answer, or less than 1.05 MB, in 1 seconds" in result.output


def test_another_key_does_not_hold(signed: Path, tmp_path: Path) -> None:
    other = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "other").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    result = check(signed, "--key", tmp_path / "other")
    assert result.exit_code == 1
    assert "it is not signed by the key that was given" in result.output


def test_an_unsigned_release_does_not_hold_with_a_key(unsigned: Path, key: Path) -> None:
    result = check(unsigned, "--key", key)
    assert result.exit_code == 1
    assert "it is not signed" in result.output


def test_one_byte_in_any_file_is_enough(signed: Path) -> None:
    for path in sorted(path for path in signed.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        result = check(signed)
        assert result.exit_code in (1, 2), path
        assert str(path.relative_to(signed)) in result.output
        path.write_bytes(content)
    assert check(signed).exit_code == 0


def test_any_byte_of_the_index_is_enough(signed: Path) -> None:
    """Such as one in the name of the source, or one that means nothing to JSON."""
    whole = (signed / INDEX).read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        (signed / INDEX).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        result = check(signed)
        assert result.exit_code in (1, 2), place
        assert "index.json" in result.output
    (signed / INDEX).write_bytes(whole)
    (signed / CLAIM).unlink()
    assert f"{signed}: claim.json is missing" in check(signed).output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index["configurations"][0].update(source_sha256="0" * 64), "something else of its weights"),
        (lambda index: index["configurations"][0].update(name="other"), f"in {NAME}, which is no configuration of it"),
        (lambda index: index["configurations"].append(index["configurations"][0]), "has a configuration twice"),
    ],
)
def test_an_index_says_of_its_bundles_what_they_say(
    change: Callable[[dict[str, Any]], object], message: str, signed: Path, key: Path
) -> None:
    reindexed(signed, change)
    result = check(signed, "--key", key)
    assert result.exit_code == 1
    assert message in result.output


def test_a_file_that_is_missing_is_named(signed: Path) -> None:
    (signed / NAME / f"{NAME}.onnx").unlink()
    result = check(signed)
    assert (result.exit_code, result.output.splitlines()[-1]) == (1, f"{signed}: {NAME}/{NAME}.onnx is missing")


def test_a_signature_binds_what_the_index_lists(signed: Path, unsigned: Path, key: Path) -> None:
    (signed / NOTES).write_text("Better notes.")
    reindexed(signed)
    result = check(signed, "--key", key)
    assert result.exit_code == 1
    assert "provenance.intoto.jsonl is not about index.json and the files that it lists" in result.output
    (unsigned / NOTES).write_text("Better notes.")
    reindexed(unsigned)
    assert "provenance.intoto.json is not about index.json and the files that it lists" in check(unsigned).output


def test_a_signed_release_under_another_version_does_not_hold(signed: Path, key: Path) -> None:
    reindexed(signed, lambda index: index.update(version="9"))
    result = check(signed.rename(signed.with_name("9")), "--key", key)
    assert result.exit_code == 1
    assert "is about version 1, index.json about 9" in result.output


def test_sums_are_of_the_same_files(unsigned: Path) -> None:
    sums = unsigned / SUMS
    sums.write_text(sums.read_text().replace("RELEASE.md", "release.md"))
    index = json.loads((unsigned / INDEX).read_text())
    content = sums.read_bytes()
    index["files"][-1] |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    write_index(unsigned, index)
    result = check(unsigned)
    assert result.exit_code == 1
    assert "SHA256SUMS does not list the files of index.json" in result.output


def test_a_report_on_other_files_does_not_hold(passed: Verified, unsigned: Path) -> None:
    report = report_on(passed.bundle.manifest)
    report["configs"][0]["sha256"]["onnx"] = "0" * 64
    (unsigned / NAME / REPORT).write_bytes(as_document(report))
    reindexed(unsigned)
    output = check(unsigned).output
    assert "the report is about another onnx file" in output
    assert "report.json is not the file that manifest.json records" in output


def test_a_failure_that_the_index_does_not_waive_does_not_hold(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    comparisons = [comparison("torchaudio"), comparison("onnx", status="fail", reason="too far")]
    made = make_reported(tmp_path / "bundle", passed=False, comparisons=comparisons)
    waived = Waived("onnx", "chirp", "final", "too far", "known")
    failing = Verified(made, read_report(made.folder / REPORT), (waived,))
    release = stage([failing], "3", tmp_path_factory.mktemp("documents"))
    publish(plan_upload(release, open_address(str(tmp_path / "place"))), Silent())
    place = tmp_path / "place" / "3"
    result = check(place)
    assert result.exit_code == 0, result.output
    assert f"{NAME}: verified against the original; a stand-in, never trained; 1 failures waived" in result.output
    reindexed(place, lambda index: index["configurations"][0].update(waived=[]))
    result = check(place)
    assert result.exit_code == 1
    assert f"{NAME}: onnx, chirp, final: too far" in result.output


def test_a_stand_in_cannot_pass_for_the_real_one(unsigned: Path) -> None:
    reindexed(unsigned, lambda index: index["configurations"][0].update(stand_in=False))
    result = check(unsigned)
    assert result.exit_code == 1
    assert f"{MANIFEST} is of {NAME}, or says something else of its weights" in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no release: index.json is not there"),
        (b"{", "cannot be read"),
        (b"{}", "not the index of a release"),
        (b'{"schema": 2}', "not the index of a release"),
        (b"\xff", "cannot be read"),
    ],
)
def test_what_is_no_release_is_told(unsigned: Path, content: bytes | None, message: str) -> None:
    (unsigned / INDEX).unlink()
    if content is not None:
        (unsigned / INDEX).write_bytes(content)
    result = check(unsigned)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b/c", ".x", "a//b"])
def test_an_index_names_files_of_its_own_folder_alone(unsigned: Path, name: str) -> None:
    index = json.loads((unsigned / INDEX).read_text())
    index["files"][0]["name"] = name
    (unsigned / INDEX).write_text(json.dumps(index))
    result = check(unsigned)
    assert result.exit_code == 2
    assert "files.0.name" in result.output


def test_a_release_is_checked_over_http(signed: Path, key: Path) -> None:
    with served(signed) as server:
        result = check(f"{server.address}/1", "--key", key)
        assert result.exit_code == 0, result.output
        assert "whether there are files that index.json does not list is not known" in result.output
        assert check(f"{server.address}/2").exit_code == 2


def test_the_command_publishes_and_signs(passed: Verified, tmp_path: Path, key: Path) -> None:
    private = tmp_path / "private.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    command = ["publish", str(passed.bundle.folder), str(tmp_path / "place"), "--version", "1", "--stand-in"]
    result = CliRunner().invoke(main, [*command, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "new; 11 files" in result.output
    assert not (tmp_path / "place").exists()
    result = CliRunner().invoke(main, [*command, "--sign-key", str(private)])
    assert result.exit_code == 0, result.output
    assert check(tmp_path / "place" / "1", "--key", key).exit_code == 0
    result = CliRunner().invoke(main, command)  # unsigned: another release
    assert result.exit_code == 2
    assert "published already, with other content" in result.output


def test_a_version_of_nothing_is_not_the_default(passed: Verified, tmp_path: Path) -> None:
    command = ["publish", str(passed.bundle.folder), str(tmp_path / "place"), "--stand-in", "--version", ""]
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, "Error: version ''" in result.output) == (2, True)
    assert not (tmp_path / "place").exists()


def test_a_bundle_in_the_place_of_the_address_is_left_alone(passed: Verified, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(passed.bundle.folder, tmp_path / "bundle"))
    before = sorted(folder.rglob("*"))
    result = CliRunner().invoke(main, ["publish", str(passed.bundle.folder), str(folder), "--stand-in"])
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "this is a bundle; after the bundles give the address" in result.output
    assert sorted(folder.rglob("*")) == before


def test_the_command_publishes_no_stand_in_unasked_and_nothing_that_changed(passed: Verified, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(passed.bundle.folder, tmp_path / "bundle"))
    command = ["publish", str(folder), str(tmp_path / "place"), "--version", "1"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "give --stand-in" in result.output
    (folder / f"{NAME}.onnx").write_bytes(b"x")
    result = CliRunner().invoke(main, [*command, "--stand-in"])
    assert result.exit_code == 1
    assert f"{NAME}.onnx is not the file that manifest.json records" in result.output
    assert not (tmp_path / "place").exists()
