"""The documentation as a site: it builds without a warning, no link leads nowhere, nothing comes from other hosts."""

import html
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from tests.support import browser

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    # not --quiet: warnings that are not logged are not counted either
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.links += [given[name] for name in ("href", "src") if name in given]
        self.anchors |= {given[name] for name in ("id", "name") if name in given}


def broken(site: Path) -> Iterator[str]:
    """Links inside the site that lead to no file, or to no place in it."""
    pages = {path: _Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            target = target / "index.html" if target.is_dir() else target
            fragment = unquote(address.fragment)
            known = target in pages and (not fragment or fragment in pages[target].anchors | {"__top"})
            if not (known or (target.is_file() and target not in pages)):
                yield f"{path.relative_to(site)}: {link}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("site")
    done = build(ROOT, place)
    assert done.returncode == 0, done.stderr
    return place


def test_no_link_of_the_site_leads_nowhere(site: Path) -> None:
    assert list(broken(site)) == []
    assert len(list(site.rglob("*.html"))) > 12


def test_the_checker_finds_links_that_do(site: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(site, tmp_path / "site")
    page = copy / "read-a-report" / "index.html"
    page.write_text(page.read_text() + '<a href="../gone/">x</a><a href="#gone">y</a><img src="../gone.png">')
    assert [line.split()[1] for line in broken(copy)] == ["../gone/", "#gone", "../gone.png"]


@pytest.mark.parametrize(
    "wrong",
    ["[x](gone.md)", "[x](bundles.md#gone)", "[x](../gone.md)", "```mermaid\nflowchart TB\n  a --> b\n```"],
)
def test_a_wrong_page_fails_the_build(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "docs" / "site", tmp_path / "docs" / "site")
    settings = (ROOT / "mkdocs.yml").read_text()
    bare = re.sub(r"(?ms)^nav:.*?(?=^exclude_docs)|^  - mkdocstrings:.*?(?=^markdown)", "", settings)
    (tmp_path / "mkdocs.yml").write_text(bare)
    (tmp_path / "docs" / "bundles.md").write_text("# Bundles\n")
    (tmp_path / "docs" / "index.md").write_text("# Good\n\n[x](bundles.md#bundles)\n")
    assert build(tmp_path, tmp_path / "site").returncode == 0
    (tmp_path / "docs" / "index.md").write_text(f"# Wrong\n\n{wrong}\n")
    assert build(tmp_path, tmp_path / "site").returncode != 0


def test_links_of_the_markdown_lead_to_files_on_github_too() -> None:
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for token in MarkdownIt().enable("table").parse(path.read_text()):
            for child in token.children or ():
                link = child.attrGet("href") or child.attrGet("src")
                if link and not urlsplit(str(link)).scheme:
                    target = urlsplit(str(link)).path
                    assert not target or (path.parent / target).exists(), f"{path.name}: {link}"


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """What a browser would fetch from another host to show a page; links that a reader follows are none of it."""
    for path in sorted(site.rglob("*")):
        text = path.read_text() if path.suffix in (".html", ".css", ".svg") else ""
        found = [*_Loads(text).addresses] if path.suffix == ".html" else []
        found += re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""", text)
        for address in found:
            if urlsplit(address).netloc:
                yield f"{path.relative_to(site)}: {address}"


class _Loads(HTMLParser):
    """The addresses in a page that a browser loads by itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        names = ["src", "srcset", "data", "poster"]
        if tag in ("link", "use", "image") and given.get("rel") != "canonical":
            names += ["href", "xlink:href"]
        self.addresses += [given[name] for name in names if name in given]


def test_the_site_loads_nothing_from_other_hosts(site: Path) -> None:
    assert list(loaded_from_elsewhere(site)) == []


@pytest.mark.parametrize(
    "planted",
    [
        '<script src="https://example.org/x.js"></script>',
        '<link rel="stylesheet" href="//example.org/x.css">',
        '<img src="https://example.org/x.png">',
        "<style>p{background:url(https://example.org/x.png)}</style>",
        '<style>@import "https://example.org/x.css";</style>',
    ],
)
def test_what_comes_from_another_host_is_found(planted: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f'<a href="https://example.org">a link</a>{planted}')
    (found,) = loaded_from_elsewhere(tmp_path)
    assert "//example.org/x" in found


@pytest.mark.browser
def test_a_browser_asks_no_other_host(site: Path, tmp_path: Path) -> None:
    """Scripts of the theme hold addresses of scripts that they load when a page needs them: none of ours does."""
    from selenium.webdriver.support.wait import WebDriverWait

    browser.need()
    pages = sorted(site.rglob("*.html"))
    planted = tmp_path / "site" / "structure" / "index.html"
    shutil.copytree(site, tmp_path / "site")
    planted.write_text(planted.read_text().replace('<svg class="diagram"', '<pre class="mermaid">a</pre><svg'))
    with browser.opened(tmp_path / "profile") as driver:
        for page in pages:
            driver.get(page.as_uri())
        asked = browser.requests(driver)
        assert len([address for address in asked if address.startswith("file:")]) > 2 * len(pages)
        assert [address for address in asked if urlsplit(address).scheme in ("http", "https")] == []
        driver.get(planted.as_uri())
        WebDriverWait(driver, 20).until(
            lambda driver: "https://unpkg.com/mermaid" in " ".join(browser.requests(driver))
        )


@pytest.mark.parametrize("face", ["aves_artifacts", "aves_convert", "aves_verify"])
def test_the_page_of_a_face_has_every_name_with_its_docstring(face: str, site: Path) -> None:
    text = (site / "api" / face.removeprefix("aves_") / "index.html").read_text()
    words = html.unescape(re.sub(r"<[^>]+>", "", text))
    module = importlib.import_module(face)
    for name in module.__all__:
        said = str(getattr(module, name).__doc__).strip().splitlines()[0].replace("`", "")
        assert f'id="{face}.{name}"' in text, name
        assert said in words, name
