"""The page in a real browser: it renders, sorts, filters, and is readable on a phone and in the dark."""

import math
from pathlib import Path
from typing import Any

import pytest
from tests.support import browser, hand_made
from tests.support.contrast import CONTRAST

from aves_verify.report.html import to_html

pytestmark = pytest.mark.browser

KINDS = {"chirp": "pass", hand_made.HOSTILE: "drift", "noise": "fail", "b": "broken", "a long name " * 9: "pass"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = hand_made.config(kinds=KINDS, layers=2, problems=(hand_made.HOSTILE,), explained=True)
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html(hand_made.report(hand_made.config("core"), config)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(chromium: Any, address: str) -> Any:
    return browser.visit(chromium, address)


def column(page: Any, heading: str) -> list[float]:
    """The numbers of a column, from top to bottom; NaN where there is none."""
    values = page.execute_script(
        """
        const headings = [...document.querySelectorAll("#every thead th")];
        const at = headings.findIndex((h) => h.textContent.trim() === arguments[0]);
        return [...document.querySelectorAll("#every tbody tr")].map((row) => row.cells[at].dataset.v);
        """,
        heading,
    )
    return [float(value) if value else math.nan for value in values]


def button(page: Any, heading: str) -> Any:
    return page.find_element("xpath", f"//table[@id='every']//th[normalize-space()='{heading}']/button")


def direction(page: Any, heading: str) -> str:
    return str(
        page.find_element("xpath", f"//table[@id='every']//th[normalize-space()='{heading}']").get_attribute(
            "aria-sort"
        )
    )


def shown(page: Any) -> list[str]:
    rows = page.find_elements("css selector", "#every tbody tr")
    return [row.text for row in rows if row.is_displayed()]


def test_it_opens_without_errors_and_asks_for_nothing(page: Any, address: str) -> None:
    assert page.get_log("browser") == []
    asked = [url for url in browser.requests(page) if not url.startswith("data:")]
    assert asked == [address]
    assert page.find_element("tag name", "h1").text.endswith("Failed")
    assert page.title == "Failed: aves-verify"


def test_the_log_that_is_looked_at_would_show_an_error(page: Any) -> None:
    page.execute_script("const s = document.createElement('script'); s.textContent = '1'; document.body.append(s)")
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))


@pytest.mark.parametrize("heading", ["max |diff|", "error ratio", "max rel", "near zero", "min cosine"])
def test_a_click_on_a_heading_sorts_by_number(page: Any, heading: str) -> None:
    button(page, heading).click()
    assert direction(page, heading) == "descending"
    descending = column(page, heading)
    numbers = [value for value in descending if not math.isnan(value)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 1
    assert not any(math.isnan(value) for value in descending[: len(numbers)])  # what has no number comes last
    button(page, heading).click()
    assert direction(page, heading) == "ascending"
    ascending = column(page, heading)
    assert ascending[: len(numbers)] == sorted(numbers)
    assert page.find_elements("css selector", "#every th[aria-sort='descending']") == []


def test_the_keyboard_sorts_too(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    assert direction(page, "status") == "descending"  # what failed comes first
    assert shown(page)[0].startswith("✕ fail")
    button(page, "clip").send_keys(Keys.ENTER)
    assert direction(page, "clip") == "ascending"
    assert direction(page, "status") == "none"
    button(page, "clip").send_keys(Keys.SPACE)
    assert direction(page, "clip") == "descending"


def test_text_and_status_filter_rows(page: Any) -> None:
    from selenium.webdriver.support.select import Select

    every = len(shown(page))
    assert every == 4 + 2 * 3 * len(KINDS)
    field = page.find_element("id", "filter-text")
    field.send_keys("ONNX noise")
    found = shown(page)
    assert 0 < len(found) < every
    assert all("onnx" in row and "noise" in row for row in found)
    assert page.find_element("id", "shown").text == f"{len(found)} of {every} shown"
    field.clear()
    field.send_keys("script>|")
    assert len(shown(page)) == 2 * 3
    field.clear()
    field.send_keys(" ")
    Select(page.find_element("id", "filter-status")).select_by_visible_text("fail")
    assert len(shown(page)) == 2 * 3
    assert all(row.startswith("✕ fail") for row in shown(page))


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways(page: Any, width: int) -> None:
    browser.look(page, width=width)
    page.execute_script("document.querySelector('details').open = true")
    assert page.execute_script("return document.scrollingElement.scrollWidth <= innerWidth")
    assert page.execute_script("return innerWidth") == width
    box = page.find_element("css selector", ".scroll.tall")
    assert page.execute_script(
        "return arguments[0].scrollWidth > arguments[0].clientWidth", box
    )  # the table itself does


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_readable_in_light_and_dark(page: Any, dark: bool) -> None:
    browser.look(page, dark=dark)
    page.execute_script("document.querySelector('details').open = true")
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    contrast, text = page.execute_script(CONTRAST)
    assert contrast >= 4.5, text


def test_the_measure_of_contrast_finds_pale_text(page: Any) -> None:
    page.execute_script("document.querySelector('h2').style.color = 'rgb(150, 150, 150)'")
    assert page.execute_script(CONTRAST)[0] < 3


@pytest.mark.parametrize("width", [360, 1280])
def test_every_picture_is_there_with_a_text_alternative(page: Any, width: int) -> None:
    browser.look(page, width=width)
    pictures = page.find_elements("css selector", "svg")
    assert len(pictures) == 4 + 6  # without layers and stages in the first configuration
    for picture in pictures:
        assert picture.aria_role in ("img", "image")
        assert picture.accessible_name
        assert page.execute_script(
            "return document.getElementById(arguments[0].getAttribute('aria-describedby')).textContent.length > 40",
            picture,
        )
        assert picture.size["width"] >= 0.75 * min(width, 500)
        assert picture.size["height"] > 100
    sizes = page.execute_script(
        "return [...document.querySelectorAll('svg text')].map((t) => t.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 8  # pixels of a line: small, and still readable


def test_drawings_take_the_pages_colours(page: Any) -> None:
    fill = "return getComputedStyle(document.querySelector('svg text')).fill"
    light = page.execute_script(fill)
    browser.look(page, dark=True)
    assert page.execute_script(fill) != light
