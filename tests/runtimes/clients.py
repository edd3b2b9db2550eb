"""The clients: who runs our files, in which packages, and which cells fail by whose fault.

A client is a script in ``clients/`` and an environment that is made for it. Each is run with pinned packages, those of
the day when the page was written, and with the newest there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# float32, mixed: our graphs; export: the ordinary one, by torch's exporter; port: TorchAudio's config and weights;
# fixed: a folder of float32 graphs, one for each shape (--fixed-length). In a session of smaller graphs: those instead.
Takes = Literal["graph", "fixed", "port"]
GRAPHS: dict[Takes, tuple[str, ...]] = {
    "graph": ("float32", "mixed", "export"),
    "fixed": ("fixed",),
    "port": ("port",),
}
FIXED = "fixed-"
REDUCED: dict[Takes, tuple[str, ...]] = {
    "graph": ("float16-weights", "float16", "int8"),
    "fixed": (f"{FIXED}float16-weights", f"{FIXED}float16", f"{FIXED}int8"),
    "port": (),
}


@dataclass(frozen=True)
class Fault:
    """Cells that fail by the client's own fault: what it says, why, and where its makers are told or tell of it."""

    graphs: tuple[str, ...]
    why: str
    thread: str = ""


@dataclass(frozen=True)
class Client:
    """A way to run our files.

    ``longest``: the samples of the longest input that it computes in reasonable time; ``batch``: of three inputs too.

    ``exact`` is False where its numbers are meant to be others, as with eight bits: what it makes must load and run.
    ``small``: it runs a small encoder always, as one of full size takes it half an hour. ``on_top``: its packages come
    on top of this project's own environment, whose torch is several gigabytes. ``note``: what is to be known of it,
    such as what had to be put right. ``reduced``: it is given the smaller graphs too.
    """

    name: str
    script: str
    pinned: tuple[str, ...]
    newest: tuple[str, ...]
    takes: Takes = "graph"
    arguments: tuple[str, ...] = ()
    python: str = "3.11"
    quick: bool = False
    npm: bool = False
    on_top: bool = False
    exact: bool = True
    small: bool = False
    reduced: bool = True
    longest: int = 48_000
    batch: bool = True
    shortest: int = 400
    note: str = ""
    faults: tuple[Fault, ...] = field(default=())

    def graphs(self, *, reduced: bool) -> tuple[str, ...]:
        """What it is given in a session, of the smaller graphs or of the others."""
        if reduced:
            return REDUCED[self.takes] if self.reduced else ()
        return GRAPHS[self.takes]


_MIXED = Fault(("mixed",), "it takes no float64 in a Gemm; `--precision mixed` is for ONNX Runtime on a processor")
_ONE_FRAME = Fault(
    ("float32", "mixed", "export"),
    "once a compiled model has run an input of one frame (400 to 719 samples), what it gives for longer ones is wrong, "
    "without a word and in every graph; compile a second model for such inputs",
)
_FLOAT = Fault(
    ("mixed",),
    "it computes in float32 what the graph has in float64, and sums over ten seconds lose digits; `--precision mixed` "
    "is for ONNX Runtime on a processor",
)
_NO_DOUBLE = Fault(
    ("mixed",),
    "WebGPU has no float64, and these imports' wasm has none either; `--precision mixed` is for a processor",
    "https://github.com/microsoft/onnxruntime/pull/17472",
)
_NO_HALF = Fault(
    ("float16",),
    "this device, SwiftShader, has no `shader-f16`; where an adapter's `features` lack it, take `--weights float16`",
)
_COMPILED = Fault(
    ("port",),
    "the code that torch compiles for the group norm is less exact where there is an offset",
    "https://github.com/pytorch/pytorch/issues/141541",
)
_SPELLED = Fault(("export",), "no LayerNormalization, which exporters write from opset 17 on")
_DEFAULT_IMPORT = "ort.bundle.min.mjs"
_ORT = ("onnxruntime==1.32.0", "numpy==2.4.6")
_TOOLS = ("onnx==1.23.2", *_ORT)


def _tool(name: str, tool: str, *packages: str, exact: bool = True, faults: tuple[Fault, ...] = ()) -> Client:
    """A tool that makes another graph, and ONNX Runtime for what it made."""
    newest = tuple(package.partition("==")[0] for package in (*packages, *_TOOLS))
    pinned = (*packages, *_TOOLS)
    return Client(
        name,
        "graph_tool.py",
        pinned,
        newest,
        arguments=(tool,),
        quick=True,
        exact=exact,
        reduced=False,
        faults=faults,
    )


def _browser(name: str, file: str, backend: str, *faults: Fault) -> Client:
    """An import of onnxruntime-web, and one of its backends."""
    webgpu = backend == "webgpu"  # which is computed by the processor here
    small = webgpu and file != _DEFAULT_IMPORT
    note = ""
    if webgpu:
        note = "always a small encoder: one of full size takes a processor half an hour for each graph"
        note = note if small else "without the batch of three, which a processor takes a quarter of an hour for"
    return Client(
        name,
        "browser.py",
        ("onnxruntime-web@1.30.0",),
        ("onnxruntime-web@latest",),
        arguments=(file, backend),
        npm=True,
        longest=16_000 if webgpu else 48_000,
        batch=small or not webgpu,
        small=small,
        note=note,
        faults=faults,
    )


def _torch(name: str, script: str, *packages: str, shortest: int = 400, faults: tuple[Fault, ...] = ()) -> Client:
    """A client of TorchAudio's port."""
    newest = tuple(package.partition("==")[0] for package in packages)
    return Client(name, script, packages, newest, "port", on_top=True, shortest=shortest, faults=faults)


CLIENTS = {
    client.name: client
    for client in (
        Client("ONNX Runtime", "onnx_runtime.py", _ORT, ("onnxruntime", "numpy"), quick=True, longest=480_000),
        Client("ONNX Runtime 1.17", "onnx_runtime.py", ("onnxruntime==1.17.3", "numpy==1.26.4"), (), quick=True),
        Client("ORT format", "ort_format.py", _ORT, ("onnxruntime", "numpy"), quick=True),
        Client(
            "OpenVINO",
            "openvino_cpu.py",
            ("openvino==2026.4.1", "numpy==2.4.6"),
            ("openvino", "numpy"),
            quick=True,
            longest=160_000,
            shortest=720,
            note="it says double and computes float32; `--precision mixed` takes the offset out first, and is right "
            "but for long recordings",
            faults=(_FLOAT,),
        ),
        Client(
            "OpenVINO, one frame first",
            "openvino_cpu.py",
            ("openvino==2026.4.1", "numpy==2.4.6"),
            ("openvino", "numpy"),
            quick=True,
            reduced=False,
            longest=16_000,
            faults=(_ONE_FRAME,),
        ),
        Client(
            "ORT, OpenVINO provider",
            "openvino_provider.py",
            ("onnxruntime-openvino==1.24.1", "numpy==2.4.6"),
            ("onnxruntime-openvino", "numpy"),
            quick=True,
            shortest=720,
            note="as OpenVINO, it is wrong for what follows an input of one frame (400 to 719 samples)",
        ),
        Client(
            "onnxruntime-node",
            "onnxruntime_node.mjs",
            ("onnxruntime-node@1.30.0",),
            ("onnxruntime-node@latest",),
            npm=True,
            quick=True,
            longest=160_000,
        ),
        _browser("browser, wasm", _DEFAULT_IMPORT, "wasm"),
        _browser("browser, WebGPU", _DEFAULT_IMPORT, "webgpu", _NO_DOUBLE, _NO_HALF),
        _browser("browser /webgpu, wasm", "ort.webgpu.bundle.min.mjs", "wasm", _NO_DOUBLE),
        _browser("browser /webgpu, WebGPU", "ort.webgpu.bundle.min.mjs", "webgpu", _NO_DOUBLE, _NO_HALF),
        _browser("browser /jspi, wasm", "ort.jspi.bundle.min.mjs", "wasm", _NO_DOUBLE),
        _browser("browser /jspi, WebGPU", "ort.jspi.bundle.min.mjs", "webgpu", _NO_DOUBLE, _NO_HALF),
        Client(
            "perch-hoplite",
            "perch_loader.py",
            ("perch-hoplite[jax]==1.0.2", "jaxonnxruntime==0.3.0", "onnx==1.23.2", "numpy==2.4.6"),
            ("perch-hoplite[jax]", "jaxonnxruntime", "onnx", "numpy"),
            note="jaxonnxruntime's `call_onnx` is made known as `jaxonnxruntime.core.call_onnx`, where perch-hoplite "
            "imports it from",
            faults=(
                _SPELLED,
                Fault(("mixed",), "no Mod, which is how that graph cuts whole blocks"),
                Fault(("int8",), "neither QuantizeLinear nor MatMulInteger"),
            ),
        ),
        Client(
            "tract",
            "tract_cpu.py",
            ("tract==0.23.9", "numpy==2.4.6"),
            ("tract", "numpy"),
            quick=True,
            faults=(
                _MIXED,
                Fault(
                    ("float16",),
                    "it adds up products of half precision in half precision; take `--weights float16`, which it "
                    "computes in float32",
                    "https://github.com/sonos/tract/issues/2588",
                ),
            ),
        ),
        Client(
            "IREE",
            "iree_cpu.py",
            ("iree-base-compiler[onnx]==3.13.0", "iree-base-runtime==3.13.0", "numpy==2.4.6"),
            ("iree-base-compiler[onnx]", "iree-base-runtime", "numpy"),
            "fixed",
            longest=16_000,
            faults=(
                Fault(
                    ("fixed",),
                    "it adds up a product's terms one by one; the ordinary export, which others are held against, "
                    "gives no numbers there",
                ),
            ),
        ),
        Client(
            "MNN",
            "mnn_cpu.py",
            ("MNN==3.6.1", "numpy==2.4.6"),
            ("MNN", "numpy"),
            note="its error is 200 to 300 times the original's own in every graph, the ordinary export included",
            faults=(
                Fault(("float32", "mixed", "export"), "it loses three digits in every graph, whatever wrote it"),
                Fault(("int8",), "no MatMulInteger: its converter says so and writes no file"),
            ),
        ),
        Client(
            "onnx2torch",
            "onnx2torch_eager.py",
            ("onnx2torch==1.5.15", "torchvision"),
            ("onnx2torch", "torchvision"),
            on_top=True,
            faults=(
                Fault(("float16-weights",), "it wants a convolution's weight in the file as it is, not behind a Cast"),
                Fault(
                    ("int8",),
                    "neither QuantizeLinear nor MatMulInteger, and it wants a convolution's weight in the file as it "
                    "is, not behind a Cast",
                ),
            ),
        ),
        Client(
            "onnx's reference evaluator",
            "reference_evaluator.py",
            ("onnx==1.23.2", "numpy==2.4.6"),
            ("onnx", "numpy"),
            quick=True,
            longest=16_000,
        ),
        _tool("onnxslim", "onnxslim", "onnxslim==0.1.98"),
        _tool("onnxsim", "onnxsim", "onnxsim==0.8.1"),
        _tool("quant_pre_process", "quant_pre_process", "sympy==1.14.0"),
        _tool("quantize_dynamic", "quantize_dynamic", exact=False),
        _tool("float16, onnxruntime", "float16", exact=False),
        _tool(
            "float16, onnxconverter-common",
            "float16_common",
            "onnxconverter-common==1.16.0",
            exact=False,
            faults=(
                Fault(
                    ("float32", "mixed", "export"),
                    "it leaves casts to float32 as they are, and gives nodes the same name twice",
                    "https://github.com/microsoft/onnxconverter-common/issues/276",
                ),
            ),
        ),
        _torch("TorchAudio", "torch_eager.py"),
        _torch("torch.compile", "torch_compile.py", faults=(_COMPILED,)),
        _torch("torch.export", "torch_export.py", shortest=720),
        _torch("AOTInductor", "torch_inductor.py", shortest=720, faults=(_COMPILED,)),
        _torch("torch.jit", "torch_script.py"),
        _torch(
            "ExecuTorch, XNNPACK",
            "executorch_xnnpack.py",
            "executorch==1.5.1",
            faults=(
                Fault(
                    ("port",),
                    "its group norm takes the mean of squares less the square of the mean for the variance, which "
                    "loses digits where a recording has an offset",
                    "https://github.com/pytorch/executorch/pull/16727",
                ),
            ),
        ),
        _torch("esp-aves", "esp_aves.py"),
        _torch("avex", "avex_checkpoint.py", "avex==1.4.0"),
    )
}


def fault(cell: Mapping[str, Any]) -> dict[str, str] | None:
    """By whose fault a cell is not good, where it is the client's own."""
    client = CLIENTS.get(cell["client"])
    if cell["verdict"] in ("good", "runs") or client is None:
        return None
    told = next((fault for fault in client.faults if cell["graph"] in fault.graphs), None)
    return None if told is None else {"why": told.why, "thread": told.thread}
