"""Reading pickle streams without calling anything: what would have been made becomes an inert record.

This is a stack machine of its own and no ``pickle.Unpickler`` with a filter, because a filter still lets the stream
choose what is hashed, how much is allocated and which object is changed. Here an opcode can only build lists, tuples,
dicts, numbers, strings and ``Record``s; nothing imports, looks up or calls what a stream names.
Time and memory are linear in the stream and bounded by ``BUDGET``; every refusal names the opcode and the byte.
The opcodes are described by the standard library's ``pickletools``.
"""

from __future__ import annotations

import gc
import pickletools
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from aves_artifacts.base.errors import InputError
from aves_artifacts.base.messages import printable
from aves_artifacts.files.file_bytes import FileBytes
from aves_convert.pickles.arguments import VALUES
from aves_convert.pickles.machine import Machine, PersistentLoad, Rebuild
from aves_convert.pickles.operations import ACTIONS, Action, no_opcode
from aves_convert.pickles.records import Call, Global, Record

Bytes: TypeAlias = "bytes | FileBytes"

# In units of about 32 bytes, so 320 MB: 100 times what the largest genuine checkpoint needs, and room for 200,000
# tensors. The characters of a string are paid for by the stream, so only objects are counted.
BUDGET = 10_000_000
MAX_STREAM = 1 << 27  # bytes: 128 MiB, where genuine checkpoints have less than one


@dataclass(frozen=True, eq=False)
class Pickle:
    """A pickle that was read: its object, the calls that it asks for, and the byte after its end."""

    root: object
    calls: tuple[Call, ...]
    end: int


def read_pickle(
    data: Bytes,
    where: str,
    *,
    start: int = 0,
    persistent: PersistentLoad | None = None,
    rebuild: Mapping[Global, Rebuild] | None = None,
) -> Pickle:
    """Read the pickle that begins at byte ``start`` of ``data``; return its inert content.

    ``persistent`` turns a persistent id into an object (without it any is refused); ``rebuild`` holds our own functions
    for globals whose result is wanted, given the arguments as the stream has them: both must check what they are given
    and raise ValueError. ``where`` names the source in messages.
    Raises InputError where the stream is damaged, truncated or asks for something outside this machine.
    """
    machine = Machine(persistent, rebuild or {})
    if start >= len(data):
        raise InputError(f"{where}: the file is truncated; fetch it again")
    try:
        with _without_cycles():
            end = _run(machine, data, start)
        return Pickle(machine.stack.pop(), tuple(machine.calls.values()), end)
    except IndexError:
        problem = "it takes more from the stack than there is"
    except (ValueError, struct.error) as error:
        problem = printable(str(error), 250)  # Python's own messages quote what they could not read
    raise InputError(
        f"{where}: damaged or hostile pickle, get the file again from its authors: "
        f"{_OPERATIONS[data[machine.at]][0]} at byte {machine.at}: {problem}"
    )


def scan_pickle(data: Bytes, *, start: int = 0) -> tuple[tuple[Call, ...], int | None]:
    """Find every class and function that the pickle at ``start`` would call, and the byte after its end.

    For reporting only: a damaged pickle gives what it asks for up to the damage, and None as its end.
    """
    machine = Machine(lambda key: Record(Global("persistent", "id"), (key,)), {})
    try:
        with _without_cycles():
            end: int | None = _run(machine, data, start)
    except (IndexError, ValueError, struct.error):
        end = None
    return tuple(machine.calls.values()), end


@contextmanager
def _without_cycles() -> Iterator[None]:
    """Leave the search for garbage until later: over a million new lists it takes most of the time, and finds none."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _run(machine: Machine, data: Bytes, at: int) -> int:
    """Execute until STOP and return the byte after it. Raises ValueError, and IndexError for an empty stack."""
    end = min(len(data), at + MAX_STREAM)
    budget = BUDGET
    while at < end:
        machine.at = at
        _, size, cost, value, act = _OPERATIONS[data[at]]
        budget -= cost
        if budget < 0:
            raise ValueError("more objects than any checkpoint has")
        at += 1
        raw = b""
        if size:
            stop = at + size
            if size < 0:
                at, stop = _extent(data, size, at)
            if stop > end:
                raise ValueError("its argument reaches past the end: the file is truncated")
            raw = data[at:stop]
            at = stop
        if value is not None:
            machine.stack.append(value(raw))
        elif act is not None:
            act(machine, raw)
        else:
            return at
    raise ValueError("no STOP where a checkpoint's would be: the file is truncated or damaged")


def _extent(data: Bytes, size: int, at: int) -> tuple[int, int]:
    """First byte and end of an argument whose length is in the stream: counted, or one or two lines of text."""
    if size in _LENGTH_BYTES:
        begin = at + _LENGTH_BYTES[size]
        return begin, begin + int.from_bytes(data[at:begin], "little")
    stop = at
    for _ in range(2 if size == _TWO_LINES else 1):
        stop = data.find(b"\n", stop, at + MAX_STREAM) + 1
        if not stop:
            raise ValueError("its line of text does not end: the file is truncated")
    return at, stop


_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_TWO_LINES = -100  # beside pickletools' own negative sizes

_Operation: TypeAlias = "tuple[str, int, int, Callable[[bytes], object] | None, Action | None]"


def _operation(code: int) -> _Operation:
    """Name, size of the argument, cost, value, action."""
    opcode = _BY_CODE.get(chr(code))
    if opcode is None:
        return f"0x{code:02x}", 0, 0, None, no_opcode
    size = opcode.arg.n if opcode.arg else 0
    if opcode.name in ("GLOBAL", "INST"):
        size = _TWO_LINES
    if opcode.name in VALUES:
        cost, value = VALUES[opcode.name]
        return opcode.name, size, cost, value, None
    cost, act = ACTIONS[opcode.name]
    return opcode.name, size, cost, None, act


_BY_CODE = {opcode.code: opcode for opcode in pickletools.opcodes}
_OPERATIONS = tuple(map(_operation, range(256)))
