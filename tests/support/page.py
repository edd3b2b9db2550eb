"""A page of HTML as a test reads it."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser


class Page(HTMLParser):
    """Every tag with its attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as the base class has it
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        self.text += data

    def repeated(self) -> list[str]:
        """Identities that more than one element has."""
        return [name for name, count in self._identities().items() if count > 1]

    def dangling(self) -> list[str]:
        """What is referred to, and is not there."""
        found = self._identities()
        referred = [name for _, attributes in self.tags for name in _referred(attributes)]
        return [name for name in referred if name not in found]

    def _identities(self) -> Counter[str]:
        return Counter(a["id"] or "" for _, a in self.tags if "id" in a)


def _referred(attributes: dict[str, str | None]) -> list[str]:
    links = [attributes.get(name) or "" for name in ("href", "xlink:href")]
    named = [attributes[name] or "" for name in ("aria-labelledby", "aria-describedby") if name in attributes]
    return [
        *(link[1:] for link in links if link.startswith("#")),
        *named,
        *re.findall(r"url\(#([^)]*)\)", attributes.get("clip-path") or ""),
    ]
