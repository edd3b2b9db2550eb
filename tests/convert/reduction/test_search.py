"""A whole search: what it finds holds where it was not searched, and what it wrote down is taken up again."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.support.reduced_graphs import BOUNDS, INT8, document, encoder, found
from tests.support.tiny_encoders import open_session

from aves_artifacts.base.errors import InputError
from aves_convert.graph.encoder import weighted_encoder_graph
from aves_convert.graph.options import OnnxOptions
from aves_convert.graph.transformer import products
from aves_convert.reduction.bounds import Bounds, Search
from aves_convert.reduction.calibration import calibration
from aves_convert.reduction.cost import Cost, cost
from aves_convert.reduction.search import searched

RECORD = "x.search.json"


@pytest.fixture(scope="module")
def searched_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of a search for 38 dB. It is everybody's: copy it to change it."""
    path = tmp_path_factory.mktemp("search") / RECORD
    found(path, BOUNDS)
    return path


@pytest.fixture
def record(searched_once: Path, tmp_path: Path) -> Path:
    path = tmp_path / RECORD
    path.write_bytes(searched_once.read_bytes())
    return path


def measured(options: OnnxOptions, variant: str = "base") -> dict[str, Cost]:
    """What a graph costs on the signals that were held out."""
    config, state_dict = encoder(variant)
    exact = open_session(weighted_encoder_graph(config, state_dict).proto())
    port = open_session(weighted_encoder_graph(config, state_dict, options).proto())
    clips = calibration((), config).held_out
    answers = {c.name: [s.run(None, {"waveform": c.waveform[None]})[0] for s in (port, exact)] for c in clips}
    return {name: cost(*pair) for name, pair in answers.items()}


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [BOUNDS, Bounds(None, 0.9999), Bounds(40, 0.999)], ids=str)
@pytest.mark.parametrize("weights", ["float32", "float16"])
def test_what_is_found_holds_on_audio_that_was_not_searched_on(bounds: Bounds, weights: Any, tmp_path: Path) -> None:
    options = dataclasses.replace(INT8, weights=weights)
    chosen = found(tmp_path / RECORD, bounds, options=options)
    assert 0 < len(chosen.wide) < 18
    assert dataclasses.replace(chosen, wide=()) == options
    costs = measured(chosen).values()
    assert bounds.min_snr is None or min(each.snr for each in costs) >= bounds.min_snr
    assert bounds.min_cosine is None or min(each.worst_cosine for each in costs) >= bounds.min_cosine


def test_what_is_written_down_says_what_stays_wide_and_why(searched_once: Path) -> None:
    told = document(searched_once)
    assert told["schema"] == 1
    assert told["bounds"] == {"min_snr": 38, "min_cosine": None}
    assert [clip["name"] for clip in told["searched_on"]] == ["chirp", "crickets", "bark"]
    assert [clip["name"] for clip in told["held_out"]] == ["frog", "whale", "soundscape"]
    names = [product["name"] for product in told["products"]]
    assert names == list(products(3))
    wide = [product["name"] for product in told["products"] if product["wide"]]
    assert wide == told["result"]["wide"]
    for product in told["products"]:
        assert product["bytes"] > 0
        assert product["snr_alone"] > 35
        assert len(product["noise"]) == 3
        words = "the bound is missed there" if product["wide"] else "which may stay"
        assert f"{product['share']:.1%} of the noise" in product["why"]
        assert words in product["why"]
    assert sum(product["share"] for product in told["products"]) == pytest.approx(1, abs=0.01)
    result = told["result"]
    assert result["held_out"]["snr"] >= 38
    assert result["searched_on"]["snr"] >= 38
    assert abs(result["prediction_missed_by_db"]) < 4
    assert 0.1 < result["share_of_float32"] < 1
    sizes = {len(trial["wide"]): trial["size"] for trial in told["trials"]}
    assert sizes[len(wide)] == result["size"]


def test_the_same_input_gives_the_same_bytes(searched_once: Path, tmp_path: Path) -> None:
    found(tmp_path / RECORD, BOUNDS)
    assert (tmp_path / RECORD).read_bytes() == searched_once.read_bytes()


def test_a_second_search_measures_nothing_again(record: Path) -> None:
    before, steps = record.read_bytes(), []
    found(record, BOUNDS, show=steps.append)
    assert steps == ["the float32 graph"]
    assert record.read_bytes() == before


def test_another_bound_takes_the_same_measurements(record: Path) -> None:
    steps: list[str] = []
    chosen = found(record, Bounds(42), show=steps.append)
    assert not any("product 1 of" in step for step in steps)
    told = document(record)
    assert told["bounds"]["min_snr"] == 42
    assert tuple(told["result"]["wide"]) == chosen.wide


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_search_that_was_killed_goes_on_where_it_was(searched_once: Path, tmp_path: Path) -> None:
    path = tmp_path / RECORD
    program = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[2])\n"
        "from tests.support.reduced_graphs import found\n"
        "found(pathlib.Path(sys.argv[1]), show=lambda step: time.sleep(60 if step.startswith('product 9 ') else 0))\n"
    )
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen([sys.executable, "-c", program, str(path), root])
    try:
        until = time.monotonic() + 120
        while not (path.exists() and len(document(path)["products"]) == 8):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert len(document(path)["products"]) == 8
    steps: list[str] = []
    found(path, BOUNDS, show=steps.append)
    assert "product 9 of 18" in steps
    assert "product 8 of 18" not in steps
    assert path.read_bytes() == searched_once.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"options": OnnxOptions(precision="int8", weights="float16")}, {"normalize": True}])
def test_what_is_of_other_settings_is_kept_and_with_force_replaced(record: Path, change: dict[str, Any]) -> None:
    before = record.read_bytes()
    with pytest.raises(InputError, match=r"already there, and the search of another encoder.*give `force` to replace"):
        found(record, **change)
    assert record.read_bytes() == before
    found(record, force=True, **change)
    assert document(record)["inputs"] != json.loads(before)["inputs"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"schema": 2}',
        b"\xff",
        b'{"schema": 1, "inputs": {}, "products": [{}], "trials": []}',
        b"notes",
    ],
)
def test_a_file_that_is_no_search_is_kept_and_with_force_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / RECORD
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"already there, and no search|another encoder"):
        found(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "x", "-1.5", "1e5", "nan"])
def test_noise_that_is_no_number_is_not_taken(record: Path, number: str) -> None:
    told = document(record)
    told["products"][0]["noise"][0] = " ".join([number, *told["products"][0]["noise"][0].split()[1:]])
    record.write_text(json.dumps(told))
    with pytest.raises(InputError, match="already there, and no search"):
        found(record)


def test_noise_of_another_length_is_not_taken(record: Path) -> None:
    told = document(record)
    told["products"][0]["noise"][0] = "-300 -300"
    record.write_text(json.dumps(told))
    with pytest.raises(InputError, match="already there, and no search"):
        found(record)


@pytest.mark.slow
def test_matrices_that_are_smaller_than_their_scales_have_a_price_too(tmp_path: Path) -> None:
    """In half precision a wide product of few columns would take fewer bytes than one in eight bits."""
    for width in (3, 4):
        config, state_dict = encoder()
        narrow = dataclasses.replace(config, encoder_ff_interm_features=width)
        cut = {name: _narrowed(name, array, width) for name, array in state_dict.items()}
        options = dataclasses.replace(INT8, weights="float16")
        chosen = searched(narrow, cut, options, Search(BOUNDS), record=tmp_path / f"{width}.json")
        assert 0 < len(chosen.wide) < 18
        prices = [each["bytes"] for each in document(tmp_path / f"{width}.json")["products"]]
        assert min(prices) > 0


def _narrowed(name: str, array: np.ndarray, width: int) -> np.ndarray:
    if "intermediate_dense" in name:
        return array[:width]
    return array[:, :width] if "output_dense.weight" in name else array


def test_what_is_asked_for_stays_wide_beside_what_is_found(tmp_path: Path) -> None:
    asked = products(3)[7]
    chosen = found(tmp_path / RECORD, options=dataclasses.replace(INT8, wide=(asked,)))
    assert asked in chosen.wide
    (entry,) = (each for each in document(tmp_path / RECORD)["products"] if each["name"] == asked)
    assert (entry["wide"], entry["why"]) == (True, "it was asked for")
    with pytest.raises(InputError, match="no such product"):
        found(options=dataclasses.replace(INT8, wide=("nothing",)))


def test_where_only_a_layer_is_given_noise_is_measured_there(tmp_path: Path) -> None:
    found(tmp_path / RECORD, options=dataclasses.replace(INT8, outputs=("layer.1", "layer.0")))
    told = document(tmp_path / RECORD)
    assert told["inputs"]["output"] == "layer.1"
    assert [each["name"] for each in told["products"]] == list(products(2))


def test_nothing_is_wide_where_nothing_must_be(tmp_path: Path) -> None:
    lines: list[str] = []
    assert found(tmp_path / RECORD, Bounds(10), tell=lines.append).wide == ()
    assert lines[0].startswith("none of 18 products stay in float32: ")
    assert all(each["why"].endswith("the bound holds") for each in document(tmp_path / RECORD)["products"])


def test_without_a_record_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert found().wide
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_bound_that_half_precision_forbids_is_told_with_what_is_reached(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"95 dB .* cannot be reached: with every product wide it is \d\d\.\d dB"):
        found(tmp_path / RECORD, Bounds(95), options=dataclasses.replace(INT8, weights="float16"))


def test_answers_that_are_no_numbers_are_told() -> None:
    config, state_dict = encoder()
    state_dict["encoder.transformer.layers.0.attention.q_proj.weight"][:] = np.nan
    from aves_convert.reduction.bounds import Search
    from aves_convert.reduction.search import searched

    with pytest.raises(InputError, match="chirp: the encoder's own answer is not finite"):
        searched(config, state_dict, INT8, Search(BOUNDS))


@pytest.mark.slow
def test_the_picture_shows_every_graph_that_was_run(record: Path) -> None:
    chosen = found(record, BOUNDS, explain=True)
    picture = ElementTree.parse(record.with_suffix(".svg"))
    words = {"".join(each.itertext()).strip() for each in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"0", "18", str(len(chosen.wide)), "size of the file, MB", "no noise"} <= words
    told = document(record)
    counts = [len(trial["wide"]) for trial in told["trials"]]
    assert {0, 18} <= set(counts)
    assert len(counts) >= 5
    assert not any("seconds" in trial for trial in told["trials"])
