"""Projects features to two dimensions with PCA, t-SNE and, if it is installed, UMAP.

In: features. Out: ``Projection``s. Next: ``poise.evaluation.embedding_map.embed``.

The methods answer different questions. PCA keeps large distances, but shows only two of many
directions. t-SNE (L. van der Maaten and G. Hinton, 2008) keeps neighbours, but not distances
between groups. So every map states its trustworthiness.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

from poise.evaluation.embedding_map.content import Floats, Projection

UMAP_MISSING = (
    "UMAP is not shown, because the package umap-learn is not installed; "
    "`pip install umap-learn` adds it."
)

_ALL_THE_SAME = (
    "All images have the same feature: the backbone has collapsed, and there is nothing to map."
)
_NEIGHBORS = 10
_PERPLEXITY = 30
_FIRST_DIMENSIONS = 50  # input of t-SNE, reduced by PCA; the authors of t-SNE use 30
_MOST_JUDGED = 2000  # images for trustworthiness, which keeps all their distances in memory


def has_umap() -> bool:
    """Returns True if the optional package umap-learn is installed."""
    return find_spec("umap") is not None


def project(features: Floats) -> Iterator[Projection]:
    """Yields one projection per method.

    Args:
        features: L2-normalised features, [n, D], with n at least 3.
    """
    for name, points, caption in _projected(features):
        yield Projection(name, points, _trust(features, points), caption)


def _projected(features: Floats) -> Iterator[tuple[str, Floats, str]]:
    if not np.ptp(features, axis=0).any():
        yield "PCA", np.zeros((len(features), 2)), _ALL_THE_SAME
        return
    first = PCA(min(_FIRST_DIMENSIONS, *features.shape), svd_solver="full")
    reduced = first.fit_transform(features)
    shown = 100 * float(first.explained_variance_ratio_[:2].sum())
    yield (
        "PCA",
        reduced[:, :2],
        f"PCA: the two directions of largest variance, which hold {shown:.0f} % of it. Images "
        "that lie apart differ; images that lie together may still differ in other directions.",
    )
    yield (
        "t-SNE",
        _tsne(reduced),
        "t-SNE: images that lie together are similar. Distances between groups, and the sizes "
        "of groups, mean nothing.",
    )
    if has_umap():
        yield (
            "UMAP",
            _umap(features),
            "UMAP: images that lie together are similar. Distances between groups mean little.",
        )


def _tsne(reduced: Floats) -> Floats:
    perplexity = min(_PERPLEXITY, (len(reduced) - 1) / 3)
    maker = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=0)
    points: Floats = maker.fit_transform(reduced.astype(np.float32)).astype(np.float64)
    return points


def _umap(features: Floats) -> Floats:
    maker = import_module("umap").UMAP(
        n_neighbors=min(15, len(features) - 1), metric="cosine", random_state=0, n_jobs=1
    )
    points: Floats = np.asarray(maker.fit_transform(features), dtype=np.float64)
    return points


def _trust(features: Floats, points: Floats) -> float:
    count = len(features)
    rows = np.linspace(0, count - 1, min(count, _MOST_JUDGED)).round().astype(int)
    # scikit-learn needs fewer neighbours than half of the images.
    neighbors = min(_NEIGHBORS, (len(rows) - 1) // 2)
    return float(trustworthiness(features[rows], points[rows], n_neighbors=neighbors))
