"""Markdown, read back by a parser: nothing from outside is markup."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.support import hand_made

from aves_artifacts.base.markdown import code
from aves_artifacts.base.messages import escaped
from aves_verify.report.markdown import to_markdown

PARSER = MarkdownIt("commonmark").enable("table")


def inline(text: str) -> list[Token]:
    return [child for token in PARSER.parse(text) for child in token.children or ()]


def test_the_verdict_comes_first_and_says_where_and_whether_it_matters() -> None:
    text = to_markdown(hand_made.report())
    lines = [line for line in text.splitlines() if line]
    assert lines[0] == "## aves-verify: ✅ passed"
    assert lines[1] == "In all 4 comparisons the ports compute what the original computes."
    assert lines[2].startswith("The largest difference from fairseq is ")
    assert lines[3].startswith("It does not matter: ")
    assert "The weights are seeded stand-ins" in lines[4]


def test_what_failed_and_why() -> None:
    report = hand_made.report(hand_made.config(kinds={"chirp": "fail", "noise": "pass"}, problems=("a.wav: empty",)))
    text = to_markdown(report)
    assert text.startswith("## aves-verify: ❌ failed")
    assert "1 of 4 comparisons fail and 1 problem beside the numbers" in text
    failed = text.partition("**What failed**")[2]
    assert "- `a.wav: empty`" in failed
    assert "- onnx, `chirp`, final: `" in failed
    assert "It matters: `" in text


def test_near_zero_drift_is_explained_in_words() -> None:
    text = to_markdown(hand_made.report(hand_made.config(kinds={"chirp": "drift"})))
    assert text.startswith("## aves-verify: ✅ passed")
    assert "**Near-zero drift.** An output near zero can differ" in text
    assert "own largest rounding error" in text


def test_many_failures_are_counted() -> None:
    report = hand_made.report(hand_made.config(kinds={f"clip {i}": "fail" for i in range(15)}))
    text = to_markdown(report)
    assert text.count("elements are beyond the tolerance") == 12 + 1  # and the largest in the verdict
    assert "- onnx: and 3 more" in text


def test_nothing_compared_is_told() -> None:
    empty = dataclasses.replace(hand_made.config(), comparisons=())
    text = to_markdown(hand_made.report(empty))
    assert text.startswith("## aves-verify: ❌ failed\n\n`bio (stand-in)`: nothing was compared.")


def test_tables_and_details_parse() -> None:
    report = hand_made.report(hand_made.config("core"), hand_made.config("bio", explained=True))
    html = PARSER.render(to_markdown(report))
    assert html.count("<table>") == 2 + 3
    assert "<details><summary>" in html
    assert "</details>" in html
    assert "Where the error begins" in html
    assert "<td><code>A | &lt;Processor&gt;</code></td>" in html


def test_names_from_outside_are_text() -> None:
    config = hand_made.config(hand_made.HOSTILE, {hand_made.HOSTILE: "fail"}, problems=(hand_made.HOSTILE,))
    text = to_markdown(hand_made.report(config))
    text.encode("utf-8")
    shown = escaped(hand_made.HOSTILE)
    spans = [token.content for token in inline(text) if token.type == "code_inline"]
    assert spans.count(shown) >= 3
    others = "".join(token.content for token in inline(text) if token.type != "code_inline")
    for mark in ("script", "@everyone", "x_1"):
        assert mark not in others


@pytest.mark.parametrize("cell", [False, True])
@given(st.text(max_size=20))
def test_a_code_span_holds_any_text(cell: bool, text: str) -> None:
    line = f"| a |\n|---|\n| {code(text, cell=True)} |" if cell else f"x {code(text)} y"
    spans = [token.content for token in inline(line) if token.type == "code_inline"]
    assert len(spans) == 1
    assert spans[0].strip(" ") == escaped(text).strip(" ")
