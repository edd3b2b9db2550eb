"""The options of aves-verify corpus: which recordings, where parts go, and who does the work."""

from __future__ import annotations

import click

from aves_artifacts.base import options

cutting = options.all_of(
    click.option(
        "--audio",
        multiple=True,
        required=True,
        metavar="PATH-OR-URL",
        help="Recordings: a file, a folder that is searched, a list of paths (text, CSV, Parquet, JSON lines of NeMo, "
        "of Lhotse), a tar of WebDataset's form, or an address of one of these, such as s3://bucket/folder; may be "
        "given several times.",
    ),
    click.option(
        "--parts",
        required=True,
        metavar="DIR-OR-URL",
        help="Where parts are written, and where those that are there already are not made again.",
    ),
    click.option(
        "--window",
        type=float,
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How long the windows are that recordings are cut into; the last one of each is shorter, and none padded.",
    ),
    click.option(
        "--hop",
        type=float,
        metavar="SECONDS",
        help="From one window's beginning to the next one's; more than a window looks at a share of the sound. By "
        "default windows follow one another.",
    ),
    click.option(
        "--shard-windows",
        type=int,
        default=32,
        show_default=True,
        metavar="N",
        help="About how many windows are one part: what is lost at most, for each worker, when a run is killed.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        metavar="N",
        help="Threads of each process. They decide the last digits of results, so parts are of one number of threads; "
        "cores are better used by --workers.",
    ),
)

drivers = options.all_of(
    click.option(
        "--shard",
        metavar="I/N",
        help="Do the I-th of N shares of the parts, and leave the others to other processes, such as those of an array "
        "job; each may have --workers of its own. By default all are done here.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        metavar="N",
        help="Have so many processes of this machine do the work, which are replaced where they die. By default this "
        "process does it.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Have the workers of a Dask cluster do the work, such as tcp://host:8786; they need the same packages, "
        "and see the audio and the parts. By default this process does it.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, 100),
        default=3,
        show_default=True,
        metavar="N",
        help="How often a part that fails, or kills its worker, is tried again before it is set aside.",
    ),
    click.option(
        "--check",
        is_flag=True,
        help="Read the parts that are there to the last byte, and make anew what is damaged. By default only what is "
        "missing or cut off is made.",
    ),
    click.option(
        "--progress",
        "form",
        type=click.Choice(["auto", "bar", "json", "none"]),
        default="auto",
        show_default=True,
        help="How progress is shown on standard error: a bar on a terminal, or a line of JSON for each part.",
    ),
)

looking = options.all_of(
    click.option(
        "--exact-every",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Compute the answer in float64, which takes as long as all ports together, for one window of N; for the "
        "others where a difference asks for it.",
    ),
    click.option(
        "--worst",
        type=click.IntRange(1, 1000),
        default=2,
        show_default=True,
        metavar="N",
        help="Of how many of each port's worst windows the sound and the differences are kept in each part.",
    ),
)

reference = click.option(
    "--reference",
    metavar="DIR-OR-URL",
    help="Parts that aves-verify corpus record made of the original on this audio. By default the original is run.",
)

reporting = options.all_of(
    click.option("--parts", required=True, metavar="DIR-OR-URL", help="Where the parts are: a folder, or any address."),
    click.option(
        "--run",
        "only",
        multiple=True,
        metavar="NAME",
        help="Report on the runs whose names begin so; may be given several times. By default on all that have parts "
        "there.",
    ),
    click.option(
        "--max-unreadable",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="How many recordings may be unreadable before that fails the verification.",
    ),
)
