"""What terminal, Markdown and JUnit tell of a corpus."""

import dataclasses
import io
import re
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from tests.support import hand_made, reported_corpus

from aves_verify.report.junit import to_junit
from aves_verify.report.markdown import to_markdown
from aves_verify.report.of_corpus.text import duration, facts_of, failure_lines, total_rows
from aves_verify.report.summary import ports
from aves_verify.report.terminal import print_report


def printed(width: int = 120, *, failed: int = 3) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    print_report(hand_made.report(reported_corpus.corpus_config(failed=failed)), console, every_clip=False)
    return stream.getvalue()


def test_facts_rows_and_reasons() -> None:
    corpus = reported_corpus.corpus_config().corpus
    assert corpus is not None
    facts = dict(facts_of(corpus))
    assert facts["recordings"] == "412 (3 cannot be read)"
    assert (
        facts["windows"]
        == "10,000 of 10,057, each of 10 s, one every 10 s (17 ends of recordings too short for a frame)"
    )
    assert facts["parts"] == "98 found of 100 needed"
    assert facts["machines"] == "2 kinds, which differ in cpu"
    torchaudio, onnx = total_rows(corpus)
    assert (torchaudio.worst, onnx.worst) == ("near-zero drift", "fail")
    assert onnx.cells[2:] == ("10,000", "9,958 pass, 40 near-zero drift, 2 fail", "9.0e-07", "0.84 (of 9,998)")
    lines = list(failure_lines(corpus))
    assert lines[0].startswith("onnx, 2 windows, such as sea/dawn/seal.wav @ 30 s: 7 of 7 elements")
    assert lines[1] == "2 recordings, such as sea/dusk/notes.wav: not audio"  # named once
    assert lines[2] == "1 recording, it is wood/torn.flac: ends after 512 of 9000 samples"


@pytest.mark.parametrize(("seconds", "text"), [(5, "5.0 s"), (90, "1.5 min"), (98_000, "27.2 h"), (4e7, "11,111.1 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_terminal_tells_it_under_the_table() -> None:
    text = printed()
    assert re.search(r"reference +- *\n", text)  # no seconds
    assert "all windows of the corpus" in text
    assert "9,958 pass, 40 near-zero drift, 2 fail" in text
    assert "98 found of 100 needed" in text
    assert "2 recordings, such as sea/dusk/notes.wav: not audio" in text
    assert "clip dawn/seal.wav @ 30 s, final" in text  # by the end that tells one recording from the other
    assert "FAILED: bio (20,004 comparisons" in text


def test_without_failures_nothing_is_said_of_any() -> None:
    text = printed(failed=0)
    assert "such as" not in text
    assert "PASSED: 20,004 comparisons" in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_tables_fit_the_terminal(width: int) -> None:
    tables = [line for line in printed(width).splitlines() if not line.startswith(("bio", "Allowed", "FAILED"))]
    assert max(map(len, tables)) <= width


def test_markdown_has_a_table_of_all_windows() -> None:
    text = to_markdown(hand_made.report(reported_corpus.corpus_config()))
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "**All windows of the corpus.** recordings: `412 (3 cannot be read)`" in text
    assert "<td>9,958 pass, 40 near-zero drift, 2 fail</td>" in html
    assert "<th>RMS |diff|</th>" in html
    assert "- `2 recordings, such as sea/dusk/notes.wav: not audio`" in text


def test_junit_has_a_case_for_each_comparison_and_no_time() -> None:
    root = ElementTree.fromstring(to_junit(hand_made.report(reported_corpus.corpus_config())))
    assert root[0].attrib["time"] == "0.000"
    names = {case.attrib["name"] for case in root.iter("testcase")}
    assert "10,000 windows together, final" in names
    assert "sea/dawn/seal.wav @ 30 s, final" in names


def test_what_drifts_in_a_window_is_not_counted_again_with_all_of_them() -> None:
    config = reported_corpus.corpus_config()
    torchaudio, onnx = ports(config)
    whole = config.whole[1].near_zero
    assert whole is not None
    signals = sum(c.near_zero.flagged for c in onnx.comparisons[:2] if c.near_zero)
    assert onnx.flagged == whole.flagged + signals
    assert sum(c.near_zero.flagged for c in onnx.comparisons if c.near_zero) > onnx.flagged
    assert [len(port.counted) for port in (torchaudio, onnx)] == [3, 3]
    assert ports(hand_made.config())[0].counted == ports(hand_made.config())[0].comparisons


def test_where_nobody_knows_the_seconds_none_are_told() -> None:
    report = dataclasses.replace(hand_made.report(reported_corpus.corpus_config()), total_seconds=0.0)
    assert "| seconds |" not in to_markdown(report)
    assert "| seconds |" in to_markdown(hand_made.report())
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=120), every_clip=False)
    assert "(20,004 comparisons)." in stream.getvalue()
