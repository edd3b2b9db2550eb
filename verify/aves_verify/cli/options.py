"""The options of aves-verify: what is verified, on which audio, and where the report goes."""

from __future__ import annotations

import click

from aves_artifacts.base import options
from aves_artifacts.base.options import path_type

STAND_IN = (
    "Take checkpoints with made-up weights in the place of the published ones; nothing is downloaded. By default the "
    "published ones are taken."
)
STAND_IN_RELEASE = (
    "Release checkpoints with made-up weights, marked as such: in the place of the published ones, or at the paths "
    "given. By default they are refused."
)

subject = options.all_of(
    click.argument("names", nargs=-1, metavar="[NAME]..."),
    options.stand_in(STAND_IN),
    click.option(
        "--bundle",
        type=path_type(folder=True),
        metavar="DIR",
        help="A folder that aves-convert bundle wrote, whose ports are taken. By default NAME or single files are.",
    ),
    click.option(
        "--fairseq",
        type=path_type(),
        metavar="CKPT",
        help="The original, a fairseq checkpoint. By default the one that the catalogue has for NAME, else none.",
    ),
    options.pretrained,
    options.geometry,
    click.option(
        "--torchaudio",
        type=path_type(),
        metavar="WEIGHTS",
        help="A TorchAudio port, which needs --config too. By default that of NAME or of the bundle.",
    ),
    options.config(required=False),
    options.heads("which is then compared too"),
    options.centroids,
    click.option(
        "--onnx",
        type=path_type(),
        metavar="FILE",
        help="An ONNX port. By default that of NAME or of the bundle.",
    ),
    click.option(
        "--reduced",
        type=path_type(),
        multiple=True,
        metavar="FILE",
        help="A smaller ONNX graph, in half precision or in eight bits, which is held to what it may cost; may be "
        "given several times. By default those of the bundle.",
    ),
    click.option(
        "--transformers",
        type=path_type(folder=True),
        metavar="DIR",
        help="A folder of Hugging Face transformers: a port, or without --fairseq the original. By default that of the "
        "bundle, if it has one.",
    ),
)

layers = options.layers("What is compared")
recorded = click.option(
    "--backend",
    type=click.Choice(["fairseq", "torchaudio"]),
    default="fairseq",
    show_default=True,
    help="Whose outputs are recorded.",
)
_audio = click.option(
    "--audio",
    type=path_type(),
    multiple=True,
    metavar="PATH",
    help="A recording, or a folder that is searched for WAV, FLAC, OGG and MP3; may be given several times. By "
    "default 16 synthesised sounds are taken.",
)
selection = options.all_of(subject, _audio, layers)

reference = click.option(
    "--reference",
    type=path_type(),
    metavar="REF",
    help="A recording of the original's outputs, made by aves-verify record. By default the original is run.",
)

which = options.all_of(
    click.option(
        "--all-configs",
        is_flag=True,
        help="Verify every configuration of the catalogue that has an original. By default those that are named.",
    ),
    click.option(
        "--download",
        is_flag=True,
        help="Download the published files that are missing. By default a missing file ends the run.",
    ),
    click.option(
        "--ports",
        type=click.Choice(["made", "published"]),
        default="made",
        show_default=True,
        help="Which ports of NAME are verified: made here from the original, or published by its authors.",
    ),
    click.option(
        "--backends",
        metavar="LIST",
        help="What is run, two at least, e.g. fairseq,torchaudio,onnx,openvino, or what installed packages bring. The "
        "others are compared with fairseq or, where it is left out, torchaudio.  [default: fairseq, torchaudio and "
        "onnx, smaller graphs, and transformers where there is its folder]",
    ),
)

backends = options.all_of(
    click.option(
        "--onnx-provider",
        metavar="NAME",
        help="What runs the operators of the graphs in ONNX Runtime, such as cuda. By default CPUExecutionProvider.",
    ),
    click.option(
        "--openvino-device",
        metavar="NAME",
        help="What the backend openvino runs on, such as GPU. By default CPU.",
    ),
    click.option(
        "--openvino-precision",
        type=click.Choice(["f32", "f16", "bf16"]),
        help="What the backend openvino computes in, where the device can. By default f32.",
    ),
    click.option(
        "--backend-option",
        "backend_options",
        multiple=True,
        metavar="BACKEND.OPTION=VALUE",
        help="Give a backend an option of its own; may be given several times. By default each has its own defaults.",
    ),
)

_OWN = (
    "Then the original's own error is not added to it. By default each kind of port has a limit of its own, which the "
    "report names."
)
limits = options.all_of(
    click.option(
        "--atol", type=click.FloatRange(0), metavar="X", help=f"What a port may differ by: X + rtol |original|. {_OWN}"
    ),
    click.option(
        "--rtol", type=click.FloatRange(0), metavar="X", help=f"What a port may differ by: atol + X |original|. {_OWN}"
    ),
    options.min_snr(
        "How many dB of signal over noise a smaller graph must keep in each sound. By default each kind has a "
        "bound of its own, which the report names."
    ),
    options.min_cosine(
        "The cosine that each frame of a smaller graph must have with the original's. By default each kind has a "
        "bound of its own, which the report names."
    ),
)
seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    help="Draw the probes, which are run beside the given sounds, as an earlier run did: its report tells its seed "
    "(ran.seed in the JSON). By default they are drawn anew.",
)
how = options.all_of(
    limits,
    click.option(
        "--explain",
        is_flag=True,
        help="Find the stage and operator in which each port's error begins. By default only outputs are compared.",
    ),
    click.option(
        "--characterise",
        is_flag=True,
        help="Measure how far padding, gain, batches, threads and so on move the outputs. By default this is left out.",
    ),
    seed,
)

files = options.all_of(
    click.option(
        "--report",
        "folder",
        type=path_type(folder=True),
        metavar="DIR",
        help="Write the report into this folder, as HTML, Markdown, JSON and JUnit. By default it is only printed.",
    ),
    click.option(
        "--json",
        "json_file",
        type=path_type(),
        metavar="FILE",
        help="Write the report as JSON, for programs and for aves-verify diff. By default none is written.",
    ),
    click.option(
        "--junit",
        "junit_file",
        type=path_type(),
        metavar="FILE",
        help="Write the report as JUnit XML, for continuous integration. By default none is written.",
    ),
)

report = options.all_of(
    files,
    click.option(
        "--attach",
        is_flag=True,
        help="Put the report into the bundle: report.json, and a table in its README.md. By default the bundle stays "
        "as it is.",
    ),
    click.option(
        "-v", "--verbose", is_flag=True, help="Print a line for every clip. By default one is printed for each port."
    ),
)
