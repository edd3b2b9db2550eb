"""Drawing the pictures of the HTML report."""

from __future__ import annotations

from aves_verify.report.pictures.clip import clip_picture
from aves_verify.report.pictures.curves import layers_picture, ratio_picture, stages_picture
from aves_verify.report.pictures.near_zero import near_zero_picture
from aves_verify.report.pictures.svg import Picture
from aves_verify.report.report import ConfigReport
from aves_verify.report.summary import ports


def pictures(config: ConfigReport, identity: str) -> list[Picture]:
    """Draw every picture of a configuration; ``identity`` is unique within the page."""
    found = ports(config)
    made = [near_zero_picture(f"{identity}-zero-{i}", port) for i, port in enumerate(found)]
    made.append(ratio_picture(f"{identity}-ratio", found))
    if config.corpus is None:  # of a corpus each of the worst windows has a picture, with its sound
        made.append(clip_picture(f"{identity}-clip", found))
    made.append(layers_picture(f"{identity}-layers", found))
    made += [stages_picture(f"{identity}-stages-{i}", e) for i, e in enumerate(config.explanations) if e.stages]
    return [picture for picture in made if picture is not None]
