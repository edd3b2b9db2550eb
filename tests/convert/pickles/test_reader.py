from __future__ import annotations

import collections
import gc
import pickle
import re
from collections.abc import Callable
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hostile_files import PAYLOADS
from tests.support.pickle_bytes import COMMAND, SYSTEM, Raw, name, opcodes, pickled, reduced
from tests.support.watched import nothing_runs

from aves_artifacts.base.errors import InputError
from aves_convert.pickles import containers, machine, operations, reader
from aves_convert.pickles.dangerous_calls import refuse_dangerous
from aves_convert.pickles.reader import read_pickle, scan_pickle
from aves_convert.pickles.records import Global

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def root_of(stream: bytes) -> Any:
    with nothing_runs():
        return read_pickle(stream, "test").root


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)


PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=20,
)


@pytest.mark.slow
@given(value=PLAIN, protocol=st.sampled_from(PROTOCOLS))
def test_plain_values_are_what_pickle_wrote(value: object, protocol: int) -> None:
    loaded = read_pickle(pickle.dumps(value, protocol), "test")

    assert loaded.root == value
    assert loaded.calls == ()


@given(value=st.binary(), protocol=st.integers(3, pickle.HIGHEST_PROTOCOL))
def test_bytes(value: bytes, protocol: int) -> None:
    assert root_of(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_and_recursive_objects_stay_so(protocol: int) -> None:
    shared: list[Any] = [1]
    outer: list[Any] = [shared, shared]
    outer.append(outer)

    root = root_of(pickle.dumps(outer, protocol))

    assert root[0] is root[1]
    assert root[2] is root


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_ordered_dict_is_a_dict_and_its_attributes_are_left_out(protocol: int) -> None:
    value = collections.OrderedDict([("b", 1), ("a", 2)])
    value._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]

    root = root_of(pickle.dumps(value, protocol))

    assert list(root.items()) == [("b", 1), ("a", 2)]
    assert type(root) is dict


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_set_is_a_record(protocol: int) -> None:
    root = root_of(pickle.dumps({5}, protocol))

    assert root.global_ == Global("builtins", "set")
    assert [*root.args, root.values] in ([[5], None], [[5]])


def test_objects_are_records_of_what_would_have_been_called() -> None:
    stream = pickled(
        {"a": reduced(SYSTEM, COMMAND), "b": Raw(b"cargparse\nNamespace\n)\x81" + opcodes({"x": 1}) + b"b")}
    )

    root = root_of(stream)

    assert (root["a"].global_, root["a"].args) == (Global("posix", "system"), (COMMAND,))
    assert (root["b"].global_, root["b"].state) == (Global("argparse", "Namespace"), {"x": 1})
    assert repr(root["a"]) == "<record of posix.system>"


def test_items_and_values_of_records_are_kept() -> None:
    record = name("mine", "Box").opcodes + b")\x81"

    filled = root_of(b"\x80\x02" + record + b"(K\x01K\x02u(K\x03K\x04eK\x05aK\x06K\x07s.")

    assert filled.items == [(1, 2), (6, 7)]
    assert filled.values == [3, 4, 5]


@pytest.mark.parametrize(
    ("stream", "value"),
    [
        (b"S'a\\x41\\101\\n\\\\'\n.", "aAA\n\\"),
        (b'S"it\'s"\n.', "it's"),
        (b"S'\\xff'\n.", b"\xff"),
        (b"T\x02\0\0\0ab.", "ab"),
        (b"U\x01\xff.", b"\xff"),
        (b"V\\u00e9\\ud800\n.", "\u00e9\\xed\\xa0\\x80"),
        (b"X\x03\0\0\0\xed\xa0\x80.", "\\xed\\xa0\\x80"),
        (b"I01\n.", True),
        (b"I7\n.", 7),
        (b"L-7L\n.", -7),
        (b"F1.5\n.", 1.5),
        (b"(K\x01K\x020l.", [1]),
        (b"K\x01(0.", 1),
        (b"K\x01(K\x021.", 1),
        (b"K\x012\x86.", (1, 1)),
        (b"(K\x01K\x02d.", {1: 2}),
        (b"Np0\n0(g0\nt.", (None,)),
        (b"\x95\0\0\0\0\0\0\0\0K\x01.", 1),
    ],
)
def test_opcodes_that_few_picklers_write(stream: bytes, value: object) -> None:
    root = root_of(stream)

    assert (root, type(root)) == (value, type(value))


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (b"Sabc\n.", "a string without quotes"),
        (b"S'abc\n.", "a string without quotes"),
        (b"Iabc\n.", "INT at byte 0"),
        (b"Fabc\n.", "FLOAT at byte 0"),
        (b"NN\x93.", "must be two strings"),
        (b"cm\nN\nNR.", "the arguments of a call are None"),
        (b"cm\nN\n)K\x01\x92.", "the keyword arguments of a call are 1"),
        (b"(o.", "than there is"),
        (b"N\x86.", "than there is"),
        (b"NNs.", "than there is"),
        (b"NNNs.", "would change None, which is no dict"),
        (b"NNa.", "would add to None, which is no list"),
        (b"NNb.", "would change None, which was not made"),
        (b"]Nb.", "would change [...], which was not made"),
        (b"J\0", "truncated"),
        (b"cmodule\nname", "its line of text does not end"),
    ],
)
def test_damaged_streams(stream: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        read_pickle(stream, "test")


def test_our_own_functions_make_what_they_are_asked_to() -> None:
    stream = pickled([reduced(name("torch", "thing"), 1, 2), Raw(opcodes("key") + b"Q")])

    def add(args: tuple[Any, ...]) -> object:
        return args[0] + args[1]

    loaded = read_pickle(stream, "test", persistent=lambda key: (key,), rebuild={Global("torch", "thing"): add})

    assert loaded.root == [3, ("key",)]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_types_as_data(protocol: int) -> None:
    """What omegaconf keeps of a dataclass's annotations; Python 3.10 calls operator.getitem to make a Tuple."""
    tuple_of = reduced(name("_operator", "getitem"), name("typing", "Tuple"), (name("builtins", "int"),))
    types = [int | None, list[int], Optional[int], type(None), collections.defaultdict(dict)]  # noqa: UP045

    calls = (*read_pickle(pickle.dumps(types, protocol), "test").calls, *read_pickle(pickled(tuple_of), "test").calls)

    refuse_dangerous(calls, "test")


def test_scan_reports_what_a_damaged_stream_asked_for() -> None:
    stream = pickled([reduced(SYSTEM, COMMAND), reduced(name("os", "popen"), "a", [1], {}, None, 5)])

    whole, end = scan_pickle(stream)
    damaged, nowhere = scan_pickle(stream[:-2])

    assert [str(call) for call in whole] == ["posix.system('touch EXECUTED')", "os.popen('a', [...], {...}, None, ...)"]
    assert [call.global_ for call in damaged] == [call.global_ for call in whole]
    assert (end, nowhere) == (len(stream), None)


def test_the_end_of_a_stream_is_where_the_next_begins() -> None:
    stream = pickled(1) + pickled("two") + b"rest"

    first = read_pickle(stream, "test")
    second = read_pickle(stream, "test", start=first.end)

    assert (second.root, stream[second.end :]) == ("two", b"rest")


@pytest.mark.parametrize(
    ("setting", "module", "value", "stream", "message"),
    [
        ("BUDGET", reader, 100, pickled([{} for _ in range(100)]), "more objects"),
        ("MAX_STREAM", reader, 100, pickled("x" * 200), "truncated"),
        ("MAX_MEMO_GAP", machine, 1, b"Nq\x02.", "memo number 2 after 0"),
        ("MAX_SMALL_INT_KEYS", containers, 9, pickled(dict.fromkeys(range(10))), "more than 9 entries"),
        ("MAX_OTHER_KEYS", containers, 9, pickled({i / 2: None for i in range(10)}), "more than 9 entries"),
        ("MAX_OTHER_KEYS", containers, 9, pickled({i << 61: None for i in range(1, 11)}), "more than 9 entries"),
        ("MAX_OTHER_KEYS", containers, 9, pickled({(i,): None for i in range(10)}), "more than 9 entries"),
        ("MAX_NAME", operations, 9, pickled(name("module", "Name")), "too long"),
    ],
)
def test_limits(
    setting: str, module: Any, value: int, stream: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_pickle(stream.replace(b"q\x02", b"q\x01"), "test")
    monkeypatch.setattr(module, setting, value)
    with pytest.raises(InputError, match=message):
        read_pickle(stream, "test")


@pytest.mark.slow
def test_memory_is_bounded_by_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget's unit is honest: what costs a unit takes about 32 bytes at most."""
    import tracemalloc

    monkeypatch.setattr(reader, "BUDGET", 50_000)
    for part in (b"}", b"]", b"\x8f", b"(", b"N", b"}NNs", b"]Na", b"K\x01\x85", b"cm\nC\n)R", b"J\x00\x01\x01\x01"):
        stream = b"\x80\x02" + part * 50_000
        tracemalloc.start()
        with pytest.raises(InputError, match="more objects"):
            read_pickle(stream, "test")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * 32 * 50_000, part


@pytest.mark.parametrize(
    "stream",
    [
        b"]" * 100_000 + b"a" * 99_999 + b".",
        b")" + b"\x85" * 100_000 + b".",
        b"}N" * 50_000 + b"N" + b"s" * 50_000 + b".",
        b"cm\nC\nq\x000Nq\x01" + b"0h\x00h\x01\x85Rq\x01" * 50_000 + b".",
    ],
    ids=["lists", "tuples", "dicts", "records"],
)
def test_depth_costs_no_recursion(stream: bytes) -> None:
    loaded = read_pickle(stream, "test")
    str(loaded.calls)
    del loaded
    gc.collect()


def test_many_keys() -> None:
    root = root_of(pickled({f"layer.{index}": index for index in range(100_000)}))

    assert len(root) == 100_000


_OPCODES = [bytes([code]) for code in range(256)]


_PARTS = st.one_of(
    st.sampled_from(_OPCODES),
    st.sampled_from(
        [b"K\x01", b"X\x01\0\0\0a", b"h\x00", b"q\x00", b"cposix\nsystem\n", b"(S'x'\ntR", b"\x93", b")\x81"]
    ),
    st.sampled_from([raw.opcodes for raw, _ in PAYLOADS.values()]),
    st.binary(max_size=6),
)


@given(st.lists(_PARTS, max_size=60).map(b"".join))
def test_any_stream_ends_in_a_value_or_a_clear_line(stream: bytes) -> None:
    with nothing_runs():
        check_outcome(lambda: read_pickle(stream + b".", "test"))
        scan_pickle(stream)


_GENUINE = [
    pickled({"a": [1, (2.5, "x")], "b": reduced(SYSTEM, COMMAND)}),
    pickle.dumps([{"k": {1, 2}}, b"x", 2**90], 4),
]


@given(
    stream=st.sampled_from(_GENUINE + [pickled([raw]) for raw, _ in PAYLOADS.values()]),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=4)), max_size=6),
)
def test_any_edit_of_a_stream_ends_in_a_value_or_a_clear_line(
    stream: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    edited = bytearray(stream)
    for position, removed, inserted in edits:
        at = position % (len(edited) + 1)
        edited[at : at + removed] = inserted
    with nothing_runs():
        check_outcome(lambda: read_pickle(bytes(edited), "test"))


def check_outcome(read: Callable[[], object]) -> None:
    """Success, or InputError with one printable line; any other exception escapes and fails the test."""
    message = ""
    try:
        read()
    except InputError as error:
        message = str(error)
    assert message.isprintable()


def test_more_classes_than_any_checkpoint_names() -> None:
    stream = pickled([reduced(name(f"m{index}", "run")) for index in range(1500)])
    with pytest.raises(InputError, match="more than 1000 classes"):
        read_pickle(stream, "file.pt")
    assert len(scan_pickle(stream)[0]) == 1001
