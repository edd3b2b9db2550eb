"""Pickle streams read without calling anything: what a class or a function would have made becomes an inert record.

This is a stack machine of its own and no ``pickle.Unpickler`` with a filter, because a filter still lets the stream
choose what is hashed, how much is allocated and which object is changed. Here an opcode can only build lists, tuples,
dicts, numbers, strings and ``Record``s; nothing in this module imports, looks up or calls what a stream names.
Time and memory are linear in the stream and bounded by ``BUDGET``; every refusal names the opcode and the byte.
The opcodes are described by the standard library's ``pickletools``.
"""

from __future__ import annotations

import mmap
import pickletools
import re
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from aves_artifacts.errors import InputError

Bytes: TypeAlias = "bytes | mmap.mmap"

# In units of about 32 bytes, so half a gigabyte: 200 times what the largest genuine checkpoint needs, and room for
# 100,000 tensors. Strings cost their bytes in the file, so only objects are counted.
BUDGET = 16_000_000
MAX_INT_BYTES = 255  # what LONG1 can hold; larger numbers only serve to make arithmetic and printing slow
MAX_MEMO_GAP = 16  # picklers number their memo one by one; a free choice would let a stream allocate at will
MAX_ODD_KEYS = 10_000  # strings and bytes hash with a secret seed, numbers do not: collisions can be made at will


@dataclass(frozen=True)
class Global:
    """The name of a class or function in a stream; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return _printable(f"{self.module}.{self.name}")


@dataclass(eq=False, slots=True, repr=False)
class Record:
    """An object that was not made: what would have been called, with what, and what would have been put into it.

    ``state`` is the argument of BUILD (of ``__setstate__``), ``items`` and ``values`` those of SETITEM and APPEND.
    """

    global_: Global
    args: tuple[object, ...] = ()
    kwargs: dict[object, object] | None = None
    state: object = None
    items: list[tuple[object, object]] | None = None
    values: list[object] | None = None

    def __repr__(self) -> str:
        return f"<record of {self.global_}>"  # the content may be deep, huge or contain itself


@dataclass(frozen=True, eq=False)
class Call:
    """One call that the stream asks for: what, with which arguments, and the byte of the opcode."""

    global_: Global
    args: tuple[object, ...]
    position: int

    def __str__(self) -> str:
        """The call as Python would write it, cut short: ``posix.system('id')``."""
        shown = [_preview(argument) for argument in self.args[:4]]
        return f"{self.global_}({', '.join(shown)}{', ...' if len(self.args) > 4 else ''})"


@dataclass(frozen=True, eq=False)
class Loaded:
    """A stream that was read: its object, the first call of every global that it asks for, the byte after its end."""

    root: object
    calls: tuple[Call, ...]
    end: int


Rebuild: TypeAlias = "Callable[[tuple[object, ...]], object]"
PersistentLoad: TypeAlias = "Callable[[object], object]"


def load(
    data: Bytes,
    where: str,
    *,
    start: int = 0,
    persistent: PersistentLoad | None = None,
    rebuild: Mapping[Global, Rebuild] | None = None,
) -> Loaded:
    """Read the pickle that begins at byte ``start`` of ``data`` and give its inert content.

    ``persistent`` turns a persistent id into an object (without it any is refused); ``rebuild`` holds our own functions
    for globals whose result is wanted, given the arguments as the stream has them: both must check what they are given
    and raise ValueError. ``where`` names the source in messages.
    Raises InputError where the stream is damaged, truncated or asks for something outside this machine.
    """
    machine = _Machine(data, where, start, persistent, rebuild or {})
    root = machine.run()
    return Loaded(root, tuple(machine.calls.values()), machine.position)


def scan(data: Bytes, *, start: int = 0) -> tuple[tuple[Call, ...], int | None]:
    """Every global that the pickle at ``start`` would call, and the byte after its end.

    For reporting only: a damaged pickle gives what it asks for up to the damage, and None as its end.
    """
    machine = _Machine(data, "", start, lambda key: Record(Global("persistent", "id"), (key,)), {})
    try:
        machine.run()
    except InputError:
        return tuple(machine.calls.values()), None
    return tuple(machine.calls.values()), machine.position


def refuse_dangerous(calls: tuple[Call, ...], where: str) -> None:
    """Raise InputError when a stream asks for a call that no checkpoint needs, naming all of them.

    Classes of other packages (a trainer's own settings, say) are no danger to this reader and stay records.
    """
    dangerous = [str(call) for call in calls if not is_harmless(call.global_)]
    if dangerous:
        more = f" and {len(dangerous) - 3} more" if len(dangerous) > 3 else ""
        raise InputError(
            f"{where}: this file wants to run {', '.join(dangerous[:3])}{more} when opened; nothing was executed; "
            "do not open it with anything else, and get the checkpoint from its authors"
        )


def is_harmless(name: Global) -> bool:
    """Whether a genuine checkpoint may call ``name``: for tensors and plain containers, or a class of a package."""
    if name.name in _HARMLESS.get(name.module, ()):
        return True
    if name.module == "torch._utils" and name.name.startswith("_rebuild_"):
        return True
    root = name.module.partition(".")[0]
    class_like = name.name.rpartition(".")[2].lstrip("_")[:1].isupper()
    return class_like and root not in sys.stdlib_module_names and root not in _BUILTINS


_BUILTINS = {
    "builtins": "builtins",
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
}  # Python 2's names, still written
_NUMBERS = ("bool", "complex", "float", "int")
_CONTAINERS = ("bytearray", "bytes", "dict", "frozenset", "list", "object", "range", "set", "slice", "str", "tuple")
_NUMPY = ("_reconstruct", "scalar")
_PATHS = ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
# Calls of the standard library, and of functions, that are part of ordinary data.
_HARMLESS: dict[str, tuple[str, ...]] = {
    "_codecs": ("encode",),  # bytes, as protocol 2 writes them
    "argparse": ("Namespace",),
    "array": ("_array_reconstructor",),
    "builtins": (*_NUMBERS, *_CONTAINERS),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque"),
    "copyreg": ("_reconstructor",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "numpy": ("dtype", "ndarray"),
    "numpy._core.multiarray": _NUMPY,
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.core.multiarray": _NUMPY,
    "numpy.core.numeric": ("_frombuffer",),
    "numpy.random._pickle": ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"),
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "random": ("Random",),
    "torch": ("device",),
    "torch._tensor": ("_rebuild_from_type_v2",),
    "torch.serialization": ("_get_layout",),
    "types": ("SimpleNamespace",),
    "uuid": ("UUID",),
}
_DICTS = frozenset({Global("collections", "OrderedDict"), Global("collections", "defaultdict")})
_SET = Global("builtins", "set")
_MISSING = object()


@dataclass(slots=True)
class _Machine:
    """The pickle machine: a stack, marks, a memo. One method per opcode that does more than push a value."""

    data: Bytes
    where: str
    position: int
    persistent: PersistentLoad | None
    rebuild: Mapping[Global, Rebuild]
    stack: list[object] = field(default_factory=list)
    marked: list[list[object]] = field(default_factory=list)
    memo: list[object] = field(default_factory=list)
    calls: dict[Global, Call] = field(default_factory=dict)
    opcode: str = "PROTO"
    at: int = 0

    def run(self) -> object:
        """Execute until STOP and return the object on top of the stack."""
        data, end, budget, at = self.data, len(self.data), BUDGET, self.position
        try:
            while True:
                if at >= end:
                    raise self.refusal("the stream ends without STOP: the file is truncated")
                self.at = at
                operation = _OPERATIONS.get(data[at])
                if operation is None:
                    raise self.refusal(f"0x{data[at]:02x} is no opcode of a pickle")
                self.opcode, size, cost, value, act = operation
                budget -= cost
                if budget < 0:
                    raise self.refusal("more objects than any checkpoint has")
                at += 1
                if size < 0:
                    at, stop = self.extent(size, at)
                else:
                    stop = at + size
                if stop > end:
                    raise self.refusal("its argument reaches past the end: the file is truncated")
                raw = data[at:stop] if stop > at else b""
                at = stop
                if value is not None:
                    self.stack.append(value(raw))
                elif act is not None:
                    act(self, raw)
                else:
                    self.position = stop
                    return self.stack.pop()
        except IndexError:
            raise self.refusal("it takes more from the stack than there is") from None
        except (ValueError, struct.error) as error:
            raise self.refusal(str(error)) from None

    def extent(self, size: int, at: int) -> tuple[int, int]:
        """First and last byte of an argument whose length is in the stream: counted, or one or two lines of text."""
        if size >= pickletools.TAKEN_FROM_ARGUMENT8U and size <= pickletools.TAKEN_FROM_ARGUMENT1:
            begin = at + _LENGTH_BYTES[size]
            return begin, begin + int.from_bytes(self.data[at:begin], "little")
        stop = at
        for _ in range(2 if size == _TWO_LINES else 1):
            stop = self.data.find(b"\n", stop) + 1
            if not stop:
                raise self.refusal("its line of text does not end: the file is truncated")
        return at, stop

    def refusal(self, problem: str) -> InputError:
        return InputError(f"{self.where}: damaged or no pickle: {self.opcode} at byte {self.at}: {problem}")

    def mark(self, _: bytes) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[object]:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def protocol(self, raw: bytes) -> None:
        if raw[0] > 5:
            raise ValueError(f"protocol {raw[0]} is not known")

    def frame(self, raw: bytes) -> None:
        if int.from_bytes(raw, "little") > len(self.data) - self.at:
            raise ValueError("the frame reaches past the end: the file is truncated")

    def unsupported(self, _: bytes) -> NoReturn:
        raise ValueError("extension codes and out-of-band buffers have no place in a checkpoint; refused")

    # Memo

    def put(self, raw: bytes) -> None:
        index = _index(raw, text=self.opcode == "PUT")
        gap = index - len(self.memo)
        if gap > MAX_MEMO_GAP:
            raise ValueError(f"memo number {index} after {len(self.memo)}")
        if gap < 0:
            self.memo[index] = self.stack[-1]
        else:
            self.memo += [_MISSING] * gap
            self.memo.append(self.stack[-1])

    def memoize(self, _: bytes) -> None:
        self.memo.append(self.stack[-1])

    def get(self, raw: bytes) -> None:
        index = _index(raw, text=self.opcode == "GET")
        value = self.memo[index] if index < len(self.memo) else _MISSING
        if value is _MISSING:
            raise ValueError(f"memo number {index} was never stored")
        self.stack.append(value)

    # Stack

    def pop(self, _: bytes) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def pop_mark(self, _: bytes) -> None:
        self.since_mark()

    def dup(self, _: bytes) -> None:
        self.stack.append(self.stack[-1])

    # Containers

    def tuple_(self, _: bytes) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def list_(self, _: bytes) -> None:
        items = self.since_mark()
        self.stack.append(items)

    def dict_(self, _: bytes) -> None:
        items = self.since_mark()
        made: dict[object, object] = {}
        self.stack.append(made)
        self.set_all(made, items)

    def frozenset_(self, _: bytes) -> None:
        items = self.since_mark()
        self.stack.append(Record(Global("builtins", "frozenset"), (items,)))

    def append(self, _: bytes) -> None:
        value = self.stack.pop()
        self.extend(self.stack[-1], [value])

    def appends(self, _: bytes) -> None:
        items = self.since_mark()
        self.extend(self.stack[-1], items)

    def extend(self, target: object, values: list[object]) -> None:
        if type(target) is list:
            target += values
        elif type(target) is Record:
            if target.values is None:
                target.values = []
            target.values += values
        else:
            raise ValueError(f"it would add to {_preview(target)}, which is no list")

    def set_item(self, _: bytes) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self.set_all(self.stack[-1], [key, value])

    def set_items(self, _: bytes) -> None:
        items = self.since_mark()
        self.set_all(self.stack[-1], items)

    def set_all(self, target: object, items: list[object]) -> None:
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
            raise ValueError(f"it would change {_preview(target)}, which is no dict")

    # Globals and calls

    def global_(self, raw: bytes) -> None:
        module, name = raw[:-1].split(b"\n")
        self.stack.append(_global(_text(module), _text(name)))

    def stack_global(self, _: bytes) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("the name of a global must be two strings")
        self.stack.append(_global(module, name))

    def reduce(self, _: bytes) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self.call(function, args, None)

    def new(self, _: bytes) -> None:
        args, cls = self.stack.pop(), self.stack.pop()
        self.call(cls, args, None)

    def new_ex(self, _: bytes) -> None:
        kwargs, args, cls = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.call(cls, args, kwargs)

    def inst(self, raw: bytes) -> None:
        module, name = raw[:-1].split(b"\n")
        args = tuple(self.since_mark())
        self.call(_global(_text(module), _text(name)), args, None)

    def obj(self, _: bytes) -> None:
        items = self.since_mark()
        self.call(items[0], tuple(items[1:]), None)

    def call(self, function: object, args: object, kwargs: object) -> None:
        """Push what stands for the result of ``function(*args, **kwargs)``. Nothing is called but ``rebuild``."""
        if type(args) is not tuple:
            raise ValueError(f"the arguments of a call are {_preview(args)}, not a tuple")
        if type(function) is not Global:
            raise ValueError(f"it would call {_preview(function)}, which is no class or function; nothing was executed")
        if kwargs is not None and type(kwargs) is not dict:
            raise ValueError(f"the keyword arguments of a call are {_preview(kwargs)}, not a dict")
        if function not in self.calls:
            self.calls[function] = Call(function, args, self.at)
        ours = self.rebuild.get(function)
        if ours is not None and not kwargs:
            self.stack.append(ours(args))
        elif function in _DICTS and not kwargs:
            self.stack.append(_dict_of(function, args))
        else:
            self.stack.append(Record(function, args, kwargs))

    def build(self, _: bytes) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is dict:
            return  # the attributes of an OrderedDict: a state dict has its versions there
        if type(target) is not Record:
            raise ValueError(f"it would change {_preview(target)}, which was not made by this file")
        if target.state is not None:
            raise ValueError(f"it sets the state of {target.global_} twice")
        target.state = state

    def persid(self, raw: bytes) -> None:
        self.persist(_text(raw[:-1]))

    def binpersid(self, _: bytes) -> None:
        self.persist(self.stack.pop())

    def persist(self, key: object) -> None:
        if self.persistent is None:
            raise ValueError("a persistent id outside the tensors of a torch file; refused")
        self.stack.append(self.persistent(key))


def _set(target: dict[object, object], key: object, value: object) -> None:
    """``target[key] = value`` for keys whose hash costs nothing and does nothing."""
    if type(key) is not str and type(key) is not bytes:
        if not _is_plain(key) and not (type(key) is tuple and len(key) <= 16 and all(map(_is_plain, key))):
            raise ValueError(f"a dict has the key {_preview(key)}")
        if len(target) >= MAX_ODD_KEYS:
            raise ValueError(f"a dict has more than {MAX_ODD_KEYS} entries that are not named by strings")
    if key in target:
        raise ValueError(f"a dict has the key {_preview(key)} twice")
    target[key] = value


def _is_plain(key: object) -> bool:
    return key is None or type(key) in (str, bytes, int, float, bool, Global, Record)


def _dict_of(function: Global, args: tuple[object, ...]) -> dict[object, object]:
    """A new dict for OrderedDict or defaultdict; Python 2 gives OrderedDict its items as a list of pairs."""
    made: dict[object, object] = {}
    if function.name == "OrderedDict" and args:
        pairs = args[0]
        if type(pairs) is not list or len(args) > 1:
            raise ValueError("OrderedDict with arguments other than a list of pairs")
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise ValueError("OrderedDict with arguments other than a list of pairs")
            _set(made, pair[0], pair[1])
    return made


def _global(module: str, name: str) -> Global:
    return Global(_BUILTINS.get(module, module), name)


def _index(raw: bytes, *, text: bool) -> int:
    index = _decimal(raw) if text else int.from_bytes(raw, "little")
    if index < 0:
        raise ValueError("a negative memo number")
    return index


def _text(raw: bytes) -> str:
    """UTF-8 as text that can be printed anywhere: what is not UTF-8 (half of a surrogate pair, say) is spelled out."""
    return raw.decode("utf-8", "backslashreplace")


def _byte_string(raw: bytes) -> str | bytes:
    """A ``str`` of Python 2: text where it is text."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _quoted(raw: bytes) -> str | bytes:
    line = raw.strip()
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    return _byte_string(_ESCAPE.sub(lambda match: _unescape(match[1]), line[1:-1]))


def _unescape(escaped: bytes) -> bytes:
    if escaped[:1] == b"x":
        return bytes([int(escaped[1:], 16)])
    if escaped[:1].isdigit():
        return bytes([int(escaped, 8) & 255])
    return {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(escaped, escaped)


_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[^x0-7])", re.DOTALL)


def _decimal(raw: bytes) -> int:
    if len(raw) > 2 * MAX_INT_BYTES:
        raise ValueError("a number of more digits than any checkpoint has")
    return int(raw)


def _int_line(raw: bytes) -> int | bool:
    line = raw.strip()
    return line == b"01" if line in (b"00", b"01") else _decimal(line)


def _binary_long(raw: bytes) -> int:
    if len(raw) > MAX_INT_BYTES:
        raise ValueError("a number of more digits than any checkpoint has")
    return int.from_bytes(raw, "little", signed=True)


def _printable(text: str, limit: int = 120) -> str:
    """``text`` for a message: one line, no control characters, cut short."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return cut if cut.isascii() and cut.isprintable() else ascii(cut)


def _preview(value: object) -> str:
    """A few words for a message; never follows containers, which may be deep, huge or contain themselves."""
    if isinstance(value, str | bytes):
        return ascii(value[:80]) + ("..." if len(value) > 80 else "")
    if value is None or type(value) in (int, float, bool):
        return repr(value)[:80]
    if type(value) is Global:
        return str(value)
    if type(value) is Record:
        return f"{value.global_}(...)"
    brackets = {"list": "[...]", "tuple": "(...)", "dict": "{...}"}
    return brackets.get(type(value).__name__, f"a {type(value).__name__}")


def _tuple_of(count: int) -> Callable[[_Machine, bytes], None]:
    return lambda machine, _: machine.tuple_of(count)


# Opcodes that push a value: cost, and the value from the bytes of the argument.
_VALUES: dict[str, tuple[int, Callable[[bytes], object]]] = {
    "NONE": (1, lambda _: None),
    "NEWTRUE": (1, lambda _: True),
    "NEWFALSE": (1, lambda _: False),
    "BININT": (1, lambda raw: int.from_bytes(raw, "little", signed=True)),
    "BININT1": (1, lambda raw: raw[0]),
    "BININT2": (1, lambda raw: int.from_bytes(raw, "little")),
    "INT": (1, _int_line),
    "LONG": (1, lambda raw: _decimal(raw.strip().rstrip(b"L"))),
    "LONG1": (1, _binary_long),
    "LONG4": (1, _binary_long),
    "FLOAT": (1, lambda raw: float(raw)),
    "BINFLOAT": (1, lambda raw: struct.unpack(">d", raw)[0]),
    "STRING": (3, _quoted),
    "BINSTRING": (3, _byte_string),
    "SHORT_BINSTRING": (3, _byte_string),
    "UNICODE": (3, lambda raw: _text(str(raw[:-1], "raw-unicode-escape").encode("utf-8", "surrogatepass"))),
    "BINUNICODE": (3, _text),
    "SHORT_BINUNICODE": (3, _text),
    "BINUNICODE8": (3, _text),
    "BINBYTES": (3, bytes),
    "SHORT_BINBYTES": (3, bytes),
    "BINBYTES8": (3, bytes),
    "BYTEARRAY8": (3, bytes),
    "EMPTY_LIST": (3, lambda _: []),
    "EMPTY_TUPLE": (1, lambda _: ()),
    "EMPTY_DICT": (3, lambda _: {}),
    "EMPTY_SET": (6, lambda _: Record(_SET)),
}
# Opcodes that do something else; the machine itself does STOP.
_ACTIONS: dict[str, tuple[int, Callable[[_Machine, bytes], None] | None]] = {
    "PROTO": (1, _Machine.protocol),
    "FRAME": (1, _Machine.frame),
    "STOP": (1, None),
    "MARK": (3, _Machine.mark),
    "POP": (1, _Machine.pop),
    "POP_MARK": (1, _Machine.pop_mark),
    "DUP": (1, _Machine.dup),
    "PUT": (6, _Machine.put),
    "BINPUT": (1, _Machine.put),
    "LONG_BINPUT": (1, _Machine.put),
    "MEMOIZE": (1, _Machine.memoize),
    "GET": (1, _Machine.get),
    "BINGET": (1, _Machine.get),
    "LONG_BINGET": (1, _Machine.get),
    "LIST": (3, _Machine.list_),
    "DICT": (6, _Machine.dict_),
    "TUPLE": (2, _Machine.tuple_),
    "TUPLE1": (2, _tuple_of(1)),
    "TUPLE2": (2, _tuple_of(2)),
    "TUPLE3": (2, _tuple_of(3)),
    "FROZENSET": (6, _Machine.frozenset_),
    "APPEND": (1, _Machine.append),
    "APPENDS": (1, _Machine.appends),
    "ADDITEMS": (1, _Machine.appends),
    "SETITEM": (4, _Machine.set_item),
    "SETITEMS": (4, _Machine.set_items),
    "GLOBAL": (6, _Machine.global_),
    "STACK_GLOBAL": (6, _Machine.stack_global),
    "REDUCE": (8, _Machine.reduce),
    "NEWOBJ": (8, _Machine.new),
    "NEWOBJ_EX": (8, _Machine.new_ex),
    "INST": (12, _Machine.inst),
    "OBJ": (8, _Machine.obj),
    "BUILD": (1, _Machine.build),
    "PERSID": (8, _Machine.persid),
    "BINPERSID": (4, _Machine.binpersid),
    "EXT1": (1, _Machine.unsupported),
    "EXT2": (1, _Machine.unsupported),
    "EXT4": (1, _Machine.unsupported),
    "NEXT_BUFFER": (1, _Machine.unsupported),
    "READONLY_BUFFER": (1, _Machine.unsupported),
}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_TWO_LINES = -100

_Operation: TypeAlias = (
    "tuple[str, int, int, Callable[[bytes], object] | None, Callable[[_Machine, bytes], None] | None]"
)


def _operation(opcode: pickletools.OpcodeInfo) -> _Operation:
    """Name, size of the argument, cost, value, action."""
    size = opcode.arg.n if opcode.arg else 0
    if opcode.name in ("GLOBAL", "INST"):
        size = _TWO_LINES
    cost, value = _VALUES.get(opcode.name, (0, None))
    act = None
    if value is None:
        cost, act = _ACTIONS[opcode.name]
    return opcode.name, size, cost, value, act


_OPERATIONS: dict[int, _Operation] = {ord(opcode.code): _operation(opcode) for opcode in pickletools.opcodes}
