"""How much memory a clip takes, told before it is run: the system ends a process that wants more than there is."""

from __future__ import annotations

import sys
from bisect import bisect_right
from pathlib import Path

import psutil

from aves_artifacts.encoder_config import EncoderConfig
from aves_verify.clip import SAMPLE_RATE, AnyClip

_GIB = 2**30

# Copies of the two largest kinds of arrays that exist at a time, as measured on a base encoder at 10 to 120 s: outputs
# of the first convolution [channels, positions], later scores of the attention [heads, frames, frames]. ONNX Runtime
# keeps what it took once; beside that comes the largest of the others, the exact encoder in float64.
_RUNTIME = {"activations": 2.8 * 4, "scores": 3.7 * 4}  # bytes
_EXACT = {"activations": 3.2 * 8, "scores": 1.2 * 8}
_KEPT = 3 * 4 + 8  # bytes of a number in the layers' outputs: of three encoders in float32, and of the exact one

# What a container may use: folder, its limit, its use, and in memory.stat the part of that which is given back.
_GROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def needed(config: EncoderConfig, samples: int, *, layers: bool = False) -> int:
    """Bytes that the forward passes on one clip [1, samples] take, beyond the loaded encoders.

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


def too_long(clip: AnyClip, config: EncoderConfig, free: int, *, layers: bool = False) -> str:
    """Why a clip cannot be run in ``free`` bytes; empty when it can."""
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
    """Bytes that the system, or the container that this runs in, can give without ending a process."""
    return min(int(psutil.virtual_memory().available), left_in_container(Path("/sys/fs/cgroup")))


def left_in_container(cgroups: Path) -> int:
    """Bytes left under the limits that a container sees under ``cgroups``, of version 2 or 1; a great many without."""
    return min(_left(cgroups / folder, limit, used, cache) for folder, limit, used, cache in _GROUPS)


def _left(group: Path, limit: str, used: str, cache: str) -> int:
    try:
        most, now = (int((group / name).read_text(encoding="ascii")) for name in (limit, used))
        numbers = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, most - now + int(numbers.get(cache, 0)))
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return sys.maxsize
