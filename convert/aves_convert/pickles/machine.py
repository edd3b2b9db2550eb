"""The stack machine that reads a pickle: its stack, its memo, and what becomes of the calls that a stream asks for.

Fixed here is what a stream can do at most: put numbers, text and containers together, and note down calls that are not
made. Only objects of this stream can be changed, and only by adding to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aves_convert.pickles.command_lines import is_command
from aves_convert.pickles.records import Call, Global, Record, preview

Rebuild: TypeAlias = "Callable[[tuple[object, ...]], object]"
PersistentLoad: TypeAlias = "Callable[[object], object]"

MAX_CALLED = 1000  # different classes and functions; genuine checkpoints have some dozens
MAX_MEMO_GAP = 1  # picklers count their memo from 0 or 1; a free choice would let a stream allocate at will


@dataclass(slots=True)
class Machine:
    """The state of reading a pickle: stack, marks and memo; one method for each opcode that does more than push.

    ``persistent`` and ``rebuild`` are our own functions, as ``read_pickle`` describes them. ``at`` says where in the
    stream the machine is. Methods raise ValueError, and IndexError where the stack is too short.
    """

    persistent: PersistentLoad | None
    rebuild: Mapping[Global, Rebuild]
    stack: list[object] = field(default_factory=list)
    marked: list[list[object]] = field(default_factory=list)
    memo: list[object] = field(default_factory=list)
    calls: dict[tuple[Global, bool], Call] = field(default_factory=dict)  # by name, and whether they give a command
    makers: dict[Global, Rebuild | None] = field(default_factory=dict)
    at: int = 0

    def since_mark(self) -> list[object]:
        """Take the newest mark away, and what was pushed after it, which is returned."""
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def store(self, number: int) -> None:
        """Keep the top of the stack under this memo number."""
        gap = number - len(self.memo)
        if gap > MAX_MEMO_GAP:
            raise ValueError(f"memo number {number} after {len(self.memo)}")
        if gap < 0:
            self.memo[number] = self.stack[-1]
        else:
            self.memo += [_MISSING] * gap
            self.memo.append(self.stack[-1])

    def recall(self, number: int) -> None:
        """Push what is kept under this memo number."""
        value = self.memo[number] if number < len(self.memo) else _MISSING
        if value is _MISSING:
            raise ValueError(f"memo number {number} was never stored")
        self.stack.append(value)

    def load_persistent(self, key: object) -> None:
        """Push the object outside the stream that this key stands for."""
        if self.persistent is None:
            raise ValueError("a persistent id outside the tensors of a torch file; refused")
        self.stack.append(self.persistent(key))

    def call(self, function: object, args: object, kwargs: object = None, *, only_new: bool = False) -> None:
        """Push what stands for the result of ``function(*args, **kwargs)``. Nothing is called but ``rebuild``.

        With ``only_new`` the stream asks for ``function.__new__`` alone, which starts nothing.
        """
        if type(args) is not tuple:
            raise ValueError(f"the arguments of a call are {preview(args)}, not a tuple")
        if type(function) is not Global:
            raise ValueError(f"it would call {preview(function)}, which is no class or function; nothing was executed")
        if kwargs is not None and type(kwargs) is not dict:
            raise ValueError(f"the keyword arguments of a call are {preview(kwargs)}, not a dict")
        if function not in self.makers:
            self.makers[function] = self._maker(function)
        gives_command = not only_new and is_command((*args[:_FIRST], *list((kwargs or {}).values())[:_FIRST]))
        if kwargs or ((function, gives_command) not in self.calls and function not in _IN_DATA):
            self._note(function, args, kwargs, gives_command=gives_command)
        if function.module != _REBUILDS and function not in _IN_DATA:
            self._note_callable(args, kwargs)
        make = self.makers[function]
        self.stack.append(Record(function, args, kwargs) if make is None or kwargs else make(args))

    def _note(
        self,
        function: Global,
        args: tuple[object, ...],
        kwargs: dict[object, object] | None,
        *,
        gives_command: bool = False,
    ) -> None:
        call = Call(function, args, kwargs, self.at, gives_command)
        self.calls.setdefault((function, gives_command), call)
        if len(self.calls) > MAX_CALLED:
            raise ValueError(f"it names more than {MAX_CALLED} classes and functions")

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


_FIRST = 8  # arguments that are looked at
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


def _is_of_typing(named: Global) -> bool:
    return named.module == "typing" and named.name.isidentifier()
