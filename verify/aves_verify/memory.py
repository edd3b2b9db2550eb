"""How much memory a clip takes, told before it is run: the system ends a process that wants more than there is."""

from __future__ import annotations

from bisect import bisect_right

import psutil

from aves_artifacts.encoder_config import EncoderConfig
from aves_verify.clip import SAMPLE_RATE, AnyClip

_GIB = 2**30

# Copies of the two largest kinds of arrays that exist at a time, as measured on a base encoder at 10 to 120 s: outputs
# of the first convolution [channels, positions], later scores of the attention [heads, frames, frames]. ONNX Runtime
# keeps what it took once; beside that comes the largest of the others, the exact encoder in float64.
_RUNTIME = {"activations": 2.8 * 4, "scores": 3.4 * 4}  # bytes
_EXACT = {"activations": 3.2 * 8, "scores": 1.2 * 8}


def needed(config: EncoderConfig, samples: int) -> int:
    """Bytes that the forward passes on one clip [1, samples] take, beyond the loaded encoders."""
    channels, kernel, stride = config.extractor_conv_layer_config[0]
    activations = channels * max(0, (samples - kernel) // stride + 1)
    scores = config.encoder_num_heads * config.frames(samples) ** 2
    return int(
        sum(max(copies["activations"] * activations, copies["scores"] * scores) for copies in (_RUNTIME, _EXACT))
    )


def too_long(clip: AnyClip, config: EncoderConfig, free: int) -> str:
    """Why a clip cannot be run in ``free`` bytes; empty when it can."""
    if needed(config, clip.samples) <= free:
        return ""
    fitting = bisect_right(range(clip.samples), free, key=lambda samples: needed(config, samples)) - 1
    return (
        f"{clip.source}: its {clip.duration:.1f} s would take about {needed(config, clip.samples) / _GIB:.1f} GiB of "
        f"memory, and {free / _GIB:.1f} GiB are free, enough for {max(fitting, 0) / SAMPLE_RATE:.1f} s; "
        "cut it into shorter clips, or use a machine with more memory"
    )


def available() -> int:
    """Bytes that the system can give without ending a process."""
    return int(psutil.virtual_memory().available)
