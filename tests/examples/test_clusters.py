import numpy as np
import pytest

from clusters import Projection, cluster, components, nearest, project
from compare_clusters import compare

pytestmark = pytest.mark.slow

GROUPS = np.repeat([0, 1, 2], 20)


def vectors(spread: float = 0.05) -> np.ndarray:
    """Three tight groups in 24 dimensions."""
    random = np.random.default_rng(1)
    return (random.standard_normal((3, 24))[GROUPS] + spread * random.standard_normal((60, 24))).astype(np.float32)


def test_groups_are_found() -> None:
    found = cluster(vectors(), 8)
    assert len(set(zip(GROUPS.tolist(), found.tolist(), strict=True))) == 3


@pytest.mark.parametrize("projection", ["tsne", pytest.param("umap", marks=pytest.mark.scheduled)])
def test_groups_lie_apart_on_either_map(projection: Projection) -> None:
    """UMAP compiles itself for a minute."""
    points = project(vectors(), projection)
    assert points.shape == (60, 2)
    middles = np.stack([points[g == GROUPS].mean(axis=0) for g in range(3)])
    closest = np.linalg.norm(points[:, None] - middles[None], axis=2).argmin(axis=1)
    assert (closest == GROUPS).all()


def test_the_same_vectors_give_the_same_map() -> None:
    assert (project(vectors(), "tsne") == project(vectors(), "tsne")).all()


def test_nearest_clips_are_of_the_same_group_and_not_the_clip_itself() -> None:
    found = nearest(vectors())
    assert (GROUPS[found] == GROUPS[:, None]).all()
    assert not (found == np.arange(60)[:, None]).any()


def test_few_clips_have_fewer_components_and_neighbours() -> None:
    assert components(vectors()[:4]).shape == (4, 4)
    assert nearest(vectors()[:4]).shape == (4, 3)


def test_a_comparison_counts_clips_with_other_neighbours_and_mates() -> None:
    good = vectors()
    exchanged = good.copy()
    exchanged[[0, 59]] = exchanged[[59, 0]]
    same, turned, other = compare({"fairseq": good, "torchaudio": good[:, ::-1].copy(), "onnx": exchanged}, 8)
    assert (same.neighbours, same.mates, same.moved) == (0, 0, 0.0)
    assert (turned.neighbours, turned.mates) == (0, 0)  # neither knows the order of dimensions
    assert turned.moved > 1
    assert other.mates == 40  # two clips, and the other 38 of their groups
    assert other.neighbours >= 2
