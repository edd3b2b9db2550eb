"""docs/structure.md: what it shows of the code is the code's, and what it names is there."""

import re
from pathlib import Path

import pytest

import diagrams
import drawing

ROOT = Path(__file__).parents[2]
TEXT = diagrams.PAGE.read_text(encoding="utf-8")
ROOMS = """flowchart TB
  accTitle: Two & two
  subgraph upper
    a["one"]
    b["two"]
    c["three"]
  end
  subgraph lower
    d["four"]
  end
  a --> b
  a --> c
  b --> d
"""


def test_the_page_shows_the_rooms_as_they_are() -> None:
    assert diagrams.page(TEXT) == TEXT, "run: uvx nox -s docs"


def test_what_is_shown_wrongly_is_drawn_anew() -> None:
    right = diagrams.page(TEXT)
    wrong = right.replace(" --> ", " --- ").replace("| `pickles/` | ", "| `pickled/` | ")
    assert wrong.count("---") > right.count("---") + 10
    assert diagrams.page(wrong) == right
    with pytest.raises(ValueError, match="no place for the diagram"):
        diagrams.page(TEXT.replace("<!-- diagram -->", ""))


def test_every_room_and_package_is_in_the_diagram() -> None:
    shown = diagrams.diagram()
    for package, folder in diagrams.PACKAGES.items():
        places = (ROOT / folder / package).iterdir()
        there = {place.stem for place in places if place.suffix == ".py" or (place / "__init__.py").is_file()}
        assert set(diagrams.rooms(package)) == there - {"__init__"}
        assert all(f'{package}_{room}["{room}"]' in shown for room in there - {"__init__"})


def test_imports_go_one_way_in_the_diagram() -> None:
    order = [f"{package}.{room}" for package in diagrams.PACKAGES for room in diagrams.rooms(package)]
    arrows = diagrams.imports()
    assert len(arrows) > 50
    assert all(order.index(start) < order.index(end) for start, end in arrows)
    assert len(re.findall(" --> ", diagrams.diagram())) < len(arrows) / 2


def test_a_diagram_is_drawn_with_every_node_and_arrow() -> None:
    drawn = drawing.svg(ROOMS)
    assert re.findall(r"<text[^>]*>(\w+)</text>", drawn) == ["upper", "lower", "one", "two", "three", "four"]
    assert drawn.count("<title>Two &amp; two</title>") == 1
    ways = re.findall(r'<path d="(M[^"z]+)"/>', drawn)
    assert ways == ["M125 74L125 98", "M50 59C18 59 18 167 50 167", "M200 113C260 113 260 59 320 59"]
    assert "\n" not in drawn


@pytest.mark.parametrize("wrong", ["  a -.-> b\n", "  a --> gone\n", '    e["<b>"]\n', "sequenceDiagram\n"])
def test_what_cannot_be_drawn_is_an_error(wrong: str) -> None:
    with pytest.raises(ValueError, match="not drawn here"):
        drawing.svg(ROOMS + wrong)


def test_a_diagram_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="without nodes"):
        drawing.svg("flowchart TB\n")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./-]+(?:\.\w+|/))`", TEXT))))
def test_a_file_that_the_page_names_is_there(path: str) -> None:
    places = [ROOT, *(ROOT / folder / package for package, folder in diagrams.PACKAGES.items())]
    assert any((place / path).exists() for place in places), path


@pytest.mark.parametrize(("name", "path"), re.findall(r"`(_?[A-Za-z]+)` (?:or `\w+` )?in `([\w/]+\.py)`", TEXT))
def test_a_name_that_the_page_puts_into_a_file_is_in_it(name: str, path: str) -> None:
    (file,) = (
        found for package, folder in diagrams.PACKAGES.items() if (found := ROOT / folder / package / path).exists()
    )
    assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8"))
