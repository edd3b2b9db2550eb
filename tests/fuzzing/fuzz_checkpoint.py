"""Coverage-guided fuzzing of the checkpoint reader, by hand: needs ``atheris``, which no test needs.

    python -m pip install atheris
    python tests/fuzzing/fuzz_checkpoint.py CORPUS_DIR -max_total_time=600 -timeout=20 -rss_limit_mb=4096

An input's first byte says what the rest is: a whole file, or a pickle inside a file that is valid otherwise.
Anything but success or InputError with a printable line for each problem is a finding: another exception, an execution,
a hang, memory. The folder is filled with the files of ``hostile_files`` first, if it is empty. A finding becomes an
entry there.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
with atheris.instrument_imports(include=["aves_convert"]):
    from aves_convert.checkpoint.reading import read_checkpoint
    from aves_convert.inspection.checkpoints import inspect_torch_file  # noqa: F401 - as above
    from aves_convert.inspection.identify import inspect
    from aves_convert.inspection.onnx_graphs import inspect_onnx  # noqa: F401 - as above
    from aves_convert.torch_files.reader import wanted_calls

from tests.support import hostile_files
from tests.support.hostile_files import PAYLOADS, STREAMS, TENSORS
from tests.support.pickle_bytes import Raw, checkpoint, name, new, opcodes, pickled, reduced
from tests.support.torch_file_bytes import legacy, torch_zip, with_entries

from aves_artifacts.base.errors import InputError

_FORBIDDEN = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess", "pickle", "socket", "exec", "import")
_FILE = Path(tempfile.mkdtemp(prefix="aves-fuzz-")) / "input.pt"
_reading = False


def _audit(event: str, arguments: object) -> None:
    if _reading and event.startswith(_FORBIDDEN):
        raise SystemExit(f"executed: {event} {arguments!r}")


def _file(data: bytes) -> bytes:
    """The file that an input stands for."""
    mode, rest = data[:1], data[1:]
    if mode == b"p":
        return torch_zip(rest)
    if mode == b"m":
        return torch_zip(checkpoint(model=Raw(rest)))
    if mode == b"c":
        return torch_zip(checkpoint(cfg={"model": {"entry": Raw(rest)}, "task": {}}))
    if mode == b"t":
        return torch_zip(checkpoint(task_state={"dictionaries": [Raw(rest)]}, optimizer_history=[Raw(rest)]))
    if mode == b"l":
        return legacy(checkpoint(model={"mask_emb": Raw(rest)}))
    if mode == b"v":
        return legacy(checkpoint(model={"mask_emb": Raw(rest)}), numel=24)
    return data


def one_input(data: bytes) -> None:
    """Read a file and everything in it."""
    global _reading
    _FILE.write_bytes(_file(data))
    _reading = True
    try:
        for read in (_read_everything, wanted_calls, _tell):
            problems: tuple[str, ...] = ()
            try:
                read(_FILE)
            except InputError as error:
                problems = error.problems
            if any(not problem.isprintable() or len(problem) > 1000 for problem in problems):
                raise AssertionError(f"no clear lines: {problems!r}")
    finally:
        _reading = False


def _read_everything(path: Path) -> None:
    checkpoint = read_checkpoint(path)
    for tensor in checkpoint.tensors.values():
        if tensor.read().nbytes != tensor.nbytes or tensor.float32().size != tensor.numel:
            raise AssertionError("a tensor of another size")
    json.dumps([str(checkpoint.model_config), str(checkpoint.task_config), checkpoint.dictionaries])


def _tell(path: Path) -> None:
    """What ``aves-convert inspect`` tells, for people and for programs."""
    found = inspect(path)
    if any(not line.isprintable() for line in found.to_text().split("\n")):
        raise AssertionError(f"text that steers a terminal: {found.to_text()!r}")
    json.loads(found.to_json())
    if found.problems:
        raise InputError(*found.problems)


def _seeds() -> list[bytes]:
    seeds = [b"p" + pickled(checkpoint()), b"m" + opcodes(checkpoint()["model"])]
    seeds += [hostile.make() for hostile in hostile_files.HOSTILE_FILES if not hostile.name.startswith("gadget")]
    seeds += [legacy(checkpoint()), with_entries(), pickled({"a": 1})]
    seeds += [mode + raw.opcodes for raw, _ in (PAYLOADS | TENSORS).values() for mode in (b"c", b"t", b"l")]
    seeds += [b"c" + opcodes(root["cfg"]) for root, _ in STREAMS.values() if isinstance(root, dict) and "cfg" in root]
    seeds += [b"c" + opcodes(value) for value in _settings()]
    seeds.append(b"t" + opcodes(new(name("fairseq.data.dictionary", "Dictionary"), {"symbols": ["a", "b"]})))
    untyped = Raw(opcodes(("storage", name("torch.storage", "UntypedStorage"), "0", "cpu", 24, ("view", 8, 16))) + b"Q")
    rebuild, float32 = name("torch._utils", "_rebuild_tensor_v3"), name("torch", "float32")
    seeds.append(b"v" + opcodes(reduced(rebuild, untyped, 1, (3,), (1,), False, None, float32)))
    seeds.append(b"\x08\x08\x12\x04test\x3a\x00")  # an ONNX model of an empty graph
    return [seed for seed in seeds if len(seed) < 20_000]


def _settings() -> list[object]:
    """Every kind of value that settings are made of."""
    encoded = reduced(name("_codecs", "encode"), "\3\0\0\0", "latin1")
    dtype = Raw(reduced(name("numpy", "dtype"), "i4", False, True).opcodes + opcodes((3, "<", None)) + b"b")
    node = new(name("omegaconf.nodes", "AnyNode"), {"_val": 2.5, "_parent": None})
    config = new(name("omegaconf.dictconfig", "DictConfig"), {"_content": {"a": node, "b": "${model.entry.a}"}})
    return [
        config,
        {"model": {"x": "${task.y}"}, "task": {"y": 3}},
        new(name("omegaconf.listconfig", "ListConfig"), {"_content": [node, config]}),
        new(name("argparse", "Namespace"), {"x": [1, (2, "three")]}),
        reduced(name("numpy.core.multiarray", "scalar"), dtype, encoded),
        reduced(name("pathlib", "PosixPath"), "/", "data"),
        reduced(name("fairseq.dataclass.constants", "Choices"), "layer_norm"),
        reduced(name("builtins", "set"), [1, 2]),
        {reduced(name("fairseq.dataclass.constants", "Choices"), "key"): 1},
        (1, 2.5, None, True, encoded),
    ]


def main() -> None:
    """Fill the corpus folder and fuzz; the arguments are those of libFuzzer."""
    corpus = next((Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")), None)
    if corpus is not None and not list(corpus.glob("*")):
        corpus.mkdir(parents=True, exist_ok=True)
        for seed in _seeds():
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    for seed in _seeds():  # brings in what Python imports when it is needed first, before imports count as findings
        one_input(seed)
    sys.addaudithook(_audit)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
