import dataclasses
import json
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.file_record import FileRecord
from aves_artifacts.bundle.manifest import FILE_NAMES, SCHEMA, Manifest, ReportRecord, Role

HASH = "0" * 64
ENTRY = {
    "source": "a",
    "target": "b",
    "action": "mapped",
    "reason": "",
    "shape": [2],
    "dtype": "float32",
    "sha256": HASH,
}
DROPPED = ENTRY | {"target": None, "action": "dropped", "reason": "ö: not needed"}


def a_manifest(**entries: Any) -> Manifest:
    roles: tuple[Role, ...] = ("torchaudio", "config", "safetensors", "onnx", "card")
    given: dict[str, Any] = {
        "name": "x",
        "files": {role: FileRecord(FILE_NAMES[role].format(name="x"), 1, HASH) for role in roles},
        "source": {
            "name": "x.pt",
            "size": 1,
            "sha256": HASH,
            "model_class": "hubert",
            "num_updates": None,
            "stand_in": False,
        },
        "encoder": {
            "sample_rate": 16_000,
            "normalize": False,
            "hop": 320,
            "receptive_field": 400,
            "dimension": 768,
            "layers": 12,
        },
        "config": {},
        "ledger": (ENTRY, DROPPED),
        "versions": {"aves-ports": "0.1.0", "python": "3.11.7", "torch": "2.8.0"},
        "citation": 'A "quoted" title, \\ and "ledger": []',
    }
    return Manifest(**given | entries)


@pytest.mark.parametrize(
    "manifest",
    [
        a_manifest(),
        a_manifest(report=ReportRecord("report.json", 3, HASH, passed=True), licence="MIT"),
        a_manifest(files=a_manifest().files | {"onnx_data": FileRecord("x.onnx.data", 5, HASH)}),
    ],
)
def test_a_manifest_survives_writing_and_reading(manifest: Manifest) -> None:
    text = manifest.to_json()
    again = Manifest.from_json(text, where="manifest.json")
    assert again == manifest
    assert again.to_json() == text


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
]


@pytest.mark.parametrize(("change", "message"), DAMAGED)
def test_a_damaged_manifest_is_refused(change: Any, message: str) -> None:
    entries = json.loads(a_manifest().to_json())
    change(entries)
    with pytest.raises(InputError, match=message) as caught:
        Manifest.from_json(json.dumps(entries), where="manifest.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"x"', "[" * 100_000, "1" * 5000])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^manifest\.json: "):
        Manifest.from_json(text, where="manifest.json")
