"""What a document has that the published schema of reports does not describe."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator


def closed(schema: Any) -> Any:
    """The schema without room for entries that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(item) for name, item in schema.items()}
    return found if "properties" not in found else {"additionalProperties": False, **found}


def undescribed(document: Any) -> list[str]:
    """What of a document the schema refuses or does not name."""
    schema = json.loads((resources.files("aves_artifacts") / "schemas" / "report.schema.json").read_text())
    tolerance = schema["properties"]["tolerance"]
    del tolerance["allOf"]  # closed, it would refuse what is beside it
    return [
        f"{list(e.absolute_path)}: {e.message[:200]}"
        for e in Draft202012Validator(closed(schema)).iter_errors(document)
    ]
