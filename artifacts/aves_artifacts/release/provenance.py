"""Stating and signing where a release comes from: an in-toto statement with SLSA's provenance.

Statement: https://in-toto.io/Statement/v1. Predicate: https://slsa.dev/provenance/v1. Signed, it is wrapped into a DSSE
envelope. in-toto's own classes hold the first two and refuse what they do not have, securesystemslib makes the third:
both belong to the projects that wrote the specifications.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.base.messages import reason_of
from aves_artifacts.base.versions import own_version
from aves_artifacts.files.documents import parse_json, read_file
from aves_artifacts.files.file_record import FileRecord
from aves_artifacts.release.gate import Verified

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

Signer: TypeAlias = "Ed25519PrivateKey"
PublicKey: TypeAlias = "Ed25519PublicKey"

STATEMENT = "provenance.intoto.json"  # a bare statement
SIGNED = "provenance.intoto.jsonl"  # one envelope
PREDICATE = "https://slsa.dev/provenance/v1"
PAYLOAD = "application/vnd.in-toto+json"


def provenance(bundles: Sequence[Verified], version: str, subjects: Sequence[FileRecord], signer: Signer | None) -> str:
    """Write the statement of what these files are and were made from, signed where there is a signer.

    It holds no time and no run's number: the same release has the same statement whenever it is made. Ed25519 gives the
    same signature for the same bytes, too.
    """
    statement = _statement(bundles, version, subjects)
    return statement + "\n" if signer is None else _envelope(statement, signer) + "\n"


@dataclass(frozen=True)
class Statement:
    """What was read from a provenance statement."""

    version: str
    subjects: Mapping[str, str]  # file's name -> SHA-256


def read_statement(text: str) -> Statement:
    """Parse a provenance statement. Raises DoesNotHoldError for anything else."""
    from google.protobuf import json_format  # type: ignore[import-untyped]
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement, statement_pb2

    try:
        document = parse_json(text)
        parsed = json_format.ParseDict(document, statement_pb2.Statement(), ignore_unknown_fields=True)
        statement.Statement.copy_from_pb(parsed).validate()
        if parsed.predicate_type != PREDICATE:
            raise ValueError(f"its predicate is {parsed.predicate_type}, expected {PREDICATE}")
        predicate = document["predicate"]
        json_format.ParseDict(predicate, provenance_pb2.Provenance(), ignore_unknown_fields=True)
        version = predicate["buildDefinition"]["externalParameters"]["version"]
    except (ValueError, KeyError, TypeError, json_format.Error) as error:
        raise DoesNotHoldError(f"no provenance statement: {reason_of(error)}") from None
    return Statement(str(version), {subject.name: subject.digest.get("sha256", "") for subject in parsed.subject})


def opened(text: str, key: PublicKey | None) -> str:
    """Take the statement out of its signed envelope; with ``key``, only where that key signed it.

    Raises DoesNotHoldError where it did not, and for anything else than an envelope.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    try:
        envelope = Envelope.from_dict(parse_json(text))
        statement = str(envelope.payload, "utf-8")
        if envelope.payload_type != PAYLOAD:
            raise ValueError(f"its payload is {envelope.payload_type}, expected {PAYLOAD}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DoesNotHoldError(f"no signed statement: {reason_of(error)}") from None
    if key is not None and not _signed_by(SSlibKey.from_crypto(key), envelope):
        raise DoesNotHoldError("it is not signed by the key that was given")
    return statement


def read_signer(path: Path) -> Signer:
    """Read an Ed25519 private key in PEM, without password. Raises InputError for anything else."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _read_key(path, partial(load_pem_private_key, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(
            f"{path}: expected an Ed25519 private key in PEM, without password; "
            "make one with: openssl genpkey -algorithm ed25519 -out KEY"
        )
    return key


def read_public_key(path: Path) -> PublicKey:
    """Read an Ed25519 public key in PEM. Raises InputError for anything else."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _read_key(path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(
            f"{path}: expected an Ed25519 public key in PEM; "
            "the signer gets it from the private one with: openssl pkey -in KEY -pubout"
        )
    return key


def _read_key(path: Path, load: Callable[[bytes], object]) -> object:
    """The key in a file; None where it holds none that can be loaded."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(read_file(path))
    except OSError as error:
        raise InputError(f"{path}: cannot read the key: {reason_of(error)}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password
        return None


def _signed_by(key: SSlibKey, envelope: Envelope) -> bool:
    from securesystemslib.exceptions import UnverifiedSignatureError
    from securesystemslib.signer import Signature

    for signature in envelope.signatures.values():
        # Not Envelope.verify, which looks at signatures under the key's own name alone. By the specification that name
        # is a hint, and others than securesystemslib choose another.
        try:
            key.verify_signature(Signature(key.keyid, signature.signature), envelope.pae())
        except UnverifiedSignatureError:
            continue
        return True
    return False


def _envelope(statement: str, signer: Signer) -> str:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    envelope = Envelope(statement.encode(), PAYLOAD, {})
    envelope.sign(CryptoSigner(signer))
    return json.dumps(envelope.to_dict(), sort_keys=True)


def _statement(bundles: Sequence[Verified], version: str, subjects: Sequence[FileRecord]) -> str:
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor

    predicate = json_format.ParseDict(_predicate(bundles, version), provenance_pb2.Provenance())
    described = [ResourceDescriptor(name=file.name, digest={"sha256": file.sha256}).pb for file in subjects]
    made = statement.Statement(described, PREDICATE, json_format.MessageToDict(predicate))
    made.validate()
    return json.dumps(json_format.MessageToDict(made.pb), sort_keys=True)


def _predicate(bundles: Sequence[Verified], version: str) -> dict[str, Any]:
    tool = own_version()
    return {
        "buildDefinition": {
            "buildType": f"pkg:generic/aves-ports@{tool}#docs/releasing.md",
            "externalParameters": {
                "version": version,
                "configurations": [bundle.name for bundle in bundles],
                "standIns": [bundle.name for bundle in bundles if bundle.is_stand_in],
                "waived": [
                    f"{bundle.name}: {waived.backend}, {waived.clip}, {waived.layer}: {waived.reason}"
                    for bundle in bundles
                    for waived in bundle.waived
                ],
            },
            "resolvedDependencies": [*_sources(bundles), *_packages(bundles), *_repository(os.environ)],
        },
        "runDetails": {"builder": {"id": _builder(os.environ, tool), "version": {"aves-ports": tool}}},
    }


def _sources(bundles: Sequence[Verified]) -> Iterator[dict[str, Any]]:
    """The checkpoints that the ports were made from."""
    for bundle in bundles:
        source = bundle.bundle.manifest.source
        for record in (source, source.pretrained):
            if record is not None:
                yield {"name": record.name, "digest": {"sha256": record.sha256}}


def _packages(bundles: Sequence[Verified]) -> Iterator[dict[str, Any]]:
    """What made them; a bundle can be older than another."""
    versions = {item for bundle in bundles for item in bundle.bundle.manifest.versions.items()}
    for package, version in sorted(versions):
        kind = "generic" if package in ("python", "aves-ports") else "pypi"
        yield {"uri": f"pkg:{kind}/{package}@{quote(version)}"}


def _repository(environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The commit of this project, where GitHub runs it."""
    if _on_github(environment):
        place = f"{environment['GITHUB_SERVER_URL']}/{environment['GITHUB_REPOSITORY']}"
        yield {"uri": f"git+{place}@{environment['GITHUB_REF']}", "digest": {"gitCommit": environment["GITHUB_SHA"]}}


def _builder(environment: Mapping[str, str], tool: str) -> str:
    """Who ran it: the workflow on GitHub, else nobody that could vouch for more than the signature does."""
    if _on_github(environment):
        return f"{environment['GITHUB_SERVER_URL']}/{environment['GITHUB_WORKFLOW_REF']}"
    return f"pkg:generic/aves-ports@{tool}"


def _on_github(environment: Mapping[str, str]) -> bool:
    """Whether its workflow runs this, and says which; containers in one are given only some of its variables."""
    names = ("SERVER_URL", "REPOSITORY", "REF", "SHA", "WORKFLOW_REF")
    return environment.get("GITHUB_ACTIONS") == "true" and all(environment.get(f"GITHUB_{name}") for name in names)
