"""Telling from a call's name and arguments whether it runs something: a class of any package can start a process.

A class is known by its name alone here. The names of those that run something say so, in every package: ``Popen``,
``ProxyCommand``, ``PtyProcess``. Where a name does not, its arguments do: the words of a command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Of the parts of a class's name; "Callback", "Processor" and "Runtime" are words of their own.
_RUNNING = re.compile(
    r"bash|call|caller|cdll|cmd|command|compile|daemon|dll|dlopen|eval|evaluate|exec|execl|execute|executor|"
    r"execv|fork|forkserver|getoutput|import|importer|invoke|invoker|launch|launcher|pexpect|pickler|popen|"
    r"powershell|process|program|pty|run|runner|script|shell|spawn|spawner|subprocess|sudo|system|terminal|"
    r"unpickler"
)
# A name is about what its last word says: RunConfig, EvalMode and SystemSettings are data.
_DATA = re.compile(
    r"args|arguments|choice|choices|conf|config|configs|configuration|data|dict|dir|enum|error|field|flag|"
    r"flags|format|id|info|kind|level|list|meta|metadata|mode|name|node|options|order|param|parameters|params|"
    r"path|policy|result|results|schedule|setting|settings|size|spec|state|stats|status|strategy|tuple|type|"
    r"types"
)
_MODULES = ("exec_command", "os", "popen_fork", "popen_spawn", "posix", "pty", "shell", "spawn", "subprocess")
_SHELL = re.compile(r"[\s;|&$<>`]")
_LOOKED_AT = 16  # arguments, and words of one


def is_runner(module: str, name: str) -> bool:
    """Whether the class is one that runs something, by its name and those of the modules that it is in.

    >>> is_runner("psutil", "Popen"), is_runner("fairseq.dataclass.configs", "EvalLMConfig")
    (True, False)
    """
    words = [word.lower() for part in name.split(".") for word in _WORDS.findall(part)]
    if "popen" in name.lower() or any(part.lstrip("_") in _MODULES for part in module.split(".")):
        return True
    return bool(words) and not _DATA.fullmatch(words[-1]) and any(map(_RUNNING.fullmatch, words))


def is_command(args: Iterable[object]) -> bool:
    """Whether one of a call's first arguments is a command line: a list of words, or words of a shell's language.

    One word alone is none: the members of an enumeration are written so.
    """
    return any(_is_command_line(argument) for argument, _ in zip(args, range(_LOOKED_AT), strict=False))


def _is_command_line(value: object) -> bool:
    if type(value) is str:
        return bool(_SHELL.search(value[:4096]))
    if type(value) is bytes:
        return _is_command_line(value[:4096].decode("latin-1"))
    if type(value) in (list, tuple):
        first = value[:_LOOKED_AT]  # type: ignore[index]
        return bool(first) and all(type(word) in (str, bytes) for word in first)
    return False
