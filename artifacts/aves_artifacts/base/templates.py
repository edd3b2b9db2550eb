"""Filling templates so that nothing that is filled in becomes markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aves_artifacts.base.messages import escaped


def fill_markdown(package: str, name: str, /, **holes: Any) -> str:
    """Fill a Markdown template. What comes from outside is escaped before, by ``without_markup`` or ``code``."""
    from jinja2 import Environment

    environment = Environment(**_options(package), keep_trailing_newline=True)  # noqa: S701 - Markdown
    return environment.get_template(name).render(holes)


def fill_html(package: str, name: str, filters: Mapping[str, Callable[..., Any]], /, **holes: Any) -> str:
    """Fill an HTML template; every text is escaped, and its control characters are spelled out."""
    from jinja2 import Environment

    environment = Environment(
        **_options(package), autoescape=True, finalize=lambda value: escaped(value) if type(value) is str else value
    )
    environment.filters |= filters
    return environment.get_template(name).render(holes)


def _options(package: str) -> dict[str, Any]:
    from jinja2 import PackageLoader, StrictUndefined

    loader = PackageLoader(package, "")
    return {"loader": loader, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
