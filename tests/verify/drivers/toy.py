"""A job whose tasks write files, fail, or kill their worker, as each is told. Workers import this module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aves_artifacts.base.process import Limits, Process
from aves_verify.drivers.job import StopError, Task
from aves_verify.drivers.progress import Event, Progress

TIMES = "times"  # a folder of a file for each try


process = Process()
_busy: list[str] = []  # tasks of this process that are being done


@dataclass(frozen=True)
class Spec:
    name: str
    number: int
    seconds: float = 0.0
    fails: int = 0  # how many times, at first
    kills: int = 0  # likewise
    stops: bool = False
    until: int = 0  # so many processes have opened the job
    starts: bool = False  # a process of its own, as encoders have


@dataclass(frozen=True)
class ToyJob:
    folder: Path
    key: str = "toy"
    files: tuple[Path, ...] = ()
    opens: bool = True
    kills: bool = False  # whoever opens it

    def open(self, files: Mapping[Path, Path]) -> ToyWorker:
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if not self.opens:
            raise OSError(5, "broken")
        (self.folder / f"opened-{os.getpid()}").touch()
        return ToyWorker(self.folder, {path: str(place) for path, place in files.items()})


@dataclass(frozen=True)
class ToyWorker:
    folder: Path
    files: Mapping[Path, str]

    def do(self, spec: Any) -> Mapping[str, float]:
        tries = self.folder / TIMES
        tries.mkdir(exist_ok=True)
        tried = len([*tries.glob(f"{spec.name}.*")])
        (tries / f"{spec.name}.{tried}").touch()
        _busy.append(spec.name)
        with (self.folder / "most").open("a", encoding="utf-8") as most:
            most.write(f"{len(_busy)}\n")
        if spec.starts and not process.is_running:
            pid = process.call("os", "getpid", limits=Limits(60, 1 << 30))
            (self.folder / f"started-{pid}").touch()
        time.sleep(spec.seconds)
        _busy.pop()
        while len([*self.folder.glob("opened-*")]) < spec.until:
            time.sleep(0.05)
        if spec.stops:
            raise StopError("nothing can be written any more")
        if tried < spec.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if tried < spec.fails:
            raise RuntimeError("not this time")
        text = f"{spec.number**2}\n" + "".join(Path(place).read_text("utf-8") for place in self.files.values())
        partial = self.folder / f"{spec.name}.{os.getpid()}.partial"
        partial.write_text(text, "utf-8")
        os.replace(partial, self.folder / f"{spec.name}.part")
        return {"windows": 1, "square": spec.number**2}


class Told:
    """Keeps what is told of a run."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def progress(self, tasks: int) -> Progress:
        return Progress(self, tasks, tasks)


def tasks(count: int, **all_have: Any) -> list[Task]:
    return [Task(f"t{number:03}", Spec(f"t{number:03}", number, **all_have)) for number in range(count)]


def parts(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.part"))}
