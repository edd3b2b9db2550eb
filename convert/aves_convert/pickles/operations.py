"""What each opcode of a pickle does to the machine that reads it; those that push a value are in ``arguments``."""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from aves_convert.pickles.arguments import memo_number, utf8_text
from aves_convert.pickles.containers import extend, set_all, set_state
from aves_convert.pickles.machine import Machine
from aves_convert.pickles.records import Global, Record

Action: TypeAlias = "Callable[[Machine, bytes], None]"

MAX_NAME = 500  # characters of a class's name; comparing long names again and again would take for ever


def no_opcode(_machine: Machine, _raw: bytes) -> NoReturn:
    """Refuse a byte that is no opcode."""
    raise ValueError("this is no opcode of a pickle")


def _unsupported(_machine: Machine, _raw: bytes) -> NoReturn:
    raise ValueError("extension codes and out-of-band buffers have no place in a checkpoint; refused")


def _protocol(_machine: Machine, raw: bytes) -> None:
    if raw[0] > 5:
        raise ValueError(f"protocol {raw[0]} is not known")


def _nothing(_machine: Machine, _raw: bytes) -> None:
    """FRAME only announces how many bytes belong together."""


# --- stack and memo


def _mark(machine: Machine, _raw: bytes) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine, _raw: bytes) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.since_mark()


def _pop_mark(machine: Machine, _raw: bytes) -> None:
    machine.since_mark()


def _dup(machine: Machine, _raw: bytes) -> None:
    machine.stack.append(machine.stack[-1])


def _memoize(machine: Machine, _raw: bytes) -> None:
    machine.memo.append(machine.stack[-1])


# --- containers


def _tuple_of(count: int) -> Action:
    def act(machine: Machine, _raw: bytes) -> None:
        if len(machine.stack) < count:
            raise IndexError
        items = tuple(machine.stack[-count:])
        del machine.stack[-count:]
        machine.stack.append(items)

    return act


def _tuple(machine: Machine, _raw: bytes) -> None:
    items = tuple(machine.since_mark())
    machine.stack.append(items)


def _list(machine: Machine, _raw: bytes) -> None:
    items = machine.since_mark()
    machine.stack.append(items)


def _dict(machine: Machine, _raw: bytes) -> None:
    items = machine.since_mark()
    made: dict[object, object] = {}
    machine.stack.append(made)
    set_all(made, items)


def _frozenset(machine: Machine, _raw: bytes) -> None:
    items = machine.since_mark()
    machine.stack.append(Record(Global("builtins", "frozenset"), (items,)))


def _append(machine: Machine, _raw: bytes) -> None:
    value = machine.stack.pop()
    extend(machine.stack[-1], [value])


def _appends(machine: Machine, _raw: bytes) -> None:
    items = machine.since_mark()
    extend(machine.stack[-1], items)


def _set_item(machine: Machine, _raw: bytes) -> None:
    value = machine.stack.pop()
    key = machine.stack.pop()
    set_all(machine.stack[-1], [key, value])


def _set_items(machine: Machine, _raw: bytes) -> None:
    items = machine.since_mark()
    set_all(machine.stack[-1], items)


# --- names and calls


def _global(machine: Machine, raw: bytes) -> None:
    machine.stack.append(_named(raw))


def _stack_global(machine: Machine, _raw: bytes) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("the name of a global must be two strings")
    machine.stack.append(_global_of(module, name))


def _reduce(machine: Machine, _raw: bytes) -> None:
    """A function or a class, and its arguments."""
    args, function = machine.stack.pop(), machine.stack.pop()
    machine.call(function, args)


def _new(machine: Machine, _raw: bytes) -> None:
    """A class, and the arguments of its ``__new__``."""
    args, cls = machine.stack.pop(), machine.stack.pop()
    machine.call(cls, args, only_new=True)


def _new_ex(machine: Machine, _raw: bytes) -> None:
    kwargs, args, cls = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    machine.call(cls, args, kwargs, only_new=True)


def _inst(machine: Machine, raw: bytes) -> None:
    args = tuple(machine.since_mark())
    machine.call(_named(raw), args)


def _obj(machine: Machine, _raw: bytes) -> None:
    items = machine.since_mark()
    machine.call(items[0], tuple(items[1:]))


def _build(machine: Machine, _raw: bytes) -> None:
    state = machine.stack.pop()
    set_state(machine.stack[-1], state)


def _named(lines: bytes) -> Global:
    module, name = lines[:-1].split(b"\n")
    return _global_of(utf8_text(module), utf8_text(name))


def _global_of(module: str, name: str) -> Global:
    """A name as pickle understands it: up to protocol 2 streams have the names that things had in Python 2."""
    if len(module) + len(name) > MAX_NAME:
        raise ValueError("the name of a global is too long")
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return Global(module, name)


# What an opcode costs of the budget, and what it does; STOP ends the reading.
ACTIONS: dict[str, tuple[int, Action | None]] = {
    "PROTO": (1, _protocol),
    "FRAME": (1, _nothing),
    "STOP": (1, None),
    "MARK": (3, _mark),
    "POP": (1, _pop),
    "POP_MARK": (1, _pop_mark),
    "DUP": (1, _dup),
    "PUT": (6, lambda machine, raw: machine.store(memo_number(raw))),
    "BINPUT": (1, lambda machine, raw: machine.store(int.from_bytes(raw, "little"))),
    "LONG_BINPUT": (1, lambda machine, raw: machine.store(int.from_bytes(raw, "little"))),
    "MEMOIZE": (1, _memoize),
    "GET": (1, lambda machine, raw: machine.recall(memo_number(raw))),
    "BINGET": (1, lambda machine, raw: machine.recall(int.from_bytes(raw, "little"))),
    "LONG_BINGET": (1, lambda machine, raw: machine.recall(int.from_bytes(raw, "little"))),
    "LIST": (3, _list),
    "DICT": (6, _dict),
    "TUPLE": (2, _tuple),
    "TUPLE1": (2, _tuple_of(1)),
    "TUPLE2": (2, _tuple_of(2)),
    "TUPLE3": (2, _tuple_of(3)),
    "FROZENSET": (6, _frozenset),
    "APPEND": (1, _append),
    "APPENDS": (1, _appends),
    "ADDITEMS": (1, _appends),
    "SETITEM": (4, _set_item),
    "SETITEMS": (4, _set_items),
    "GLOBAL": (6, _global),
    "STACK_GLOBAL": (6, _stack_global),
    "REDUCE": (8, _reduce),
    "NEWOBJ": (8, _new),
    "NEWOBJ_EX": (8, _new_ex),
    "INST": (12, _inst),
    "OBJ": (8, _obj),
    "BUILD": (1, _build),
    "PERSID": (8, lambda machine, raw: machine.load_persistent(utf8_text(raw[:-1]))),
    "BINPERSID": (4, lambda machine, _: machine.load_persistent(machine.stack.pop())),
    "EXT1": (1, _unsupported),
    "EXT2": (1, _unsupported),
    "EXT4": (1, _unsupported),
    "NEXT_BUFFER": (1, _unsupported),
    "READONLY_BUFFER": (1, _unsupported),
}
