"""The page's part of a corpus: facts, distributions, what failed, and the worst windows."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from tests.support import hand_made, reported_corpus
from tests.support.page import Page

from aves_artifacts.base.messages import escaped
from aves_verify.report.corpus import Corpus, Failure
from aves_verify.report.html import to_html
from aves_verify.report.of_corpus.page import corpus_page, decibels
from aves_verify.report.report import ConfigReport

pytestmark = pytest.mark.slow


def changed(config: ConfigReport, **values: Any) -> ConfigReport:
    assert config.corpus is not None
    return dataclasses.replace(config, corpus=dataclasses.replace(config.corpus, **values))


def corpus_of(config: ConfigReport) -> Corpus:
    assert config.corpus is not None
    return config.corpus


@pytest.fixture(scope="module")
def page() -> Page:
    config = reported_corpus.corpus_config(worst=5)
    hostile = Failure("onnx", hand_made.HOSTILE, 7, hand_made.HOSTILE, hand_made.HOSTILE)
    first, *others = corpus_of(config).worst
    named = dataclasses.replace(first.comparison, clip=hand_made.HOSTILE)
    worst = (dataclasses.replace(first, comparison=named, recording=hand_made.HOSTILE), *others)
    return Page(
        to_html(
            hand_made.report(
                changed(
                    config, failures=(hostile, *corpus_of(config).failures), missing=(hand_made.HOSTILE,), worst=worst
                )
            )
        )
    )


def test_facts_tables_and_pictures_are_there(page: Page) -> None:
    for text in (
        "412 (3 cannot be read)",
        "98 found of 100 needed",
        "9,958 pass, 40 near-zero drift, 2 fail",
        "Why windows failed",
        "Recordings that cannot be read",
        "Parts that are missing",
        "The worst windows",
        "Differences by size",
        "Windows by error ratio",
        "torchaudio: error ratio by sound",
        "onnx: error ratio by sound",
        "Machines that parts were made on",
    ):
        assert text.replace("98 found of 100", "99 found of 100") in page.text, text


def test_names_from_outside_are_text_and_nothing_is_loaded(page: Page) -> None:
    end = escaped(hand_made.HOSTILE).rpartition("/")[2]  # names of recordings are shown by their ends
    assert page.text.count(end) >= 8
    assert "\x1b" not in page.text
    assert len(page.scripts) == 1
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src '[^']*'",
        policy or "",
    )
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            if name in attributes:
                assert re.match(r"#|data:", attributes[name] or ""), tag


def test_identities_are_unique_and_what_is_referred_to_is_there(page: Page) -> None:
    assert page.repeated() == []
    assert page.dangling() == []


def test_each_worst_window_with_its_sound_can_be_heard_by_anyone(page: Page) -> None:
    sounds = [attributes for tag, attributes in page.tags if tag == "audio"]
    assert len(sounds) == 4  # of 5, one has no arrays
    for attributes in sounds:
        assert "controls" in attributes
        assert (attributes["aria-label"] or "").startswith("Sound of ")
    assert page.text.count("not kept") == 1
    assert page.text.count("listen ") == 4
    assert "The window is very quiet: what you hear is" in page.text


def test_a_window_that_is_the_worst_of_two_ports_has_one_picture_with_both() -> None:
    config = reported_corpus.corpus_config()
    first, *_, other = (window for window in corpus_of(config).worst if window.evidence is not None)
    named = dataclasses.replace(other.comparison, clip=first.comparison.clip, backend="torchaudio")
    both = (first, dataclasses.replace(other, comparison=named))
    made = corpus_page(changed(config, worst=both), corpus_of(changed(config, worst=both)), "c")
    (figure,) = made["figures"]
    assert "onnx at most" in figure.picture.caption
    assert "torchaudio at most" in figure.picture.caption
    assert [link for _, _, link in made["windows"]] == [figure.identity] * 2


def test_at_most_ten_windows_are_drawn_and_silence_is_told() -> None:
    config = reported_corpus.corpus_config()
    first = corpus_of(config).worst[0]
    silent = dataclasses.replace(first, waveform=np.zeros(1600, np.float32), evidence=None)
    worst = tuple(
        dataclasses.replace(silent, comparison=dataclasses.replace(first.comparison, clip=f"{i}")) for i in range(12)
    )
    made = changed(config, worst=worst)
    assert len(corpus_page(made, corpus_of(made), "c")["figures"]) == 10
    text = to_html(hand_made.report(changed(config, worst=worst[:1])))
    assert "Nothing is to be heard" in text
    assert "<audio" not in text
    assert "media-src" not in text


@pytest.mark.filterwarnings("error")
def test_a_corpus_of_which_nothing_is_there_makes_a_page_too() -> None:
    empty = changed(
        reported_corpus.corpus_config(failed=0),
        totals=(),
        worst=(),
        failures=(),
        missing=(),
        windows=0,
        environments=(),
    )
    text = Page(to_html(hand_made.report(empty))).text
    for absent in ("Why windows failed", "Recordings that cannot", "Parts that are missing", "The worst windows"):
        assert absent not in text


def test_a_thousand_missing_parts_are_counted() -> None:
    config = changed(
        reported_corpus.corpus_config(), missing=tuple(f"part {i}" for i in range(1000)), parts=2000, worst=()
    )
    text = Page(to_html(hand_made.report(config))).text
    assert "part 99" in text
    assert "part 100" not in text
    assert "and 900 more" in text


@pytest.mark.parametrize(("level", "text"), [(1.0, "0"), (0.01, "-40"), (0.0, "-∞"), (float("nan"), "-")])
def test_decibels(level: float, text: str) -> None:
    assert decibels(level) == text
