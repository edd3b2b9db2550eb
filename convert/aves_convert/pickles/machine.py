"""The stack machine that reads a pickle: what every opcode does to the stack and the memo.

Fixed here is what a stream can do at most: put numbers, text and containers together, and note down calls that are not
made. Only objects of this stream can be changed, and only by adding to them.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from aves_convert.pickles.arguments import memo_number, utf8_text
from aves_convert.pickles.records import Call, Global, Record, preview

Rebuild: TypeAlias = "Callable[[tuple[object, ...]], object]"
PersistentLoad: TypeAlias = "Callable[[object], object]"

MAX_MEMO_GAP = 1  # picklers count their memo from 0 or 1; a free choice would let a stream allocate at will
# Text hashes with a secret seed; numbers do not, so a stream could choose keys that all collide. Small
# ones at least have hashes of their own; large numbers, fractions and tuples can all be given the same one.
MAX_SMALL_INT_KEYS, MAX_OTHER_KEYS = 4096, 256
MAX_NAME = 500  # characters of a class's name; comparing long names again and again would take for ever


@dataclass(slots=True)
class Machine:
    """A stack, marks and a memo; one method per opcode that does more than push a value.

    ``persistent`` and ``rebuild`` are our own functions, as ``read_pickle`` describes them. ``at`` says
    where in the stream the machine is. Methods raise ValueError, and IndexError where the stack is too short.
    """

    persistent: PersistentLoad | None
    rebuild: Mapping[Global, Rebuild]
    stack: list[object] = field(default_factory=list)
    marked: list[list[object]] = field(default_factory=list)
    memo: list[object] = field(default_factory=list)
    calls: dict[Global, Call] = field(default_factory=dict)
    makers: dict[Global, Rebuild | None] = field(default_factory=dict)
    at: int = 0

    def no_opcode(self, _: bytes) -> NoReturn:
        """Refuse a byte that is no opcode."""
        raise ValueError("this is no opcode of a pickle")

    def _mark(self, _: bytes) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[object]:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def _protocol(self, raw: bytes) -> None:
        if raw[0] > 5:
            raise ValueError(f"protocol {raw[0]} is not known")

    def _nothing(self, _: bytes) -> None:
        """FRAME only announces how many bytes belong together."""

    def _unsupported(self, _: bytes) -> NoReturn:
        raise ValueError("extension codes and out-of-band buffers have no place in a checkpoint; refused")

    # Memo

    def _put_text(self, raw: bytes) -> None:
        self._store(memo_number(raw))

    def _put(self, raw: bytes) -> None:
        self._store(int.from_bytes(raw, "little"))

    def _memoize(self, _: bytes) -> None:
        self.memo.append(self.stack[-1])

    def _store(self, number: int) -> None:
        gap = number - len(self.memo)
        if gap > MAX_MEMO_GAP:
            raise ValueError(f"memo number {number} after {len(self.memo)}")
        if gap < 0:
            self.memo[number] = self.stack[-1]
        else:
            self.memo += [_MISSING] * gap
            self.memo.append(self.stack[-1])

    def _get_text(self, raw: bytes) -> None:
        self._recall(memo_number(raw))

    def _get(self, raw: bytes) -> None:
        self._recall(int.from_bytes(raw, "little"))

    def _recall(self, number: int) -> None:
        value = self.memo[number] if number < len(self.memo) else _MISSING
        if value is _MISSING:
            raise ValueError(f"memo number {number} was never stored")
        self.stack.append(value)

    # Stack

    def _pop(self, _: bytes) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._since_mark()

    def _pop_mark(self, _: bytes) -> None:
        self._since_mark()

    def _dup(self, _: bytes) -> None:
        self.stack.append(self.stack[-1])

    # Containers

    def _tuple(self, _: bytes) -> None:
        items = tuple(self._since_mark())
        self.stack.append(items)

    def _tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def _list(self, _: bytes) -> None:
        items = self._since_mark()
        self.stack.append(items)

    def _dict(self, _: bytes) -> None:
        items = self._since_mark()
        made: dict[object, object] = {}
        self.stack.append(made)
        self._set_all(made, items)

    def _frozenset(self, _: bytes) -> None:
        items = self._since_mark()
        self.stack.append(Record(Global("builtins", "frozenset"), (items,)))

    def _append(self, _: bytes) -> None:
        value = self.stack.pop()
        self._extend(self.stack[-1], [value])

    def _appends(self, _: bytes) -> None:
        items = self._since_mark()
        self._extend(self.stack[-1], items)

    def _extend(self, target: object, values: list[object]) -> None:
        if type(target) is list:
            target += values
        elif type(target) is Record:
            if target.values is None:
                target.values = []
            target.values += values
        else:
            raise ValueError(f"it would add to {preview(target)}, which is no list")

    def _set_item(self, _: bytes) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._set_all(self.stack[-1], [key, value])

    def _set_items(self, _: bytes) -> None:
        items = self._since_mark()
        self._set_all(self.stack[-1], items)

    def _set_all(self, target: object, items: list[object]) -> None:
        """Put alternating keys and values into a dict, or note them in a record."""
        if len(items) % 2:
            raise ValueError("a key without a value")
        if type(target) is dict:
            for index in range(0, len(items), 2):
                _set(target, items[index], items[index + 1])
        elif type(target) is Record:
            if target.items is None:
                target.items = []
            target.items += zip(items[::2], items[1::2], strict=True)
        else:
            raise ValueError(f"it would change {preview(target)}, which is no dict")

    # Globals and calls

    def _global(self, raw: bytes) -> None:
        self.stack.append(_named(raw))

    def _stack_global(self, _: bytes) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("the name of a global must be two strings")
        self.stack.append(_global(module, name))

    def _reduce(self, _: bytes) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self._call(function, args, None)

    def _new(self, _: bytes) -> None:
        args, cls = self.stack.pop(), self.stack.pop()
        self._call(cls, args, None)

    def _new_ex(self, _: bytes) -> None:
        kwargs, args, cls = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._call(cls, args, kwargs)

    def _inst(self, raw: bytes) -> None:
        args = tuple(self._since_mark())
        self._call(_named(raw), args, None)

    def _obj(self, _: bytes) -> None:
        items = self._since_mark()
        self._call(items[0], tuple(items[1:]), None)

    def _call(self, function: object, args: object, kwargs: object) -> None:
        """Push what stands for the result of ``function(*args, **kwargs)``. Nothing is called but ``rebuild``."""
        if type(args) is not tuple:
            raise ValueError(f"the arguments of a call are {preview(args)}, not a tuple")
        if type(function) is not Global:
            raise ValueError(f"it would call {preview(function)}, which is no class or function; nothing was executed")
        if kwargs is not None and type(kwargs) is not dict:
            raise ValueError(f"the keyword arguments of a call are {preview(kwargs)}, not a dict")
        if function not in self.makers:
            self.makers[function] = self._maker(function)
        if kwargs or (function not in self.calls and function not in _IN_DATA):
            self._note(function, args, kwargs)
        if function.module != _REBUILDS and function not in _IN_DATA:
            self._note_callable(args, kwargs)
        make = self.makers[function]
        self.stack.append(Record(function, args, kwargs) if make is None or kwargs else make(args))

    def _note(self, function: Global, args: tuple[object, ...], kwargs: dict[object, object] | None) -> None:
        self.calls.setdefault(function, Call(function, args, kwargs, self.at))

    def _note_callable(self, args: tuple[object, ...], kwargs: dict[object, object] | None) -> None:
        """Whatever is given a function or a class may call it: harmless ones are used as a way to others."""
        for index, argument in enumerate(args):
            if type(argument) is Global:
                self._note(argument, args[index + 1 :], None)
        for argument in (kwargs or {}).values():
            if type(argument) is Global:
                self._note(argument, (), None)

    def _maker(self, function: Global) -> Rebuild | None:
        """What makes the results of ``function``; None where they are records."""
        if function in _DICTS:
            return lambda args: Record(function, args) if args else {}
        if function == _DEFAULTDICT:
            return lambda _: {}
        if function in _IN_DATA:
            return lambda args: self._in_data(function, args)
        return self.rebuild.get(function)

    def _in_data(self, function: Global, args: tuple[object, ...]) -> object:
        """A call that is harmless with one kind of argument; with any other it is noted."""
        if not _IN_DATA[function](args):
            self._note(function, args, None)
        return Record(function, args)

    def _build(self, _: bytes) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is dict:
            return  # the attributes of an OrderedDict: a state dict has its versions there
        if type(target) is not Record:
            raise ValueError(f"it would change {preview(target)}, which was not made by this file")
        if target.state is not None:
            raise ValueError(f"it sets the state of {target.global_} twice")
        target.state = state

    def _persid(self, raw: bytes) -> None:
        self._persist(utf8_text(raw[:-1]))

    def _binpersid(self, _: bytes) -> None:
        self._persist(self.stack.pop())

    def _persist(self, key: object) -> None:
        if self.persistent is None:
            raise ValueError("a persistent id outside the tensors of a torch file; refused")
        self.stack.append(self.persistent(key))


_DICTS = frozenset({Global("collections", "OrderedDict"), Global("builtins", "dict")})
_DEFAULTDICT = Global("collections", "defaultdict")  # its argument is the class of its default
_REBUILDS = "torch._utils"  # functions that put tensors together, and are given classes and types without calling them
# How types are written, which omegaconf keeps with the settings: Tuple[int, ...], int | None and NoneType.
_IN_DATA: dict[Global, Callable[[tuple[object, ...]], bool]] = {
    Global("_operator", "getitem"): lambda args: isinstance(args[0], Global) and _is_of_typing(args[0]),
    Global("builtins", "type"): lambda args: args[0] is None and len(args) == 1,
} | {
    Global(module, "reduce"): lambda args: args[0] == Global("_operator", "or_")
    for module in ("_functools", "functools")
}
_MISSING = object()


def _set(target: dict[object, object], key: object, value: object) -> None:
    """``target[key] = value`` for keys whose hash costs nothing and does nothing."""
    if type(key) is not str and type(key) is not bytes:
        if not _is_plain(key) and not (type(key) is tuple and len(key) <= 16 and all(map(_is_plain, key))):
            raise ValueError(f"a dict has the key {preview(key)}")
        limit = MAX_SMALL_INT_KEYS if isinstance(key, int) and abs(key) < 2**60 else MAX_OTHER_KEYS
        if len(target) >= limit:
            raise ValueError(f"a dict has more than {limit} entries that are not named by strings")
    if key in target:
        raise ValueError(f"a dict has the key {preview(key)} twice")
    target[key] = value


def _is_plain(key: object) -> bool:
    return key is None or type(key) in (str, bytes, int, float, bool, Global, Record)


def _named(lines: bytes) -> Global:
    module, name = lines[:-1].split(b"\n")
    return _global(utf8_text(module), utf8_text(name))


def _global(module: str, name: str) -> Global:
    """A name as pickle understands it: up to protocol 2 streams have the names that things had in Python 2."""
    if len(module) + len(name) > MAX_NAME:
        raise ValueError("the name of a global is too long")
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return Global(module, name)


def _is_of_typing(named: Global) -> bool:
    return named.module == "typing" and named.name.isidentifier()


def _tuple_of(count: int) -> Callable[[Machine, bytes], None]:
    return lambda machine, _: machine._tuple_of(count)


# Opcodes that do something else; the machine itself does STOP.
ACTIONS: dict[str, tuple[int, Callable[[Machine, bytes], None] | None]] = {
    "PROTO": (1, Machine._protocol),
    "FRAME": (1, Machine._nothing),
    "STOP": (1, None),
    "MARK": (3, Machine._mark),
    "POP": (1, Machine._pop),
    "POP_MARK": (1, Machine._pop_mark),
    "DUP": (1, Machine._dup),
    "PUT": (6, Machine._put_text),
    "BINPUT": (1, Machine._put),
    "LONG_BINPUT": (1, Machine._put),
    "MEMOIZE": (1, Machine._memoize),
    "GET": (1, Machine._get_text),
    "BINGET": (1, Machine._get),
    "LONG_BINGET": (1, Machine._get),
    "LIST": (3, Machine._list),
    "DICT": (6, Machine._dict),
    "TUPLE": (2, Machine._tuple),
    "TUPLE1": (2, _tuple_of(1)),
    "TUPLE2": (2, _tuple_of(2)),
    "TUPLE3": (2, _tuple_of(3)),
    "FROZENSET": (6, Machine._frozenset),
    "APPEND": (1, Machine._append),
    "APPENDS": (1, Machine._appends),
    "ADDITEMS": (1, Machine._appends),
    "SETITEM": (4, Machine._set_item),
    "SETITEMS": (4, Machine._set_items),
    "GLOBAL": (6, Machine._global),
    "STACK_GLOBAL": (6, Machine._stack_global),
    "REDUCE": (8, Machine._reduce),
    "NEWOBJ": (8, Machine._new),
    "NEWOBJ_EX": (8, Machine._new_ex),
    "INST": (12, Machine._inst),
    "OBJ": (8, Machine._obj),
    "BUILD": (1, Machine._build),
    "PERSID": (8, Machine._persid),
    "BINPERSID": (4, Machine._binpersid),
    "EXT1": (1, Machine._unsupported),
    "EXT2": (1, Machine._unsupported),
    "EXT4": (1, Machine._unsupported),
    "NEXT_BUFFER": (1, Machine._unsupported),
    "READONLY_BUFFER": (1, Machine._unsupported),
}
