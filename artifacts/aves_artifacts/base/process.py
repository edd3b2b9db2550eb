"""Running our own functions on foreign files in a process of its own, with limits of time and memory.

A graph may loop without end, or ask for more memory than there is: the system then ends some process, and it must not
be this one. What the process writes on its standard error is dropped.
"""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aves_artifacts.base.messages import first_line

_BEAT = 0.05  # seconds between two looks at the memory
# What a system or an operator ends processes with; of the others a process is itself to blame.
_FROM_OUTSIDE = frozenset(-getattr(signal, name, 0) for name in ("SIGKILL", "SIGTERM", "SIGHUP")) - {0}
_START = "import sys; sys.path[:] = sys.argv[1:]; from aves_artifacts.base.process import serve; serve()"
_LENGTH = 8  # bytes before each message


@dataclass(frozen=True)
class Ends:
    """How many processes have ended that were called from here, and how many of them were killed from outside."""

    all: int
    killed: int


_ends: list[bool] = []  # of each that ended while it was called or was asked to load something, whether it was killed


def ends() -> Ends:
    """Count them so far: what was found while one more was killed says nothing of the file that it had."""
    return Ends(len(_ends), sum(_ends))


class LimitError(Exception):
    """A call that was ended: it took more time or memory than it was allowed, or took its process with it."""


@dataclass(frozen=True)
class Limits:
    """What one call may take: seconds, and bytes of memory that the whole process may hold meanwhile.

    ``addresses``: whether the system refuses it to reserve many more; drivers of accelerators reserve terabytes.
    """

    seconds: float
    memory: int
    addresses: bool = True

    @classmethod
    def of_loading(cls, size: int) -> Limits:
        """What loading files of so many bytes may take: far more than torch, onnx and ONNX Runtime need for any."""
        return cls(60 + size / 5e6, (1 << 30) + 6 * size)


class Process:
    """A process of Python that calls functions of ours, one after the other; started when first asked.

    After a call that hit a limit it is gone: every later call raises the same LimitError.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._popen: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._ended = ""

    def call(self, module: str, name: str, *args: Any, limits: Limits) -> Any:
        """Call a module's function there, with arguments that can be pickled. Raises what it raises, and LimitError.

        The answer comes from our own code: what the file decides are numbers and text in it.
        """
        with self._turn:
            if self._ended:
                raise LimitError(f"an earlier call was ended: {self._ended}")
            popen = self._popen or self._start()
            try:
                request = (module, name, args, limits, _here(), _path())
                with contextlib.suppress(OSError):  # it has ended: the answer tells
                    _send(popen.stdin, pickle.dumps(request, protocol=5))
                answer = self._wait(popen, limits)
            except BaseException:
                self.close()  # Ctrl-C: whatever it is at, nobody waits for it
                raise
            worked, value = pickle.loads(answer)  # noqa: S301 - from our own process
        if not worked:
            raise value
        return value

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended, for whatever reason."""
        return self._popen is not None and not self._ended and self._popen.poll() is None

    @property
    def resident(self) -> int:
        """How many bytes of memory it holds."""
        return 0 if self._popen is None else _resident(self._popen.pid)

    def close(self) -> None:
        """End the process, whatever it is at."""
        if self._popen is not None:
            _end(self._popen)
            self._ended = self._ended or "it was ended"

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-c", _START, *_path()]
        popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._popen = popen
        weakref.finalize(self, _end, popen)
        threading.Thread(target=_listen, args=(popen.stdout, self._replies), daemon=True).start()
        return popen

    def _wait(self, popen: subprocess.Popen[bytes], limits: Limits) -> bytes:
        began = time.monotonic()
        while True:
            try:
                answer = self._replies.get(timeout=_BEAT)
            except queue.Empty:
                answer = b""
            if answer:
                return answer
            if answer is None:
                self._ended = f"its process ended ({_how(popen)})"
            elif time.monotonic() - began > limits.seconds:
                self._ended = f"it takes more than {limits.seconds:.0f} s, and was stopped"
            elif _resident(popen.pid) > limits.memory:
                self._ended = f"it takes more than {limits.memory / 2**30:.1f} GiB of memory, and was stopped"
            if self._ended:
                _ends.append(answer is None and popen.returncode in _FROM_OUTSIDE)
                raise LimitError(self._ended)


_LARGE = 2 << 30  # bytes; what a process frees it may not give back, and the next call would be blamed for it
_LEFT = 768 << 20  # bytes; torch and ONNX Runtime hold half of that as soon as they are imported
_MOST_IDLE = 2
_idle: list[Process] = []  # processes that wait for the next who wants one


def call_apart(module: str, name: str, *args: Any, limits: Limits) -> Any:
    """Call a module's function as ``Process.call`` does, in a process that calls share while nothing fails in it."""
    process = borrowed()
    answer = process.call(module, name, *args, limits=limits)
    give_back(process, limits.memory)
    return answer


def borrowed() -> Process:
    """A process that nobody else uses until ``give_back``: to start one and import what is needed takes seconds."""
    while True:
        try:
            process = _idle.pop()
        except IndexError:
            return Process()
        if process.is_running:
            return process


def give_back(process: Process, memory: int) -> None:
    """Keep a process for others where no call hit a limit, was allowed much memory or left much; end it otherwise."""
    if process.is_running and memory < _LARGE and process.resident < _LEFT and len(_idle) < _MOST_IDLE:
        _idle.append(process)
    else:
        process.close()


def serve() -> None:
    """Answer calls until the other side goes away: what the process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who started this one ends it
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever writes to standard output must not write into the answers
    while request := _received(requests):
        module, name, args, limits, here, sys.path[:] = pickle.loads(request)  # noqa: S301 - from our own process
        _limit_memory(limits)
        try:
            os.chdir(here)
        except OSError:  # it is gone: better nowhere than where another caller was
            os.chdir(os.sep)
        try:
            answer = pickle.dumps((True, getattr(importlib.import_module(module), name)(*args)), protocol=5)
        except MemoryError:
            answer = pickle.dumps((False, LimitError(f"it takes more than {limits.memory / 2**30:.1f} GiB of memory")))
        except Exception as error:  # whatever it is, it is raised where it was asked for
            answer = pickle.dumps((False, _portable(error)), protocol=5)
        _send(replies, answer)


def _portable(error: Exception) -> Exception:
    """The error itself where it is Python's or ours; a library's own may not leave its process."""
    known = type(error).__module__.partition(".")[0] in ("builtins", "aves_artifacts", "aves_convert", "aves_verify")
    return error if known else RuntimeError(first_line(error))


def _path() -> list[str]:
    """Where modules are found here; a program may have added a place since the other process was started."""
    return [*filter(None, map(str, sys.path))]


def _here() -> str:
    """Where relative paths begin; the other process was perhaps started elsewhere."""
    try:
        return os.getcwd()
    except OSError:  # the folder is gone
        return os.sep


def _limit_memory(limits: Limits) -> None:
    """Have the system refuse a single request for far more, before the other side can look."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = limits.memory + (4 << 30) + (os.cpu_count() or 1) * (128 << 20)  # threads reserve what they never touch
    wanted = wanted if limits.addresses else most
    if most == resource.RLIM_INFINITY or wanted <= most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _send(stream: IO[bytes] | None, message: bytes) -> None:
    if stream is not None:
        stream.write(len(message).to_bytes(_LENGTH, "little"))
        stream.write(message)
        stream.flush()


def _received(stream: IO[bytes]) -> bytes:
    """The next message; empty at the end."""
    length = stream.read(_LENGTH)
    message = stream.read(int.from_bytes(length, "little"))
    return message if len(message) == int.from_bytes(length, "little") else b""


def _listen(stream: IO[bytes], replies: queue.SimpleQueue[bytes | None]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while answer := _received(stream):
            replies.put(answer)
    replies.put(None)


def _resident(pid: int) -> int:
    """The bytes of memory that a process holds; 0 where nothing here can tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    with contextlib.suppress(Exception):  # psutil is there where encoders are run; its errors are of many kinds
        import psutil

        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _how(popen: subprocess.Popen[bytes]) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = popen.wait(5)
        if status == -getattr(signal, "SIGBUS", 0):  # torch, onnx and safetensors map files into memory
            return "the file became shorter while it was read"
        return f"signal {-status}" if status < 0 else f"status {status}"
    return "no status"


def _end(popen: subprocess.Popen[bytes]) -> None:
    popen.kill()
    popen.wait()
    for stream in (popen.stdin, popen.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
