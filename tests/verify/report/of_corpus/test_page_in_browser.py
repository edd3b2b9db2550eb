"""A corpus in a real browser: its sounds can be played, and nothing else is let in by what allows that."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from tests.support import browser, hand_made, reported_corpus
from tests.support.contrast import CONTRAST

from aves_verify.report.html import to_html

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html(hand_made.report(reported_corpus.corpus_config(worst=5))), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(chromium: Any, address: str) -> Any:
    return browser.visit(chromium, address)


def sounds(page: Any) -> list[Any]:
    found = page.find_elements("css selector", "audio")
    assert len(found) == 4  # the fourth of five windows has no arrays
    return list(found)


WHEN_READY = """
const [audio, done] = arguments;
const tell = () => done([audio.readyState, audio.duration, audio.error && audio.error.message]);
if (audio.readyState > 0 || audio.error) tell();
else { audio.addEventListener("loadedmetadata", tell); audio.addEventListener("error", tell); }
"""


def test_every_sound_can_be_played(page: Any) -> None:
    for i, audio in enumerate(sounds(page)):
        ready, duration, error = page.execute_async_script(WHEN_READY, audio)
        assert error is None
        assert ready > 0
        assert duration == pytest.approx(10 if i else 0.4, abs=0.01)
        assert audio.accessible_name.startswith("Sound of ")


def test_it_opens_without_errors_and_asks_for_nothing(page: Any, address: str) -> None:
    for audio in sounds(page):
        page.execute_async_script(WHEN_READY, audio)
    assert page.get_log("browser") == []
    assert [url for url in browser.requests(page) if not url.startswith("data:")] == [address]


def test_a_sound_from_elsewhere_is_not_let_in(page: Any, address: str) -> None:
    page.execute_script(
        "const a = new Audio(arguments[0]); a.preload = 'auto'; document.body.append(a); a.load()", address
    )
    error = page.execute_async_script(WHEN_READY, page.find_elements("css selector", "audio")[-1])[2]
    assert error
    assert any("media-src" in entry["message"] for entry in page.get_log("browser"))


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_the_page_never_scrolls_sideways(page: Any, width: int) -> None:
    browser.look(page, width=width)
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.execute_script("return document.scrollingElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_readable_in_light_and_dark(page: Any, dark: bool) -> None:
    browser.look(page, dark=dark)
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    contrast, text = page.execute_script(CONTRAST)
    assert contrast >= 4.5, text


HEAT = """
const light = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const probe = document.body.appendChild(document.createElement("i"));
const of = (colour) => { probe.style.color = colour; return light(getComputedStyle(probe).color); };
return ["var(--page)", ...[1, 2, 3, 4, 5, 6].map((i) => `var(--heat-${i})`)].map(of);
"""


@pytest.mark.parametrize("dark", [False, True])
def test_more_windows_stand_out_more_in_light_and_dark(page: Any, dark: bool) -> None:
    browser.look(page, dark=dark)
    lights = page.execute_script(HEAT)
    assert lights == sorted(lights, reverse=not dark)
    contrasts = [(max(pair) + 0.05) / (min(pair) + 0.05) for pair in itertools.pairwise(lights)]
    assert min(contrasts) > 1.25


def test_the_keyboard_goes_from_the_table_to_the_sound(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    link = page.find_element("css selector", "a[href='#c0-corpus-worst-0']")
    link.send_keys(Keys.ENTER)
    page.switch_to.active_element.send_keys(Keys.TAB)
    assert page.switch_to.active_element.accessible_name == "Sound of dawn/seal.wav @ 30 s"


@pytest.mark.parametrize("width", [360, 1280])
def test_numbers_on_pictures_do_not_lie_on_one_another(page: Any, width: int) -> None:
    browser.look(page, width=width)
    assert page.execute_script(OVERLAPS) == []


OVERLAPS = """
const found = [];
for (const drawing of document.querySelectorAll(".corpus svg")) {
  const texts = [...drawing.querySelectorAll("text")].map((t) => [t.textContent.trim(), t.getBoundingClientRect()]);
  for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length; j++) {
    const [[a, p], [b, q]] = [texts[i], texts[j]];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 3) found.push(`${a} and ${b}`);
  }
}
return found;
"""
