"""What mkdocs needs beside Markdown: diagrams, drawn here, and files that pages link to outside docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))  # mkdocs imports hooks by their path

import drawing  # noqa: E402

_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_OUTSIDE = re.compile(r"\]\((\.\./[^)#]+)\)")  # GitHub shows what lies there, and a site has it not


def on_files(files: Files, config: Any) -> Files:
    """Take files that pages link to, but that lie outside docs/, into the site, under their names."""
    for page in list(files.documentation_pages()):
        for link in _OUTSIDE.findall(page.content_string):
            source = (ROOT / "docs" / page.src_uri).parent.joinpath(link).resolve()
            if source.is_file() and source.is_relative_to(ROOT) and files.get_file_from_path(source.name) is None:
                files.append(File.generated(config, source.name, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead such links to them, and draw the diagrams."""
    markdown = _OUTSIDE.sub(lambda found: f"]({_in_site(found[1])})", markdown)
    return _DIAGRAM.sub(lambda found: drawing.svg(found[1]), markdown)


def _in_site(link: str) -> str:
    """The link where the file is known; any other stays, and the build fails at it."""
    return Path(link).name if (ROOT / "docs" / link).resolve().is_file() else link
