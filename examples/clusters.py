"""Where clips lie among each other: nearest clips, clusters, and a map in two dimensions."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from encoders import Vectors

NEIGHBOURS = 5
COMPONENTS = 10  # of the vectors that clusters are sought in: with hundreds, all clips are equally far apart

Projection = Literal["umap", "tsne"]
Clusters = NDArray[np.int64]  # [clips]: the number of the cluster, -1 for none
Points = NDArray[np.float64]  # [clips, 2]


def components(vectors: Vectors) -> NDArray[np.float64]:
    """The vectors' principal components [clips, COMPONENTS], of the standardised dimensions."""
    from sklearn.decomposition import PCA

    x = vectors.astype(np.float64)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    found: NDArray[np.float64] = PCA(min(COMPONENTS, *x.shape), svd_solver="full").fit_transform(x)
    return found


def nearest(vectors: Vectors) -> NDArray[np.int64]:
    """The numbers of each clip's nearest clips [clips, NEIGHBOURS], sorted."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(vectors) - 1)).fit(components(vectors)).kneighbors()[1]
    ordered: NDArray[np.int64] = np.sort(found, axis=1)
    return ordered


def cluster(vectors: Vectors, smallest: int) -> Clusters:
    """HDBSCAN's clusters of ``smallest`` clips or more: the finest ones, as calls are of types within types.

    They are sought in the principal components and not on the map, which a last bit can turn into another one.
    """
    from sklearn.cluster import HDBSCAN

    found: Clusters = HDBSCAN(
        min_cluster_size=smallest, min_samples=2, cluster_selection_method="leaf", copy=True
    ).fit_predict(components(vectors))
    return found


def project(vectors: Vectors, projection: Projection) -> Points:
    """A map on which near clips lie near; distances between far ones mean little. The same vectors give the same."""
    x = components(vectors)
    if projection == "umap":
        from umap import UMAP

        made = UMAP(n_neighbors=min(15, len(x) - 1), random_state=0, n_jobs=1)  # seeded, it runs on one core
    else:
        from sklearn.manifold import TSNE

        made = TSNE(perplexity=min(30, (len(x) - 1) / 3), init="pca", random_state=0)
    points: Points = made.fit_transform(x).astype(np.float64)
    return points
