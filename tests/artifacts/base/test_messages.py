import errno
import tracemalloc

import pytest

from aves_artifacts.base.messages import escaped, first_line, first_of, listed, one_line, printable, quoted, reason_of

HOSTILE = "a\x1b[2J\n\u202eb\udc80"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Permission denied"),
        (OSError("no number, only words"), "no number, only words"),
        (OSError(), "OSError"),
        (PermissionError(), "PermissionError"),
        (ValueError("  one\n  two.\n"), "one two"),
        (ValueError("."), "ValueError"),
        (ValueError(HOSTILE), "a\\x1b[2J \\u202eb\\udc80"),
    ],
)
def test_the_reason_of_an_error_is_what_it_says_or_else_its_name(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("[ONNXRuntimeError] : 1 : FAIL\nmore\nof it"), "[ONNXRuntimeError] : 1 : FAIL"),
        (RuntimeError("\n  \nlate"), "late"),
        (RuntimeError(), "RuntimeError"),
        (RuntimeError("\n"), "RuntimeError"),
    ],
)
def test_the_first_line_of_an_error_is_its_name_where_it_says_nothing(error: Exception, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize("say", [reason_of, first_line])
def test_what_a_library_says_is_cut(say: object) -> None:
    assert callable(say)
    assert len(say(ValueError("x" * 10_000))) < 310


def test_a_long_list_is_cut_off_and_the_rest_counted() -> None:
    assert listed([], 2) == ""
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b, and 1 more"
    assert first_of(["a", "b", "c", "d"], 2) == ["a", "b", "and 2 more"]


def test_text_from_outside_has_no_control_characters_and_keeps_its_letters() -> None:
    assert printable("Grün 鳥") == "Grün 鳥"
    assert printable(HOSTILE) == escaped(HOSTILE) == "a\\x1b[2J\\n\\u202eb\\udc80"
    assert one_line(f" {HOSTILE} \n") == "a\\x1b[2J \\u202eb\\udc80"


def test_text_from_outside_is_cut() -> None:
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("x" * 11, 10) == "x" * 10 + "..."
    assert printable("\0" * 10, 10) == "\\x00\\x00\\x" + "..."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("name", "'name'"),
        ("a\nb\u202e", "'a\\nb\\u202e'"),
        (b"\xff", "b'\\xff'"),
        (None, "None"),
        (True, "True"),
        (0.5, "0.5"),
        (-12, "-12"),
        (10**1000, "a number of 3322 bits"),
        ([1, 2], "[...]"),
        ((1,), "(...)"),
        ({"a": 1}, "{...}"),
        (object(), "a object"),
    ],
)
def test_a_value_from_outside_is_quoted(value: object, text: str) -> None:
    assert quoted(value) == text


def test_a_value_is_cut_before_its_text_is_made() -> None:
    """Each of them would be 80 MB or more, or never end."""
    endless: list[object] = []
    endless.append(endless)
    shared = ["x" * 1_000_000] * 100
    long = "\0" * 20_000_000
    tracemalloc.start()
    try:
        assert len(quoted(shared) + quoted(endless) + quoted(long) + printable(long)) < 500
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
