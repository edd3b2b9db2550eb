"""Checking JSON documents against the schemas that this package publishes.

jsonschema rather than fastjsonschema: it knows the current draft, tells every error with its path, and executes no
generated code.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import TYPE_CHECKING, Literal

from aves_artifacts.base.messages import printable

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema = Literal["manifest.schema.json", "report.schema.json", "index.schema.json"]

_LONGEST = 200  # characters; a message quotes the value, which may be all of the document


def schema_problem(document: object, schema: Schema) -> str:
    """Tell what is wrong with a document, and at which entry; an empty text where it is valid."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(document))
    if error is None:
        return ""
    place = ".".join(map(str, error.absolute_path)) or "the whole document"
    return f"{printable(place, _LONGEST)}: {printable(error.message, _LONGEST)}"


@functools.cache
def _validator(schema: Schema) -> Validator:
    from jsonschema import Draft202012Validator

    text = resources.files("aves_artifacts").joinpath("schemas", schema).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))
