"""Drawing conclusions from what is installed: what does not fit together, and the command that mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aves_artifacts.base.messages import listed
from aves_artifacts.base.versions import PACKAGE
from aves_convert.graph.options import OnnxOptions
from aves_verify.doctor.facts import Facts

OPSET = OnnxOptions().opset  # what aves-convert writes by default
FAIRSEQ = f"{PACKAGE}[fairseq]"
_FOR = {  # what an extra is for
    "verify": "aves-verify, and load_model in Python",
    "release": "aves-artifacts publish and verify-release",
    "s3": "s3:// addresses",
    "gcs": "gs:// addresses",
    "hub": "aves-artifacts hub --push",
    "openvino": "aves-verify --backends openvino",
    "transformers": "aves-verify --backends transformers, and --transformers",
    "torch-export": "aves-convert --exporter torch",
    "corpus": "aves-verify corpus",
    "dask": "aves-verify corpus run --workers and --scheduler",
}
_PIP_REFUSES = (24, 1)  # from here on pip refuses omegaconf 2.0.6: its metadata says PyYAML (>=5.1.*)
_FAIRSEQ_ENDS = (3, 13)
_NUMPY_2 = (2, 2)  # the first torch that was built for numpy 2
# Before torch 2.1 the weight norm had other names than a folder of transformers has. Of these versions of transformers
# the first is the first that finds them all the same, and the last the first that does not import beside torch 2.0.
_NEW_NAMES = (2, 1)
_FOR_OLD_NAMES = ((4, 48), (4, 50))


@dataclass(frozen=True)
class Finding:
    """Something that does not fit. "broken": what should run does not; "limited": some of it does not.

    "absent": an extra, the ``subject``, that is not installed, or not all of it; what needs it does not run.
    """

    level: Literal["broken", "limited", "absent"]
    subject: str
    what: str
    mend: str  # a command, or several joined by &&


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """List everything that does not fit, what is broken first."""
    found = (
        *_requirements(facts),
        *_imports(facts),
        *_torch_and_numpy(facts),
        *_torchaudio(facts),
        *_opset(facts),
        *_extras(facts),
        *_fairseq(facts),
        *_transformers(facts),
    )
    return tuple(sorted(found, key=lambda finding: ("broken", "limited", "absent").index(finding.level)))


def version(text: str | None) -> tuple[int, ...]:
    """Read the numbers of a version, to compare: 2.13.0+cpu is (2, 13, 0), 1.17.0rc1 is (1, 17, 0)."""
    parts = re.split(r"[.+-]", (text or "").partition("+")[0])
    numbers = (re.match(r"\d+", part) for part in parts)
    return tuple(int(number.group()) for number in numbers if number)


def _requirements(facts: Facts) -> Iterator[Finding]:
    """Packages that are missing or too old; those of extras may be missing."""
    brought = {name: oldest for packages in facts.extras.values() for name, oldest in packages.items()}
    here_too = {name: oldest for name, oldest in brought.items() if facts.installed[name] is not None}
    for name, oldest in (here_too | dict(facts.required)).items():
        here = facts.installed[name]
        wanted = f"{name}>={oldest}" if oldest else name
        if here is None:
            yield Finding("broken", name, "not installed", _install(facts, wanted))
        elif version(here) < version(oldest):
            yield Finding("broken", name, f"{here} is older than {oldest}", _install(facts, wanted))


def _extras(facts: Facts) -> Iterator[Finding]:
    """Extras that nobody asked for here, or of which something is missing; fairseq is told of by itself."""
    for extra, what in _FOR.items():
        missing = [name for name in facts.extras.get(extra, ()) if facts.installed[name] is None]
        if missing:
            yield Finding(
                "absent", extra, f"for {what}; lacks {listed(missing, 3)}", _install(facts, f"{PACKAGE}[{extra}]")
            )


def _imports(facts: Facts) -> Iterator[Finding]:
    """Packages that are installed and do not import."""
    for name in ("numpy", "torch", "onnx", "onnxruntime"):
        if name in facts.probes and not facts.works(name):
            again = f"{_install(facts, f'{name}=={facts.installed[name]}')} --force-reinstall"
            yield Finding("broken", name, f"installed, but does not import: {facts.probes[name].told}", again)


def _torch_and_numpy(facts: Facts) -> Iterator[Finding]:
    """torch before 2.2 was built for numpy 1; beside numpy 2 it imports, and gives no arrays."""
    if not facts.works("torch") or "torch with numpy" not in facts.probes or facts.works("torch with numpy"):
        return
    torch, numpy = facts.installed["torch"], facts.installed["numpy"]
    what = f"torch {torch} gives no arrays beside numpy {numpy}: {facts.probes['torch with numpy'].told}"
    old = version(torch) < _NUMPY_2 and version(numpy) >= (2,)
    yield Finding("broken", "torch", what, _install(facts, "numpy<2" if old else f"torch=={torch}"))


def _torchaudio(facts: Facts) -> Iterator[Finding]:
    """A torchaudio is built for one torch, the one of its own major and minor number."""
    torch, torchaudio = version(facts.installed["torch"]), version(facts.installed["torchaudio"])
    if not facts.works("torch") or not torchaudio:
        return
    fits, imports = torch[:2] == torchaudio[:2], facts.works("torchaudio")
    if fits and imports:
        return
    built_for = ".".join(map(str, torchaudio[:2]))
    pair = _install(facts, f"torch=={built_for}.*", f"torchaudio=={built_for}.*")
    what = f"{facts.installed['torchaudio']} was built for torch {built_for}, here is torch {facts.installed['torch']}"
    if fits:
        what, pair = f"{facts.installed['torchaudio']} is of this torch's number", f"{pair} --force-reinstall"
    if imports:
        yield Finding("limited", "torchaudio", f"{what}; it imports, but its compiled parts may crash", pair)
        return
    told = f"{what}: `import torchaudio` fails ({facts.probes['torchaudio'].told})"
    if facts.works("torchaudio without its extension"):
        still = "aves-convert and aves-verify run all the same, as they need none of its compiled parts"
        yield Finding("limited", "torchaudio", f"{told}; {still}", pair)
    else:
        yield Finding("broken", "torchaudio", told, pair)


def _opset(facts: Facts) -> Iterator[Finding]:
    """Graphs that onnx writes here and ONNX Runtime does not load."""
    if not (facts.works("onnx") and facts.works("onnxruntime") and "opset" in facts.probes):
        return
    here, probe = facts.installed["onnxruntime"], facts.probes["opset"]
    written = int(facts.probes["onnx"].told)
    newer = _install(facts, "onnxruntime", options="--upgrade ")
    if not probe.works or not probe.told:
        yield Finding("broken", "onnxruntime", f"{here} loads no graph that onnx writes here: {probe.told}", newer)
        return
    loaded = int(probe.told)
    if loaded < OPSET:
        what = f"{here} loads opsets up to {loaded}; aves-convert writes opset {OPSET}"
        yield Finding("broken", "onnxruntime", what, newer)
    elif loaded < written:
        what = (
            f"{here} loads opsets up to {loaded}, onnx {facts.installed['onnx']} writes up to {written}: graphs made "
            f"with --opset {loaded + 1} or more do not run here (the default, {OPSET}, does)"
        )
        yield Finding("limited", "onnxruntime", what, newer)


def _fairseq(facts: Facts) -> Iterator[Finding]:
    """The original: optional, and the hardest to install."""
    here = facts.installed["fairseq"]
    other = "the ports are compared with each other (--backends torchaudio,onnx) or with a recording (--reference)"
    if facts.python >= _FAIRSEQ_ENDS:
        python = ".".join(map(str, facts.python[:2]))
        what = f"fairseq 0.12.2 does not import on Python {python} (its antlr4 needs a module that is gone); {other}"
        yield Finding(
            "absent" if here is None else "limited", "fairseq", what, "uv run --python 3.12 --extra fairseq aves-verify"
        )
        return
    if here is not None and facts.works("fairseq"):
        return
    if here is not None:
        told = facts.probes["fairseq"].told if "fairseq" in facts.probes else "torch or numpy is missing"
        what = f"{here} is installed, but does not import ({told}); {other}"
        yield Finding("limited", "fairseq", what, f"{_uv(facts, FAIRSEQ)} --reinstall-package fairseq")
        return
    what = f"for the original to compare with; without it {other}{_obstacles(facts)}"
    yield Finding("absent", "fairseq", what, _fairseq_commands(facts))


def _transformers(facts: Facts) -> Iterator[Finding]:
    """A backend, which nothing else needs: without it folders are not run, and all else is."""
    here, torch = facts.installed["transformers"], facts.installed["torch"]
    if "transformers" not in facts.probes or not facts.works("torch"):
        return
    old_names, (first, end) = version(torch) < _NEW_NAMES, _FOR_OLD_NAMES
    # its extra "torch" says which torch a version takes, so that one is found for this torch; wrongly so for torch 2.0
    fits = f"transformers>={_dotted(first)},<{_dotted(end)}" if old_names else "transformers[torch]"
    mend = _install(facts, fits, f"torch=={(torch or '').partition('+')[0]}")
    if not facts.works("transformers"):
        what = f"{here} is installed beside torch {torch}, but does not run ({facts.probes['transformers'].told})"
        yield Finding("limited", "transformers", f"{what}; all but folders of it is verified without", mend)
    elif old_names and version(here) < first:
        what = (
            f"{here} beside torch {torch} does not know the names that a folder has for its positional convolution: "
            "from_pretrained makes up its weights, from 4.45 on without a word"
        )
        yield Finding("limited", "transformers", what, mend)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _obstacles(facts: Facts) -> str:
    """What would stop an installation."""
    told = []
    if facts.compiler is None:
        told.append("it is built from source, and there is no C++ compiler")
    elif not facts.headers:
        told.append("it is built from source, and Python's headers are missing")
    if version(facts.installed["pip"])[:2] >= _PIP_REFUSES:
        told.append(
            f"pip {facts.installed['pip']} refuses the metadata of omegaconf 2.0.6, which it needs; uv does not"
        )
    return "".join(f"; {text}" for text in told)


def _fairseq_commands(facts: Facts) -> str:
    if facts.compiler is not None and facts.headers:
        return _uv(facts, FAIRSEQ)
    compiler = {"Darwin": "xcode-select --install", "Windows": "winget install Microsoft.VisualStudio.2022.BuildTools"}
    return f"{compiler.get(facts.system, 'sudo apt-get install g++ python3-dev')} && {_uv(facts, FAIRSEQ)}"


def _uv(facts: Facts, *packages: str) -> str:
    """uv alone will do for these packages."""
    return f"{'' if facts.uv else 'pip install uv && '}uv pip install {' '.join(map(_quoted, packages))}"


def _install(facts: Facts, *packages: str, options: str = "") -> str:
    tool = "uv pip" if facts.uv or facts.installed["pip"] is None else "pip"
    return f"{tool} install {options}{' '.join(map(_quoted, packages))}"


def _quoted(package: str) -> str:
    """As a shell takes it."""
    return package if re.fullmatch(r"[\w.=-]+", package) else f"'{package}'"
