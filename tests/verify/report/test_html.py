"""The page as text: whole in one file, nothing in it runs but its own script, and nothing from outside is markup."""

import base64
import dataclasses
import hashlib
import re
import subprocess
import sys

import numpy as np
import pytest
from tests.support import hand_made
from tests.support.page import Page

from aves_artifacts.base.messages import escaped
from aves_verify.comparison.compare import Tolerance
from aves_verify.comparison.evidence import Evidence, evidence_of
from aves_verify.report.html import to_html
from aves_verify.report.pictures import near_zero, pictures
from aves_verify.report.pictures.near_zero import near_zero_picture
from aves_verify.report.pictures.svg import look_of
from aves_verify.report.report import Report
from aves_verify.report.summary import ports

pytestmark = pytest.mark.slow


EVERY_STATUS = {"chirp": "pass", hand_made.HOSTILE: "drift", "$x$": "fail", "_b": "broken"}


@pytest.fixture(scope="module")
def report() -> Report:
    config = hand_made.config(kinds=EVERY_STATUS, layers=3, problems=(hand_made.HOSTILE,), explained=True)
    hostile = dataclasses.replace(config, name=hand_made.HOSTILE)
    return hand_made.report(config, hostile)


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    text = to_html(report)
    text.encode("utf-8")
    return Page(text)


def test_names_from_outside_are_text(page: Page) -> None:
    assert page.text.count(escaped(hand_made.HOSTILE)) > 10
    assert "\x1b" not in page.text
    assert len(page.scripts) == 1
    assert sum(tag == "script" for tag, _ in page.tags) == 1


def test_nothing_is_loaded_and_nothing_runs_but_the_script(page: Page) -> None:
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base", "form-action")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "action"):
                assert re.match(r"#|data:", value or ""), (tag, name, (value or "")[:50])
            if name == "style":
                assert not re.search(r"url\((?!#)", value or "")


def test_identities_are_unique_and_what_is_referred_to_is_there(page: Page) -> None:
    assert page.repeated() == []
    assert page.dangling() == []


def test_every_picture_has_a_name_a_description_and_the_pages_colours(page: Page) -> None:
    drawings = [a for tag, a in page.tags if tag == "svg"]
    assert len(drawings) == 2 * 6  # near zero for each port, ratios, the clip, layers, stages
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert attributes["aria-labelledby"]
        assert attributes["aria-describedby"]
    assert sum(tag == "figcaption" for tag, _ in page.tags) == len(drawings)
    styles = " ".join(a.get("style") or "" for _, a in page.tags)
    assert not re.search(r"#0[1-9]0[1-9]0[1-9]", styles)  # no placeholder is left
    assert "var(--ink)" in styles


@pytest.mark.parametrize(
    ("kinds", "heading", "where", "matters"),
    [
        ({"chirp": "pass"}, "Passed", ", input chirp, final", "It does not matter: up to"),
        ({"chirp": "drift"}, "Passed", "onnx, input chirp, final", "a relative test alone would fail them"),
        ({"chirp": "fail"}, "Failed", "onnx, input chirp, final", "It matters: "),
        (
            {"chirp": "pass", "b": "broken"},
            "Failed",
            "cannot be measured: bio (stand-in), onnx, input b",
            "NaN or infinite",
        ),
    ],
)
def test_the_page_answers_did_it_pass_where_and_whether_it_matters(
    kinds: dict[str, str], heading: str, where: str, matters: str
) -> None:
    text = Page(to_html(hand_made.report(hand_made.config(kinds=kinds)))).text
    verdict = text.partition("Sections")[0].partition("Every comparison")[0]
    assert heading in verdict
    assert where in verdict
    assert matters in verdict


def test_a_problem_alone_is_told_beside_a_difference_that_does_not_matter() -> None:
    text = Page(to_html(hand_made.report(hand_made.config(problems=("a.wav: empty",))))).text
    assert "1 problem beside the numbers" in text
    assert "It does not matter" in text
    assert "What failed is something else, told below." in text
    assert "a.wav: empty" in text


def test_where_an_error_begins_stands_in_the_summary() -> None:
    explained = hand_made.config(explained=True)
    (explanation,) = explained.explanations
    for shown, page in ((True, explained), (False, hand_made.config())):
        text = Page(to_html(hand_made.report(page))).text.partition("Status all")[0]
        assert (explanation.text in text) is shown
        assert ("Where the error begins" in text) is shown


def test_nothing_compared_makes_a_page_too() -> None:
    config = dataclasses.replace(hand_made.config(), comparisons=(), evidence={})
    text = Page(to_html(hand_made.report(config))).text
    assert "nothing was compared" in text
    assert "There is nothing to draw." in text


def test_the_pictures_say_the_numbers() -> None:
    config = hand_made.config(kinds={"chirp": "pass", "noise": "drift"}, layers=2, explained=True)
    captions = {picture.title: picture.caption for picture in pictures(config, "c")}
    onnx = ports(config)[1]
    assert f"{onnx.flagged} outputs drift near zero" in captions["onnx: relative difference where outputs are small"]
    assert "No output drifts" in captions["torchaudio: relative difference where outputs are small"]
    assert f"onnx at most {onnx.error_ratio:.2g} (noise), 32 allowed" in captions["Error ratio by clip"]
    assert (
        f"onnx at most {max(c.max_abs for c in onnx.comparisons):.1e}"
        in captions["noise: sound, and difference over time"]
    )
    assert "layer by layer" in captions["Error ratio over the layers"]
    assert "the error begins in conv block 2" in captions["onnx: where the error begins"]
    assert "At 1 of 9 points the graph has no such value" in captions["onnx: where the error begins"]


def test_outputs_beyond_the_tolerance_are_counted_in_the_near_zero_picture() -> None:
    found = near_zero_picture("x", ports(hand_made.config(kinds={"chirp": "fail"}))[1])
    assert found is not None
    assert re.search(r"Of those drawn, \d{3,} are beyond the tolerance \(crosses\)", found.caption)


@pytest.mark.parametrize("kind", ["pass", "drift", "fail"])
def test_elements_are_classed_as_the_comparison_classes_them(kind: str) -> None:
    """The evidence of so small an output holds every element."""
    config = hand_made.config(kinds={"chirp": kind})
    compared = config.comparisons[1]
    assert compared.near_zero is not None
    found = near_zero.kinds(compared, config.evidence["onnx", "chirp"])
    assert found.size == hand_made.FRAMES * hand_made.DIM
    assert np.count_nonzero(found == 1) == compared.near_zero.flagged
    beyond = re.match(r"\d+", compared.reason) if kind == "fail" else None
    assert np.count_nonzero(found == 2) == (int(beyond[0]) if beyond else 0)


@pytest.mark.filterwarnings("error")
def test_where_nothing_is_allowed_there_is_no_curve() -> None:
    config = hand_made.config(kinds={"chirp": "pass"})
    held = tuple(dataclasses.replace(c, tolerance=Tolerance(atol=0, rtol=0, own_error=0)) for c in config.comparisons)
    found = near_zero_picture("x", ports(dataclasses.replace(config, comparisons=held))[1])
    assert found is not None
    assert ">tolerance<" not in found.svg
    drawn = near_zero_picture("x", ports(config)[1])
    assert drawn is not None
    assert ">tolerance<" in drawn.svg


def test_equal_outputs_are_said_to_be_equal() -> None:
    config = hand_made.config(kinds={"chirp": "pass"})
    same = np.ones((1, 5, 4), dtype=np.float32)
    equal = evidence_of(same, same)
    assert isinstance(equal, Evidence)
    config = dataclasses.replace(config, evidence=dict.fromkeys(config.evidence, equal))
    assert [p.title for p in pictures(config, "c")][:2] == ["torchaudio: no difference", "onnx: no difference"]


def test_without_the_exact_answer_there_are_no_ratios() -> None:
    config = hand_made.config(kinds={"chirp": "pass"}, layers=2)
    bare = tuple(dataclasses.replace(c, noise=None, error_ratio=None) for c in config.comparisons)
    titles = [picture.title for picture in pictures(dataclasses.replace(config, comparisons=bare), "c")]
    assert "Error ratio by clip" not in titles
    assert "Max |diff| over the layers" in titles


def test_four_configurations_of_17_inputs_stay_small() -> None:
    kinds = {f"clip {i}": ("pass", "drift")[i % 2] for i in range(17)}
    text = to_html(hand_made.report(*(hand_made.config(name, kinds) for name in ("core", "bio", "nonbio", "all"))))
    assert len(text.encode()) < 3_000_000


def test_the_page_is_the_same_every_time() -> None:
    made = hand_made.report(hand_made.config(layers=2, explained=True))
    assert to_html(made) == to_html(made)


def test_nothing_is_imported_before_it_is_drawn() -> None:
    code = "import sys, aves_verify.report.files; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "matplotlib" not in found.stdout


def test_ports_look_different_in_pictures_and_any_name_has_a_look() -> None:
    looks = [look_of(name) for name in ("torchaudio", "onnx", "openvino", "toy")]
    assert len({look.marker for look in looks}) == len({look.dash for look in looks}) == 4
    assert {look_of(f"runtime_{i}").dash for i in range(20)} == {":"}
    config = hand_made.config(kinds={"x": "pass"})
    other = tuple(
        dataclasses.replace(c, backend={"onnx": "openvino"}.get(c.backend, "toy")) for c in config.comparisons
    )
    seconds = dict.fromkeys(("fairseq", "openvino", "toy"), 1.0)
    page = to_html(hand_made.report(dataclasses.replace(config, comparisons=other, explanations=(), seconds=seconds)))
    assert "var(--port-3)" in page.partition("</style>")[2]
