import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from aves_artifacts.base.templates import fill_html, fill_markdown

HOSTILE = "<b>\x1b[2J\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "with_templates"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page").write_text("{% if true %}\n{{ text }}, {{ 2 | twice }}\n{% endif %}\n")
    (folder / "card").write_text("{% if true %}\n{{ text }}\n{% endif %}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "with_templates", raising=False)
    return "with_templates"


def test_html_escapes_whatever_it_is_given(package: str) -> None:
    page = fill_html(package, "page", {"twice": lambda number: 2 * number}, text=HOSTILE)
    assert page == "&lt;b&gt;\\x1b[2J\\n, 4\n"


def test_markdown_takes_text_as_the_caller_made_it(package: str) -> None:
    assert fill_markdown(package, "card", text="a **b**") == "a **b**\n"


def test_a_hole_that_is_not_filled_is_no_empty_text(package: str) -> None:
    with pytest.raises(UndefinedError):
        fill_markdown(package, "card")
    with pytest.raises(UndefinedError):
        fill_html(package, "page", {"twice": str})
