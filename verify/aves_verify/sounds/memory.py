"""Estimating a clip's memory before it is run: the system ends a process that wants more than there is."""

from __future__ import annotations

import sys
from bisect import bisect_right
from pathlib import Path

import psutil

from aves_artifacts.encoder import EncoderConfig
from aves_convert.sounds.clip import SAMPLE_RATE, AnyClip, too_short

_GIB = 2**30

# Copies of the two largest kinds of arrays that exist at a time, as measured on a base encoder at 10 to 120 s: outputs
# of the first convolution [channels, positions], later scores of the attention [heads, frames, frames]. ONNX Runtime
# keeps what it took once; beside that comes the largest of the others, the exact encoder in float64.
_RUNTIME = {"activations": 2.8 * 4, "scores": 3.7 * 4}  # bytes
_EXACT = {"activations": 3.2 * 8, "scores": 1.2 * 8}
_KEPT = 3 * 4 + 8  # bytes of a number in the layers' outputs: of three encoders in float32, and of the exact one

# A container's limit, its use, and what memory.stat has of files in that: it is given back before a process is ended.
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))
_VERSION_2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))


def needed(config: EncoderConfig, samples: int, *, layers: bool = False) -> int:
    """Estimate the bytes that the forward passes on one clip [1, samples] take, beyond the loaded encoders.

    With ``layers`` every layer's output is kept until all are compared.
    """
    channels, kernel, stride = config.extractor_conv_layer_config[0]
    activations = channels * max(0, (samples - kernel) // stride + 1)
    frames = config.frames(samples)
    scores = config.encoder_num_heads * frames**2
    kept = _KEPT * config.encoder_num_layers * frames * config.encoder_embed_dim if layers else 0
    return kept + int(
        sum(max(copies["activations"] * activations, copies["scores"] * scores) for copies in (_RUNTIME, _EXACT))
    )


def unusable(clip: AnyClip, config: EncoderConfig, free: int, *, layers: bool) -> str:
    """Tell why a clip cannot be run: it gives no frame, or takes more than ``free`` bytes; empty when it can."""
    return too_short(clip, config.receptive_field) or too_long(clip, config, free, layers=layers)


def too_long(clip: AnyClip, config: EncoderConfig, free: int, *, layers: bool = False) -> str:
    """Tell why a clip takes more than ``free`` bytes of memory; empty when it does not."""
    wanted = needed(config, clip.samples, layers=layers)
    if wanted <= free:
        return ""
    fitting = bisect_right(range(clip.samples), free, key=lambda samples: needed(config, samples, layers=layers)) - 1
    return (
        f"{clip.source}: its {clip.duration:.1f} s would take about {wanted / _GIB:.1f} GiB of memory, "
        f"and {free / _GIB:.1f} GiB are free, enough for {max(fitting, 0) / SAMPLE_RATE:.1f} s; "
        "cut it into shorter clips, or use a machine with more memory"
    )


def available() -> int:
    """Count the bytes that this process may still take, of the system's memory or its container's."""
    return min(int(psutil.virtual_memory().available), left_in_container(Path("/")))


def left_in_container(root: Path) -> int:
    """Count the bytes left under the limits of the containers that this process is in; a great many without limits.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # another system than Linux
        return sys.maxsize
    left = [sys.maxsize]
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            top, names = ("sys/fs/cgroup/memory", _VERSION_1) if controllers else ("sys/fs/cgroup", _VERSION_2)
            own = Path(group.lstrip("/"))
            left += [_left(root / top / each, *names) for each in (own, *own.parents)]  # the last one is the root
    return min(left)


def _left(group: Path, limit: str, used: str, cached: tuple[str, str]) -> int:
    try:
        most, now = (int((group / name).read_text(encoding="ascii")) for name in (limit, used))
    except (OSError, ValueError):  # no such group from within a container, or a limit of "max"
        return sys.maxsize
    try:
        numbers = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        files = sum(int(numbers.get(name, 0)) for name in cached)
    except (OSError, ValueError):
        files = 0
    return max(0, most - now + files)
