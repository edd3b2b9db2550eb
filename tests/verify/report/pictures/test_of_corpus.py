"""Pictures of a corpus: distributions, and error ratios by sound."""

import dataclasses
import math
import re

import numpy as np
import pytest
from tests.support import reported_corpus

from aves_verify.report.corpus import Corpus, Grid, Histogram, OutputTotals
from aves_verify.report.pictures.distributions import chosen, differences_picture, ratios_picture
from aves_verify.report.pictures.heat import heat_picture

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]

RATIOS = tuple(map(float, np.geomspace(0.1, 10, 9)))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    found = reported_corpus.corpus_config().corpus
    assert found is not None
    return found


def with_grids(total: OutputTotals, *grids: Grid) -> OutputTotals:
    return dataclasses.replace(total, grids=grids)


def counts_of(*columns: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    """For each column how many windows, and in which cell of the ratio."""
    return tuple(tuple(count if i == at else 0 for i in range(8)) for count, at in columns)


def test_the_captions_tell_the_numbers(corpus: Corpus) -> None:
    sizes = differences_picture("d", corpus.totals, {"onnx": 3e-4})
    assert sizes is not None
    assert "Of 3,832,320,000 values" in sizes.caption
    assert re.search(r"onnx: half at most 5\.\de-07, 999 of 1,000 at most 4\.\de-06", sizes.caption)
    assert "dashed: absolute tolerance" in sizes.svg
    ratios = ratios_picture("r", corpus.totals, {})
    assert ratios is not None
    assert re.search(r"torchaudio: \d of 10,000 over 1, none over 1\.4", ratios.caption)


def test_other_outputs_are_thin(corpus: Corpus) -> None:
    layer = dataclasses.replace(corpus.totals[1], layer="layer.3")
    totals = (layer, *corpus.totals)
    assert [total.layer for total in chosen(totals)] == ["final", "final"]
    assert [total.layer for total in chosen((layer,))] == ["layer.3"]
    found = differences_picture("d", totals, {})
    assert found is not None
    assert "Thin: the other outputs" in found.caption
    assert "opacity: 0.45" in found.svg


def test_where_nothing_differs_there_is_nothing_to_draw(corpus: Corpus) -> None:
    none = Histogram((0.0, 1e-38, 1.0), (9, 0))
    equal = dataclasses.replace(corpus.totals[0], differences=none, ratios=Histogram((0.0, 1.0), (0,)), grids=())
    assert differences_picture("d", [equal], {}) is None
    assert ratios_picture("r", [equal], {}) is None
    assert heat_picture("h", equal, 4.0) is None
    empty = dataclasses.replace(equal, differences=Histogram((), ()), ratios=Histogram((), ()))
    assert differences_picture("d", [empty], {}) is None
    assert ratios_picture("r", [empty], {}) is None


def test_edges_may_be_nothing_and_infinite(corpus: Corpus) -> None:
    found = Histogram((0.0, 0.5, 1.0, math.inf), (1, 1, 2))
    total = dataclasses.replace(corpus.totals[0], differences=found, ratios=found)
    assert differences_picture("d", [total], {}) is not None
    ratios = ratios_picture("r", [total], {})
    assert ratios is not None
    edges = (0.0, 0.1, 1.0, math.inf)
    heat = heat_picture("h", with_grids(total, Grid("offset", edges, RATIOS, counts_of((3, 1), (4, 2), (5, 3)))), 4.0)
    assert heat is not None
    assert ">∞<" in heat.svg
    assert ">0<" in heat.svg


def test_a_legend_tells_the_counts(corpus: Corpus) -> None:
    found = heat_picture("h", corpus.totals[1], 32.0)
    assert found is not None
    for text in ("windows", "1–9", "10–99", "100–999", "1,000–9,999"):  # noqa: RUF001 - en dashes
        assert f">{text}<" in found.svg
    for i in range(1, 5):
        assert f"var(--heat-{i})" in found.svg
    assert "var(--heat-5)" not in found.svg
    small = Grid("level", (-60.0, -40.0, -20.0, 0.0), RATIOS, counts_of((1, 1), (3, 2), (9, 4)))
    few = heat_picture("h", with_grids(corpus.totals[1], small), 4.0)
    assert few is not None
    assert [text for text in ("1", "2–3", "8–15") if f">{text}<" in few.svg] == ["1", "2–3", "8–15"]  # noqa: RUF001


def test_a_caption_tells_how_the_ratio_goes_with_the_sound(corpus: Corpus) -> None:
    rising = Grid("level", (-60.0, -40.0, -20.0, 0.0), RATIOS, counts_of((50, 1), (100, 4), (50, 7)))
    alike = Grid("seconds", (0.0, 5.0, 10.0, 20.0), RATIOS, counts_of((0, 0), (200, 4), (0, 0)))
    found = heat_picture("h", with_grids(corpus.totals[1], rising, alike), 4.0)
    assert found is not None
    assert "by level 0.24 and 7.5." in found.caption
    assert "Windows are alike in length." in found.caption
    assert "dashed: what is allowed" in found.caption
    assert "length, seconds" not in found.svg
    beyond = heat_picture("h", with_grids(corpus.totals[1], rising), math.inf)
    assert beyond is not None
    assert "dashed" not in beyond.caption
    assert heat_picture("h", with_grids(corpus.totals[1], alike), 4.0) is None


def test_numbers_at_the_axes_do_not_lie_on_one_another(corpus: Corpus) -> None:
    """Few round numbers, whatever the edges are."""
    found = heat_picture("h", corpus.totals[1], 32.0)
    assert found is not None
    texts = re.findall(r">([^<>\n]+)</(?:\w+:)?text>", found.svg)
    assert {"-80", "-60", "-40", "-20", "1e-5", "1e-3", "0.3", "10"} <= set(texts)
