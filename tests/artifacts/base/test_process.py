"""A call in a process of its own ends at its limits, and takes nothing with it."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from aves_artifacts.base.process import Ends, LimitError, Limits, Process, borrowed, call_apart, ends, give_back

ROOM = Limits(60, 1 << 30)


def test_what_a_function_gives_and_raises() -> None:
    process = Process()
    assert process.call("math", "hypot", 3, 4, limits=ROOM) == 5
    with pytest.raises(ValueError, match="math domain error"):
        process.call("math", "sqrt", -1, limits=ROOM)
    assert process.call("os", "getpid", limits=ROOM) == process.call("os", "getpid", limits=ROOM)
    process.close()


def test_time() -> None:
    process, began = Process(), time.monotonic()
    number = process.call("os", "getpid", limits=ROOM)
    with pytest.raises(LimitError, match="more than 1 s"):
        process.call("time", "sleep", 60, limits=Limits(1, 1 << 30))
    assert time.monotonic() - began < 30
    assert not psutil.pid_exists(number)
    with pytest.raises(LimitError, match="an earlier call was ended: it takes more than 1 s"):
        process.call("math", "sqrt", 1, limits=ROOM)


def test_memory() -> None:
    with pytest.raises(LimitError, match=r"more than 0\.2 GiB of memory"):
        Process().call("numpy", "ones", 1 << 29, limits=Limits(60, 200 << 20))


def test_a_process_that_ends() -> None:
    with pytest.raises(LimitError, match="status 3"):
        Process().call("os", "_exit", 3, limits=ROOM)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
def test_a_process_whose_file_was_cut_off() -> None:
    with pytest.raises(LimitError, match="the file became shorter while it was read"):
        Process().call("signal", "raise_signal", signal.SIGBUS, limits=ROOM)


def test_it_does_not_outlive_its_owner() -> None:
    process = Process()
    number = process.call("os", "getpid", limits=ROOM)
    del process
    assert not psutil.pid_exists(number)


def test_calls_share_a_process_until_one_fails() -> None:
    one, other = (call_apart("os", "getpid", limits=ROOM) for _ in range(2))
    assert one == other
    with pytest.raises(LimitError, match="status 3"):
        call_apart("os", "_exit", 3, limits=ROOM)
    assert call_apart("os", "getpid", limits=ROOM) != one


def test_a_process_that_may_have_filled_its_memory_is_not_shared() -> None:
    number = call_apart("os", "getpid", limits=Limits(60, 8 << 30))
    assert not psutil.pid_exists(number)


def test_one_that_has_ended_meanwhile_is_not_lent() -> None:
    number = call_apart("os", "getpid", limits=ROOM)
    psutil.Process(number).kill()
    time.sleep(0.1)
    assert call_apart("os", "getpid", limits=ROOM) != number


def test_a_shared_one_is_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call_apart("os", "getpid", limits=ROOM)
    monkeypatch.chdir(tmp_path)
    assert call_apart("os", "getcwd", limits=ROOM) == str(tmp_path)


def test_who_borrows_one_has_it_alone() -> None:
    one, other = borrowed(), borrowed()
    numbers = [process.call("os", "getpid", limits=ROOM) for process in (one, other)]
    assert call_apart("os", "getpid", limits=ROOM) not in numbers
    give_back(one, ROOM.memory)
    assert call_apart("os", "getpid", limits=ROOM) == numbers[0]
    other.close()


def test_an_error_of_a_library_that_is_not_here_is_told() -> None:
    with pytest.raises(RuntimeError, match="Error while deserializing: header too small"):
        call_apart("safetensors", "deserialize", b"x", limits=ROOM)


def test_one_that_holds_much_is_not_lent() -> None:
    """Whatever its calls were allowed: the next one would be blamed for it."""
    process = borrowed()
    number = process.call("os", "getpid", limits=ROOM)
    process.call("tests.support.memory_kept", "keep", 900 << 20, limits=Limits(60, 4 << 30))
    give_back(process, ROOM.memory)
    assert not psutil.pid_exists(number)


def test_a_place_for_modules_that_was_added_later_is_known_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process()
    process.call("os", "getpid", limits=ROOM)
    (tmp_path / "added_later.py").write_text("def answer(): return 42")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert process.call("added_later", "answer", limits=ROOM) == 42
    process.close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_addresses_are_limited_unless_a_driver_needs_them() -> None:
    process = Process()
    import resource

    asked = ("resource", "getrlimit", resource.RLIMIT_AS)
    bounded, _ = process.call(*asked, limits=Limits(60, 1 << 30))
    free, most = process.call(*asked, limits=Limits(60, 1 << 30, addresses=False))
    assert 1 << 30 < bounded != free == most
    process.close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize(("number", "killed"), [(signal.SIGSEGV, 0), (signal.SIGKILL, 1), (signal.SIGTERM, 1)])
def test_who_was_killed_is_told_apart_from_who_crashed(number: signal.Signals, killed: int) -> None:
    before = ends()
    with pytest.raises(LimitError, match=f"its process ended \\(signal {int(number)}\\)"):
        Process().call("signal", "raise_signal", number, limits=ROOM)
    assert ends() == Ends(before.all + 1, before.killed + killed)
