"""The example as users run it, and its page in a real browser."""

import base64
import functools
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import soundfile
from rich.console import Console
from tests.support import browser
from tests.support.commands import invoke
from tests.support.recordings import calls, write_recordings
from tests.verify.faults.weight_faults import WEIGHT_FAULTS

from aves_artifacts.base.errors import DoesNotHoldError
from cluster import main
from compare_clusters import compare, print_changes
from encoders import FORMS, SMALLER, embed, embed_all, ports_of
from labelled_clips import synthesised

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def out(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results for a folder of recordings, one of which has a name that wants to be a tag."""
    data = write_recordings(tmp_path_factory.mktemp("data"), ["trill", "hiss"], 10)
    (data / "hiss" / "hiss 1.wav").rename(data / f"{HOSTILE.replace('/', '')}.wav")
    out = tmp_path_factory.mktemp("out")
    done = run("--checkpoint", tiny_checkpoint, "--data", data, "--smallest", 3, "--out", out)
    assert done.exit_code == 0, done.output
    return out


run = functools.partial(invoke, main)


def test_the_command_of_the_readme_compares_and_finds_no_change(tiny_checkpoint: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "cluster.py"), "--checkpoint", str(tiny_checkpoint), "--compare"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    forms = (*FORMS, *SMALLER)
    lines = {form: line.split() for form in forms for line in done.stdout.splitlines() if line.split()[:1] == [form]}
    assert set(lines) == set(forms)
    assert lines["torchaudio"][-2:] == lines["onnx"][-2:] == ["0", "0"]
    assert "120 clips in " in done.stdout
    assert "adjusted Rand index with the labels" in done.stdout
    picture = matplotlib.image.imread(tmp_path / "clustered" / "map.png")
    assert picture.shape[1] == 1350
    assert 1e6 < (tmp_path / "clustered" / "map.html").stat().st_size < 4e6


def test_a_planted_fault_changes_neighbours(tiny_checkpoint: Path) -> None:
    fault = next(fault for fault in WEIGHT_FAULTS if fault.name == "one matrix in bfloat16")
    clips = synthesised().clips[::2]
    with ports_of(tiny_checkpoint) as damaged:
        vectors = dict(embed_all(damaged, clips))
        fault.damage(damaged.bundle.path("torchaudio"), damaged.bundle.path("config"))
        vectors["torchaudio"] = embed("torchaudio", damaged, clips)
    changes = {change.form: change for change in compare(vectors, 5)}
    assert changes["torchaudio"].neighbours > 0
    assert changes["onnx"].neighbours == changes["onnx"].mates == 0
    with pytest.raises(DoesNotHoldError, match=r"torchaudio: .* are not those of fairseq"):
        print_changes(list(changes.values()), len(clips), Console(quiet=True))
    as_smaller = [
        replace(change, form="onnx.int8") if change.form == "torchaudio" else change for change in changes.values()
    ]
    print_changes(as_smaller, len(clips), Console(quiet=True))  # is told, and is no failure


def test_too_few_clips_end_in_one_line(tmp_path: Path) -> None:
    done = run("--data", write_recordings(tmp_path / "data", ["trill"], 3), "--out", tmp_path / "out")
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert "3 usable clips; expected 10 or more" in done.output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def page(chromium: Any, out: Path) -> Any:
    return browser.visit(chromium, (out / "map.html").as_uri())


def point(page: Any, name: str) -> Any:
    return page.find_element("xpath", f"//*[@class='point'][contains(@aria-label, '{name}')]")


@pytest.mark.browser
def test_the_page_opens_without_errors_and_asks_for_nothing(page: Any, out: Path) -> None:
    assert page.get_log("browser") == []
    asked = [url for url in browser.requests(page) if not url.startswith("data:")]
    assert asked == [(out / "map.html").as_uri()]
    assert len(page.find_elements("css selector", ".point")) == 20
    assert page.find_elements("css selector", "img[src=x]") == []
    assert len(page.find_elements("xpath", f"//*[@class='point'][contains(@aria-label, '{HOSTILE}')]")) == 1


@pytest.mark.browser
def test_pointing_at_a_clip_shows_its_spectrogram(page: Any) -> None:
    from selenium.webdriver import ActionChains

    assert not page.find_element("id", "panel").is_displayed()
    ActionChains(page).move_to_element(point(page, "trill 3")).perform()
    assert page.find_element("id", "panel").is_displayed()
    assert page.find_element("id", "name").text.endswith("trill 3.wav")
    assert page.find_element("id", "about").text.startswith("trill · ")
    picture = page.find_element("id", "picture")
    data = base64.b64decode(picture.get_attribute("src").partition(",")[2])
    shape = matplotlib.image.imread(io.BytesIO(data), format="jpg").shape
    natural = page.execute_script("return [arguments[0].naturalHeight, arguments[0].naturalWidth]", picture)
    assert natural == list(shape[:2])
    assert page.execute_script("return document.querySelectorAll('.point.near').length") == 5


@pytest.mark.browser
@pytest.mark.parametrize("by", ["click", "keyboard"])
def test_a_click_or_the_keyboard_plays_the_clip(page: Any, by: str) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    chosen = point(page, "trill 5")
    if by == "click":
        chosen.click()
    else:
        chosen.send_keys(Keys.ENTER)
    sound = page.find_element("id", "sound")
    WebDriverWait(page, 10).until(lambda _: page.execute_script("return arguments[0].currentTime > 0.05", sound))
    clip = calls()["trill"][4]
    duration = page.execute_script("return arguments[0].duration", sound)
    assert duration == pytest.approx(clip.duration, abs=0.15)  # MP3 has whole frames of 36 ms
    played, _ = soundfile.read(io.BytesIO(base64.b64decode(sound.get_attribute("src").partition(",")[2])))
    length = min(len(played), len(clip.waveform))
    heard = np.correlate(played[:length], clip.waveform[:length] - clip.waveform.mean(), "full")
    power = np.linalg.norm(played[:length]) * np.linalg.norm(clip.waveform[:length] - clip.waveform.mean())
    assert heard.max() / power > 0.9
    assert chosen.get_attribute("aria-pressed") == "true"


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_never_scrolls_sideways(page: Any, width: int) -> None:
    browser.look(page, width=width)
    page.execute_script("document.querySelector('.point').dispatchEvent(new Event('focus'))")
    assert page.execute_script("return document.scrollingElement.scrollWidth <= innerWidth")
