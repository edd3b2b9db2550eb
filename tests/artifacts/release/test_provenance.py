"""The provenance statement, field by field as the specifications have them, and its signature, checked by openssl."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.support.bundles import NAME

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.files.file_record import FileRecord
from aves_artifacts.release.gate import Verified
from aves_artifacts.release.provenance import opened, provenance, read_public_key, read_signer, read_statement

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FILES = [FileRecord("a/b", 1, "0" * 64), FileRecord("c", 2, "1" * 64)]


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


def test_the_statement_has_what_the_specifications_ask_for(passed: Verified) -> None:
    # https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance
    statement = json.loads(provenance([passed], "1.0", FILES, None))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": f.name, "digest": {"sha256": f.sha256}} for f in FILES]
    definition = statement["predicate"]["buildDefinition"]
    assert set(definition) == {"buildType", "externalParameters", "resolvedDependencies"}
    assert definition["externalParameters"] == {
        "version": "1.0",
        "configurations": [NAME],
        "standIns": [NAME],
        "waived": [],
    }
    source = passed.bundle.manifest.source
    assert definition["resolvedDependencies"][0] == {"name": source.name, "digest": {"sha256": source.sha256}}
    uris = [dependency["uri"] for dependency in definition["resolvedDependencies"][1:]]
    assert f"pkg:pypi/onnx@{passed.bundle.manifest.versions['onnx'].replace('+', '%2B')}" in uris
    assert set(statement["predicate"]["runDetails"]) == {"builder"}
    assert statement["predicate"]["runDetails"]["builder"]["id"].startswith("pkg:generic/aves-ports@")


def test_on_github_the_workflow_is_the_builder(passed: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = "owner/repo/.github/workflows/release.yml@refs/tags/v1"
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "owner/repo",
        "GITHUB_REF": "refs/tags/v1",
        "GITHUB_SHA": "f" * 40,
        "GITHUB_WORKFLOW_REF": workflow,
    }.items():
        monkeypatch.setenv(name, value)
    predicate = json.loads(provenance([passed], "1.0", FILES, None))["predicate"]
    assert predicate["runDetails"]["builder"]["id"] == f"https://github.com/{workflow}"
    assert predicate["buildDefinition"]["resolvedDependencies"][-1] == {
        "uri": "git+https://github.com/owner/repo@refs/tags/v1",
        "digest": {"gitCommit": "f" * 40},
    }


def test_half_of_the_variables_of_github_name_no_workflow(passed: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is given some of them."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKFLOW_REF", raising=False)
    predicate = json.loads(provenance([passed], "1.0", FILES, None))["predicate"]
    assert predicate["runDetails"]["builder"]["id"].startswith("pkg:generic/aves-ports@")


def test_a_statement_reads_back(passed: Verified) -> None:
    found = read_statement(provenance([passed], "1.0", FILES, None))
    assert (found.version, found.subjects) == ("1.0", {f.name: f.sha256 for f in FILES})


def test_a_signed_statement_opens_with_its_key_alone(passed: Verified) -> None:
    text = provenance([passed], "1.0", FILES, KEY)
    assert text == provenance([passed], "1.0", FILES, KEY)  # a repeated run publishes the same bytes
    assert text.count("\n") == 1
    assert opened(text, KEY.public_key()) == opened(text, None)
    assert read_statement(opened(text, KEY.public_key())).version == "1.0"
    with pytest.raises(DoesNotHoldError, match="not signed by the key that was given"):
        opened(text, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("part", ["payload", "sig"])
def test_one_bit_of_payload_or_signature_is_enough(passed: Verified, part: str) -> None:
    envelope = json.loads(provenance([passed], "1.0", FILES, KEY))
    place = envelope if part == "payload" else envelope["signatures"][0]
    content = bytearray(base64.b64decode(place[part]))
    content[-2] ^= 1
    place[part] = base64.b64encode(content).decode()
    with pytest.raises(DoesNotHoldError, match="not signed by the key"):
        opened(json.dumps(envelope), KEY.public_key())


def test_the_key_counts_and_not_the_name_that_an_envelope_gives_it(passed: Verified) -> None:
    envelope = json.loads(provenance([passed], "1.0", FILES, KEY))
    envelope["signatures"][0]["keyid"] = "some other tool's name for it"
    opened(json.dumps(envelope), KEY.public_key())


def test_openssl_accepts_the_signature(passed: Verified, tmp_path: Path) -> None:
    assert shutil.which("openssl")
    envelope = json.loads(provenance([passed], "1.0", FILES, KEY))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    # https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    (tmp_path / "signed").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(public)
    files = ["-pubin", "-inkey", tmp_path / "key", "-sigfile", tmp_path / "signature", "-in", tmp_path / "signed"]
    ended = subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", *files], capture_output=True, check=False)
    assert ended.returncode == 0, ended


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"payload": "", "payloadType": "x", "signatures": []}', '{"payload": 1, "signatures": 2}'],
)
def test_what_is_no_envelope_does_not_hold(text: str) -> None:
    with pytest.raises(DoesNotHoldError, match="no signed statement"):
        opened(text, KEY.public_key())


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("_type"),
        lambda s: s.pop("subject"),
        lambda s: s.update(subject=[{"name": "a"}]),
        lambda s: s.update(predicateType="https://example.org"),
        lambda s: s.update(predicate={"buildDefinition": 1}),
        lambda s: s["predicate"]["buildDefinition"]["externalParameters"].pop("version"),
    ],
)
def test_what_is_no_provenance_does_not_hold(passed: Verified, change) -> None:  # type: ignore[no-untyped-def]
    statement = json.loads(provenance([passed], "1.0", FILES, None))
    change(statement)
    with pytest.raises(DoesNotHoldError, match="no provenance statement"):
        read_statement(json.dumps(statement))


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", "[" * 100_000])
def test_what_is_no_statement_does_not_hold(text: str) -> None:
    with pytest.raises(DoesNotHoldError, match="no provenance statement"):
        read_statement(text)


def test_keys_are_read_as_openssl_writes_them(tmp_path: Path) -> None:
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key"]
    subprocess.run(command, check=True, capture_output=True)
    made = subprocess.run(["openssl", "pkey", "-in", tmp_path / "key", "-pubout"], check=True, capture_output=True)
    (tmp_path / "public").write_bytes(made.stdout)
    public = read_signer(tmp_path / "key").public_key()
    assert public == read_public_key(tmp_path / "public")


def test_other_keys_are_refused(tmp_path: Path) -> None:
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {
        "locked": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        "curve": ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
        "text": b"no key",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="expected an Ed25519 private key in PEM, without password"):
            read_signer(tmp_path / name)
    (tmp_path / "private").write_bytes(private)
    with pytest.raises(InputError, match="expected an Ed25519 public key in PEM"):
        read_public_key(tmp_path / "private")
    for read in (read_signer, read_public_key):
        with pytest.raises(InputError, match="cannot read the key"):
            read(tmp_path / "nowhere")
