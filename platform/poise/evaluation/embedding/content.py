"""Content of an embedding map, in plain arrays.

In: what ``poise.evaluation.embedding.embed`` computes. Out: frozen objects. Next:
``poise.reports.embedding``, which loads without PyTorch, and so does this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Projection:
    """Two coordinates for each image."""

    name: str
    """PCA, t-SNE or UMAP."""

    points: Floats
    """[n, 2]; the unit has no meaning."""

    trustworthiness: float
    """Agreement of neighbours in the map with neighbours by features, from 0 to 1 (J. Venna and S.
    Kaski, 2001). Above 0.9, clusters in the map are real; below 0.8, they may not be."""

    caption: str
    """Sentence: what distances in this map mean."""


@dataclass(frozen=True)
class ClassTree:
    """Distances between the mean features of classes, and the tree that joins the nearest first."""

    names: tuple[str, ...]
    """Classes that have an image, C of them, at least 3."""

    counts: Integers
    """Images of each class: [C]."""

    distances: Floats
    """Cosine distance of the classes' mean features, 0 to 2: [C, C]."""

    links: Floats
    """Merges as ``scipy.cluster.hierarchy.linkage`` writes them, by average distance:
    [C − 1, 4]."""

    cophenetic: float
    """Correlation of distances with heights in the tree, −1 to 1."""

    interval: tuple[float, float]
    """Its 95 % interval, from leaving a twentieth of each class out after another (jackknife)."""

    reliability: float
    """Rank correlation of distances from two halves of the images, −1 to 1. Below 0.5 the order of
    distances is mostly noise."""

    def nearest(self, row: int) -> list[int]:
        """Lists the other classes, nearest first."""
        order = np.argsort(self.distances[row], kind="stable")
        return [int(other) for other in order if other != row]


@dataclass(frozen=True)
class Sprites:
    """Thumbnails side by side in a few JPEG files."""

    sheets: Sequence[bytes]
    tile_px: int
    """Side of a thumbnail."""

    tiles_across: int
    """Thumbnails in a row and rows in a sheet; the next sheet follows."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Map of n images, and everything that its page shows."""

    model: str
    """Short name of the model."""

    dataset: str
    protocol: str
    classes: tuple[str, ...]
    """Class names in label order; empty if the dataset has none."""

    sample_ids: Integers
    """[n]."""

    labels: Integers
    """[n], −1 where unknown."""

    projections: Sequence[Projection]
    nearest: Integers
    """Rows of the nearest images by the features, most similar first: [n, k]."""

    similarities: Floats
    """Their cosines: [n, k]."""

    sprites: Sprites
    tree: ClassTree | None
    """None for fewer than three classes."""

    sentences: tuple[str, ...]
    """Sentences that answer whether similar classes are near each other."""

    notes: tuple[str, ...]
