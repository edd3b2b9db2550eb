"""A release's index and claim: what is written is read again, and everything else is refused."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.documents import HASH

from aves_artifacts.base.errors import DoesNotHoldError, InputError
from aves_artifacts.files.file_record import FileRecord
from aves_artifacts.release.gate import Waived
from aves_artifacts.release.index import INDEX, Index, IndexedConfiguration, claim_text, is_claim
from aves_artifacts.release.provenance import SIGNED, STATEMENT

WAIVED = Waived("onnx", "offset", "final", 'too "far"', "known: ö")
OWLS = IndexedConfiguration("owls", stand_in=True, source_sha256=HASH, waived=(WAIVED,))
GULLS = IndexedConfiguration("gulls", stand_in=False, source_sha256=HASH, waived=())
FILES = {name: FileRecord(name, 7, HASH) for name in ("owls/owls.onnx", "RELEASE.md", "SHA256SUMS")}
MADE = Index("1.0", (OWLS, GULLS), FILES, STATEMENT)
RECORD = FileRecord(INDEX, 7, HASH)
STATED = FileRecord(STATEMENT, 9, HASH)


def test_an_index_survives_writing_and_reading() -> None:
    text = MADE.to_json()
    again = Index.from_json(text.encode(), where=INDEX)
    assert again == MADE
    assert again.to_json() == text
    assert again.size == 21
    assert not again.is_signed
    assert Index("1.0", (OWLS,), FILES, SIGNED).is_signed


def test_a_configuration_may_have_a_folder_for_transformers() -> None:
    name = "owls/owls.transformers/config.json"
    made = dataclasses.replace(MADE, files={**FILES, name: FileRecord(name, 7, HASH)})
    assert Index.from_json(made.to_json().encode(), where=INDEX) == made


def test_an_index_of_before_lists_its_statement() -> None:
    for name in (STATEMENT, SIGNED):
        entries = json.loads(MADE.to_json()) | {"schema": 1}
        del entries["statement"]
        entries["files"].append({"name": name, "size": 1, "sha256": HASH})
        found = Index.from_json(json.dumps(entries).encode(), where=INDEX)
        assert (found.schema, found.statement) == (1, name)
        with pytest.raises(InputError, match="not the index of a release"):
            Index.from_json(json.dumps(entries | {"schema": 2}).encode(), where=INDEX)
        with pytest.raises(InputError, match="not the index of a release"):
            Index.from_json(json.dumps(entries | {"statement": name}).encode(), where=INDEX)


def test_an_index_that_lists_a_file_twice_does_not_hold() -> None:
    entries = json.loads(MADE.to_json())
    entries["files"].append(entries["files"][1] | {"sha256": "f" * 64})
    with pytest.raises(DoesNotHoldError, match=r"^index\.json: lists RELEASE\.md twice$"):
        Index.from_json(json.dumps(entries).encode(), where=INDEX)


def test_an_index_is_laid_out_as_the_schema_says() -> None:
    assert json.loads(MADE.to_json()) == {
        "schema": 2,
        "version": "1.0",
        "configurations": [
            {
                "name": "owls",
                "stand_in": True,
                "source_sha256": HASH,
                "waived": [
                    {
                        "backend": "onnx",
                        "clip": "offset",
                        "layer": "final",
                        "failure": 'too "far"',
                        "reason": "known: ö",
                    }
                ],
            },
            {"name": "gulls", "stand_in": False, "source_sha256": HASH, "waived": []},
        ],
        "files": [{"name": name, "size": 7, "sha256": HASH} for name in FILES],
        "statement": "provenance.intoto.json",
    }
    assert MADE.to_json().startswith('{\n  "schema": 2,\n  "version": "1.0",\n  "configurations": [\n    {\n')
    assert "known: ö" in MADE.to_json()


DAMAGED: dict[str, tuple[Callable[[Any], object], str]] = {
    "another schema": (lambda i: i.update(schema=3), "schema: 3 is not one of"),
    "no version": (lambda i: i.pop("version"), "'version' is a required property"),
    "nothing in it": (lambda i: i.update(configurations=[]), "configurations: "),
    "no source": (lambda i: i["configurations"][0].pop("source_sha256"), r"configurations\.0: 'source_sha256' is a"),
    "a waiver without a reason": (
        lambda i: i["configurations"][0]["waived"][0].pop("reason"),
        "'reason' is a required",
    ),
    **{
        f"the path {path}": (lambda i, path=path: i["files"][0].update(name=path), r"files\.0\.name")
        for path in (
            "../x",
            "a/b/c",
            "a/.transformers/c",
            "a/b.transformers/../c",
            "a/b.transformers/",
            "/a/b",
            "a/b/c/d",
        )
    },
    "a statement of another name": (lambda i: i.update(statement="x.json"), "statement: "),
    "no size": (lambda i: i["files"][0].pop("size"), r"files\.0: 'size' is a required property"),
    "an unknown entry": (lambda i: i.update(colour="brown"), "'colour' was unexpected"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_what_the_schema_refuses_is_refused(damage: Callable[[Any], object], message: str) -> None:
    entries = json.loads(MADE.to_json())
    damage(entries)
    with pytest.raises(InputError, match=f"^index.json: not the index of a release: .*{message}"):
        Index.from_json(json.dumps(entries).encode(), where=INDEX)


@pytest.mark.parametrize("document", [b"", b"{", b"\xff", b'{"schema": 1, "schema": 1}'])
def test_what_is_no_json_is_refused(document: bytes) -> None:
    with pytest.raises(InputError, match=r"^index\.json: cannot be read: "):
        Index.from_json(document, where=INDEX)


def test_a_claim_names_its_index_however_it_is_laid_out() -> None:
    text = claim_text("1.0", RECORD, STATED)
    assert json.loads(text) == {
        "schema": 2,
        "version": "1.0",
        "index": {"size": 7, "sha256": HASH},
        "statement": {"name": STATEMENT, "size": 9, "sha256": HASH},
    }
    assert is_claim(text.encode(), "1.0", RECORD, STATED)
    assert is_claim(json.dumps(json.loads(text)).encode(), "1.0", RECORD, STATED)
    assert not is_claim(text.encode(), "1.1", RECORD, STATED)
    assert not is_claim(text.encode(), "1.0", FileRecord(INDEX, 8, HASH), STATED)
    assert not is_claim(text.encode(), "1.0", RECORD, FileRecord(STATEMENT, 9, "f" * 64))
    assert not is_claim(text.encode(), "1.0", RECORD, None)
    assert not is_claim(text.replace('"schema": 2', '"schema": 1').encode(), "1.0", RECORD, STATED)
    assert not is_claim(b"{", "1.0", RECORD, STATED)


def test_a_claim_of_before_names_the_index_alone() -> None:
    text = claim_text("1.0", RECORD, None)
    assert json.loads(text) == {"schema": 1, "version": "1.0", "index": {"size": 7, "sha256": HASH}}
    assert is_claim(text.encode(), "1.0", RECORD, None)
    assert not is_claim(text.encode(), "1.0", RECORD, STATED)
