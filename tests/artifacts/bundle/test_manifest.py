import dataclasses
import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.support.documents import BASE, DROPPED, HASH, MAPPED, SOURCE, a_manifest

from aves_artifacts.base.errors import InputError
from aves_artifacts.bundle.manifest import (
    FILE_NAMES,
    REPORT,
    SCHEMA,
    TRANSFORMERS,
    EncoderFacts,
    LedgerEntry,
    Manifest,
    ReportRecord,
    Role,
    SourceRecord,
    ending,
    stem_of,
)
from aves_artifacts.files.file_record import FileRecord

IN_FOLDER = {role: FileRecord(FILE_NAMES[role].format(name="x"), 1, HASH) for role in TRANSFORMERS}


@pytest.mark.parametrize(
    "manifest",
    [
        a_manifest(),
        a_manifest(report=ReportRecord("report.json", 3, HASH, passed=True), licence="MIT"),
        a_manifest(files={**a_manifest().files, "onnx_data": FileRecord("x.onnx.data", 5, HASH)}),
        a_manifest(source=dataclasses.replace(SOURCE, pretrained=FileRecord("y.pt", 7, HASH), num_updates=3)),
        a_manifest(source=dataclasses.replace(SOURCE, geometry="base", unknown_config={"model.new": "True"})),
        a_manifest(source=dataclasses.replace(SOURCE, format="transformers", model_class="HubertModel")),
        a_manifest(files={**a_manifest().files, **{role: IN_FOLDER[role] for role in TRANSFORMERS}}),
        a_manifest(config=dataclasses.replace(BASE, aux_num_out=32)),
        a_manifest(ledger=(MAPPED, DROPPED, LedgerEntry(None, "c", "created", "it is the identity", (), "float32"))),
    ],
)
def test_a_manifest_survives_writing_and_reading(manifest: Manifest) -> None:
    text = manifest.to_json()
    again = Manifest.from_json(text, where="manifest.json")
    assert again == manifest
    assert again.to_json() == text


TEXT, SIZES, COUNTS = st.text(max_size=20), st.integers(0, 2**53), st.integers(1, 2**53)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="./\\"), min_size=1, max_size=20)
RECORDS = st.builds(FileRecord, NAMES, SIZES, DIGESTS)
FOLDERS = st.just("") | NAMES.map(lambda name: f"{name}.transformers/")
INNER = st.builds("{}{}.{}".format, FOLDERS, st.text("abc_", min_size=1), st.sampled_from(["json", "safetensors"]))
OPTIONAL: dict[Role, Any] = {"heads": RECORDS, "onnx_data": RECORDS}
OPTIONAL |= dict.fromkeys(TRANSFORMERS, st.builds(FileRecord, INNER, SIZES, DIGESTS))
SHAPES = st.lists(SIZES, max_size=4).map(tuple)
MANIFESTS = st.builds(
    a_manifest,
    name=NAMES,
    files=st.fixed_dictionaries({role: RECORDS for role in FILE_NAMES if role not in OPTIONAL}, optional=OPTIONAL),
    source=st.builds(
        SourceRecord,
        NAMES,
        SIZES,
        DIGESTS,
        TEXT,
        st.none() | SIZES,
        st.booleans(),
        st.none() | RECORDS,
        format=st.sampled_from(["fairseq", "transformers"]),
    ),
    encoder=st.builds(EncoderFacts, COUNTS, st.booleans(), COUNTS, COUNTS, COUNTS, COUNTS),
    config=st.builds(dataclasses.replace, st.just(BASE), aux_num_out=st.none() | st.integers(1, 99)),
    ledger=st.lists(
        st.builds(
            LedgerEntry,
            st.none() | TEXT,
            st.none() | TEXT,
            st.sampled_from(["mapped", "dropped", "created"]),
            TEXT,
            SHAPES,
            TEXT,
            st.none() | DIGESTS,
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    versions=st.dictionaries(TEXT, NAMES, max_size=3).map(lambda more: more | dict(a_manifest().versions)),
    licence=TEXT,
    citation=TEXT,
    report=st.none() | st.builds(ReportRecord, st.just(REPORT), SIZES, DIGESTS, st.booleans()),
)


@given(MANIFESTS)
def test_whatever_the_schema_allows_survives(manifest: Manifest) -> None:
    text = manifest.to_json()
    again = Manifest.from_json(text, where="manifest.json")
    assert again == manifest
    assert again.to_json() == text


def test_the_bytes_are_those_of_before() -> None:
    """Manifests are compared byte for byte: order, spaces and letters are part of the contract."""
    text = a_manifest(ledger=(MAPPED,), licence="MIT").to_json()
    assert text.startswith('{\n  "schema": 2,\n  "name": "x",\n  "sha256": "')
    assert list(json.loads(text)) == [
        *("schema", "name", "sha256", "files", "source", "encoder", "config", "versions", "licence", "citation"),
        *("report", "ledger"),
    ]
    assert (
        """
  "source": {
    "name": "x.pt",
    "size": 1,
    "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
    "model_class": "hubert",
    "num_updates": null,
    "stand_in": false
  },
  "encoder": {
    "sample_rate": 16000,
    "normalize": false,
    "hop": 320,
    "receptive_field": 400,
    "dimension": 768,
    "layers": 12
  },
"""
        in text
    )
    assert text.endswith(
        '\n  "report": null,\n  "ledger": [\n    {"source": "a", "target": "b", "action": "mapped", "reason": "", '
        f'"shape": [2], "dtype": "float32", "sha256": "{HASH}"}}\n  ]\n}}\n'
    )


def test_the_ledger_has_one_line_for_each_entry() -> None:
    lines = a_manifest().to_json().splitlines()
    assert sum('"source": "a"' in line for line in lines) == 2


def test_the_manifest_has_its_own_hash() -> None:
    """As the schema describes it: of the text with nothing in its place."""
    import hashlib

    text = a_manifest().to_json()
    recorded = json.loads(text)["sha256"]
    assert hashlib.sha256(text.replace(recorded, "").encode()).hexdigest() == recorded
    other = dataclasses.replace(a_manifest(), licence="MIT").to_json()
    assert json.loads(other)["sha256"] != recorded


@pytest.mark.parametrize("name", ["manifest.schema.json", "report.schema.json", "index.schema.json"])
def test_the_schemas_are_schemas(name: str) -> None:
    text = resources.files("aves_artifacts").joinpath("schemas", name).read_text()
    Draft202012Validator.check_schema(json.loads(text))


def file(name: str) -> dict[str, Any]:
    return {"name": name, "size": 1, "sha256": HASH}


DAMAGED: list[tuple[Any, str]] = [
    (lambda m: m.update(schema=1), f"schema 1, expected {SCHEMA}: from another version.*make the bundle anew"),
    (lambda m: m.update(schema=SCHEMA + 1), f"schema {SCHEMA + 1}, expected"),
    (lambda m: m.pop("schema"), "schema None, expected"),
    (lambda m: m.pop("ledger"), "'ledger' is a required property"),
    (lambda m: m.update(ledger=[1]), r"ledger\.0: 1 is not of type 'object'"),
    (lambda m: m.update(ledger=[]), "ledger: "),
    (lambda m: m["ledger"][1].update(action="lost"), r"ledger\.1\.action: 'lost' is not one of"),
    (lambda m: m.update(files=7), "files: 7 is not of type 'object'"),
    (lambda m: m["files"].pop("onnx"), "files: 'onnx' is a required property"),
    (lambda m: m["files"].update(script={}), "'script' was unexpected"),
    (lambda m: m["files"]["onnx"].pop("size"), r"files\.onnx: 'size' is a required property"),
    (lambda m: m["files"]["onnx"].update(size="1"), r"files\.onnx\.size: '1' is not of type 'integer'"),
    (lambda m: m["files"]["onnx"].update(size=-1), r"files\.onnx\.size: -1"),
    (lambda m: m["files"]["onnx"].update(size=True), r"files\.onnx\.size: True"),
    (lambda m: m["files"]["onnx"].update(sha256="A" * 64), r"files\.onnx\.sha256"),
    *[
        (lambda m, name=name: m["files"]["onnx"].update(name=name), r"files\.onnx\.name")
        for name in ("../x.onnx", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\b", "a\x00b", 3)
    ],
    *[
        (lambda m, name=name: m["files"].update(transformers_config=file(name)), r"files\.transformers_config\.name")
        for name in (
            "../x.transformers/config.json",
            "/x.transformers/config.json",
            "x.transformers/../config.json",
            ".x.transformers/config.json",
            "x/config.json",
            "x.transformers/a/config.json",
            "x.transformers\\config.json",
            "x.transformers/.json",
            "x.transformers/config.py",
            "config.json/",
        )
    ],
    (lambda m: m["source"].update(format="owl"), r"source\.format: 'transformers' was expected"),
    (lambda m: m.update(report={}), "report: "),
    (lambda m: m.update(report={"name": "x", "size": 1, "sha256": HASH, "passed": True}), "report"),
    (lambda m: m.update(encoder=[]), r"encoder: \[\] is not of type 'object'"),
    (lambda m: m["encoder"].update(normalize="no"), r"encoder\.normalize: 'no' is not of type 'boolean'"),
    (lambda m: m["encoder"].update(hop=0), r"encoder\.hop: 0"),
    (lambda m: m.update(source=[]), "source: "),
    (lambda m: m["source"].update(sha256="0"), r"source\.sha256"),
    (lambda m: m.update(name=1), "name: 1 is not of type 'string'"),
    (lambda m: m.update(licence=None), "licence: None is not of type 'string'"),
    (lambda m: m.update(colour="brown"), "'colour' was unexpected"),
    (lambda m: m.update(versions={"torch": "2"}), "versions: "),
    (
        lambda m: m["config"].pop("encoder_embed_dim"),
        "manifest: config: .*missing entries: 'encoder_embed_dim'; make the b",
    ),
    (
        lambda m: m["config"].update(encoder_num_heads=7),
        "manifest: config: .*not divisible by encoder_num_heads 7; make",
    ),
]


@pytest.mark.parametrize(("change", "message"), DAMAGED)
def test_a_damaged_manifest_is_refused(change: Any, message: str) -> None:
    entries = json.loads(a_manifest().to_json())
    change(entries)
    with pytest.raises(InputError, match=message) as caught:
        Manifest.from_json(json.dumps(entries), where="manifest.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_every_problem_of_a_config_has_its_line() -> None:
    entries = json.loads(a_manifest().to_json())
    entries["config"] |= {"encoder_num_heads": 0, "encoder_dropout": 2}
    with pytest.raises(InputError) as caught:
        Manifest.from_json(json.dumps(entries), where="manifest.json")
    heads, dropout = caught.value.problems
    assert heads.startswith("manifest.json: not a bundle's manifest: config: ")
    assert "encoder_num_heads is 0" in heads
    assert "encoder_dropout is 2" in dropout


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"x"', "[" * 100_000, "1" * 5000])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^manifest\.json: "):
        Manifest.from_json(text, where="manifest.json")


@pytest.mark.parametrize("role", ["torchaudio", "config", "onnx"])
def test_a_files_name_tells_the_configurations(role: Role) -> None:
    assert stem_of(f"aves-base-bio{ending(role)}") == "aves-base-bio"
    assert FILE_NAMES[role].format(name="x.1") == f"x.1{ending(role)}"


def test_a_checkpoints_name_tells_it_too() -> None:
    assert (stem_of("aves-base-bio.pt"), stem_of("x.torchaudio.onnx"), stem_of("x")) == ("aves-base-bio", "x", "x")
