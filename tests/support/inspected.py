"""Files to inspect, and the command that does."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from tests.support.stand_ins import TINY

from aves_convert.cli import main
from aves_convert.conversion.stand_in import checkpoint_contents
from aves_convert.inspection.finding import Inspection
from aves_convert.torch_files.writer import write_torch_file


def written(path: Path, model: dict[str, Any], **changes: Any) -> Path:
    """A tiny checkpoint whose model has these entries; ``changes`` replace what else is in it."""
    write_torch_file({**checkpoint_contents({**TINY, **model}, seed="test"), **changes}, path)
    return path


def command(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["inspect", str(path), *options])


def assert_usable(found: Inspection, kind: str) -> None:
    assert (found.kind, found.problems) == (kind, ())
    json.loads(found.to_json())
