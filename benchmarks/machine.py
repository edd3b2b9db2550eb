"""The machine: what it is, and how fast it reads, writes and multiplies at best."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import run

from aves_artifacts.base.processor import multiplies_int8

MIB = 2**20
PACKAGES = ("torch", "torchaudio", "onnxruntime", "onnx", "transformers", "fairseq")


@dataclass(frozen=True)
class Floors:
    """What no program here can beat; rates in MiB and in 1e9 floating-point operations a second."""

    read_cold: float  # from the disk, 0 where the page cache cannot be emptied
    read_warm: float  # from the page cache
    write: float  # until it is on the disk
    gflops: dict[int, float]  # threads -> a product of two float32 matrices

    def io_seconds(self, read: int, written: int) -> float:
        """To read so many bytes that are in the page cache, and to bring so many to the disk."""
        return read / MIB / self.read_warm + written / MIB / self.write


def measure_floors(folder: Path, *, quick: bool) -> Floors:
    """Write and read a file in ``folder``, and multiply matrices."""
    size = 2048 if not quick else 256
    rates = {
        threads: json.loads(run([sys.executable, "-c", _MULTIPLY, str(threads), str(size)]).output)
        for threads in (1, 2)
    }
    return Floors(*_disk_rates(folder / "disk.bin", 16 if quick else 1024), gflops=rates)


# The fastest of torch, ONNX Runtime, and ONNX Runtime with a weight, which it arranges once: which one that is differs
# from processor to processor.
_MULTIPLY = """
import sys, time
import onnxruntime, torch
from onnx import TensorProto, helper, numpy_helper

threads, size = map(int, sys.argv[1:])
torch.set_num_threads(threads)
a, b = torch.rand(2, size, size)
given = {"a": a.numpy(), "b": b.numpy()}

def product(*weights):
    *inputs, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "abc" if name not in weights
    )
    constants = [numpy_helper.from_array(given[name], name) for name in weights]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {each.name: given[each.name] for each in inputs}
    return lambda: session.run(None, feeds)

def seconds(multiply):
    times = []
    for _ in range(9):
        start = time.perf_counter()
        multiply()
        times.append(time.perf_counter() - start)
    return min(times)

best = min(map(seconds, (lambda: a @ b, product(), product("b"))))
print(2e-9 * size**3 / best)
"""


def _disk_rates(path: Path, mib: int) -> tuple[float, float, float]:
    """MiB a second: read from the disk, read from the page cache, written and brought to the disk."""
    try:
        write = max(_write_rate(path, mib) for _ in range(3))
        cold = 0.0
        with path.open("rb", buffering=0) as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                cold = _read_rate(stream, mib)
            return cold, max(_read_rate(stream, mib) for _ in range(3)), write
    finally:
        path.unlink(missing_ok=True)


def _write_rate(path: Path, mib: int) -> float:
    block = os.urandom(MIB)
    start = time.perf_counter()
    with path.open("wb", buffering=0) as stream:
        for _ in range(mib):
            stream.write(block)
        os.fsync(stream.fileno())
    return mib / (time.perf_counter() - start)


def _read_rate(stream: Any, mib: int) -> float:
    stream.seek(0)
    memory = memoryview(bytearray(4 * MIB))
    start = time.perf_counter()
    while stream.readinto(memory):
        pass
    return mib / (time.perf_counter() - start)


def describe(floors: Floors) -> dict[str, Any]:
    """The machine as results name it."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "floors": asdict(floors),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's name, family and model, and the instructions that products are much faster with."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    wide = "AVX-512" if "avx512f" in entries.get("flags", "").split() else "no AVX-512"
    int8 = "products of eight bits" if multiplies_int8() else "no products of eight bits"
    name = entries.get("model name", platform.machine())
    return f"{name}, family {entries.get('cpu family')} model {entries.get('model')}, {wide}, {int8}"
