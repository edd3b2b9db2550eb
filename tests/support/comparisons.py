"""Which comparisons a test means: those of the clips that it gave, not of what every run draws anew or runs again."""

from collections.abc import Iterable

from aves_verify.comparison.compare import Comparison


def is_of_clip(name: str) -> bool:
    """Whether an input is a clip, padded or in a batch too, in the first session."""
    return not name.startswith("probe: ") and not name.endswith((", run again", ", optimisation none"))


def of_clips(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Those of the clips."""
    return [comparison for comparison in comparisons if is_of_clip(comparison.clip)]
