"""The files for whoever contributes, cites or reports: they parse, and say what the project's settings and code say."""

import re
import shlex
import sys
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.sessions import sessions

import diagrams

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_project() -> None:
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == PROJECT["name"]
    assert citation["version"] == metadata.version(PROJECT["name"])
    assert citation["license"] == PROJECT["license"]
    assert citation["abstract"] == PROJECT["description"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["message"]
    assert [author["name"] for author in citation["authors"]] == ["aves-ports developers"]
    (paper,) = citation["references"]
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2210.14493"}]
    assert paper["authors"] == [{"family-names": "Hagiwara", "given-names": "Masato"}]


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.y*ml", ".*.yaml", ".github/**/*.yml")
        for path in ROOT.glob(pattern)
    ],
)
def test_yaml_files_parse(path: str) -> None:
    assert isinstance(read(path), dict)


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one_that_a_code_host_shows(form: Path) -> None:
    content = read(str(form))
    assert {"name", "description", "body"} == set(content)
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["type"] in ("input", "textarea") and field["attributes"]["label"] for field in fields)


@pytest.mark.parametrize("name", ["file", "verification"])
def test_a_report_of_a_fault_asks_for_facts(name: str) -> None:
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8")
    assert "aves-convert inspect FILE --json" in text
    assert "aves-verify doctor --json" in text


def test_the_hooks_are_the_checks_of_the_session_lint() -> None:
    """With the versions of the group lint, from one place."""
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    wanted = re.findall(
        r"uv_run\(session, (.*?), (?:\*SOURCES, )?options", noxfile.partition("def lint")[2].partition("@nox")[0]
    )
    commands = [re.findall(r'"([^"]+)"', line) for line in wanted]
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = [shlex.split(hook["entry"]) for hook in repository["hooks"]]
    run = [entry[entry.index("--only-group") + 2 :] for entry in entries]
    assert all(entry[entry.index("--only-group") + 1] == "lint" for entry in entries)
    assert [hook[: 2 if hook[0] == "ruff" else 1] for hook in run] == [
        line[: 2 if line[0] == "ruff" else 1] for line in commands
    ]


def test_every_session_is_told_of() -> None:
    told = re.findall(r"^\| `(\w+)` \|.*\|.*\|$", CONTRIBUTING, flags=re.MULTILINE)
    assert set(told) == sessions()
    assert len(told) == len(set(told))


@pytest.mark.parametrize("package", diagrams.PACKAGES)
def test_the_order_of_rooms_is_told_as_it_is_checked(package: str) -> None:
    (told,) = re.findall(rf"^- `{package}`: ((?:`\w+`,?\s+)+)", CONTRIBUTING, flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", told) == diagrams.rooms(package)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_files_that_are_named_are_there(page: str) -> None:
    named = re.findall(
        r"`((?:artifacts|convert|verify|tests|docs|examples)/[\w./]+)`", (ROOT / page).read_text(encoding="utf-8")
    )
    assert named
    assert [path for path in named if not (ROOT / path).exists() and "graph/build.py" not in path] == []


@pytest.mark.parametrize("step", re.findall(r"(?m)^\d\. .*(?:\n   .*)*", CONTRIBUTING))
def test_a_step_names_tables_of_its_files(step: str) -> None:
    files = [ROOT / path for path in re.findall(r"`([\w/]+\.py)`", step)]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [name for name in re.findall(r"`(_?[A-Z][A-Z_]{4,})`", step) if not re.search(rf"\b{name}\b", text)] == []


def test_a_module_that_a_page_names_exists() -> None:
    """By its file's name, wherever it lies: a page that nobody reads again goes on about what is gone."""
    places = ("artifacts", "convert", "verify", "tests", "examples", "benchmarks", "docs/site")
    there = {path.name for place in places for path in (ROOT / place).rglob("*.py")} | {"noxfile.py"}
    pages = (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "noxfile.py")
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"\b[a-z_0-9]+\.py\b", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert [place for place in sorted(named) if place[1] not in there] == []


def test_no_error_without_words_is_a_traceback() -> None:
    """Of no words there is no first line; ``first_line`` then gives the error's name."""
    taken = re.compile(r"splitlines\(\)\[|split\(.\\n.\)\[")
    sources = [path for place in ("artifacts", "convert", "verify") for path in (ROOT / place).rglob("*.py")]
    assert len(sources) > 100
    assert [path.name for path in sources if taken.search(path.read_text(encoding="utf-8"))] == []


def test_the_schema_lies_where_the_page_says() -> None:
    page = (ROOT / "docs" / "bundles.md").read_text(encoding="utf-8")
    (parts,) = re.findall(r'resources\.files\("aves_artifacts"\) / "(\w+)" / "([\w.]+)"', page)
    assert resources.files("aves_artifacts").joinpath(*parts).is_file()


def test_the_changelog_has_its_form() -> None:
    headings = re.findall(r"^(#+) (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[:2] == [("#", "Changelog"), ("##", "Unreleased")]
    kinds = [text for level, text in headings if level == "###"]
    assert kinds
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
