"""Content of an embedding map, in plain arrays.

In: the results of ``poise.evaluation.embedding_map.embed``. Out: frozen objects. Next:
``poise.reports.embedding_map``. Both modules load without PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Projection:
    """Two-dimensional coordinates of each image, made by one method."""

    name: str
    """Name of the method: PCA, t-SNE or UMAP."""

    points: Floats
    """Coordinates of the images, [n, 2]. Their unit has no meaning."""

    trustworthiness: float
    """Agreement of neighbours in the map with neighbours by features, from 0 to 1.

    Above 0.9, clusters in the map are real. Below 0.8, clusters may be artefacts (J. Venna and S.
    Kaski, 2001).
    """

    caption: str
    """Sentence that explains the meaning of distances in this map."""


@dataclass(frozen=True)
class ClassTree:
    """Distances between the mean features of classes, and the tree that joins the nearest first."""

    names: tuple[str, ...]
    """Names of the C classes that have an image. C is at least 3."""

    counts: Integers
    """Number of images of each class, [C]."""

    distances: Floats
    """Cosine distances between the mean features of classes, [C, C], from 0 to 2."""

    links: Floats
    """Linkage matrix of the tree, [C − 1, 4], in the format of ``scipy.cluster.hierarchy.linkage``.
    The tree uses average linkage.
    """

    cophenetic: float
    """Cophenetic correlation, −1 to 1.

    It is the correlation of the distances of two classes with the height where the tree joins them.
    """

    interval: tuple[float, float]
    """95 % interval of ``cophenetic``, by a jackknife that leaves out a twentieth of each class at
    a time.
    """

    reliability: float
    """Rank correlation of class distances from one half of the images with those from the other
    half.

    Range: −1 to 1. Below 0.5 the order of distances is mostly noise.
    """

    def nearest(self, row: int) -> list[int]:
        """Returns the row numbers of the other classes, the nearest class first.

        Args:
            row: row number of a class.
        """
        order = np.argsort(self.distances[row], kind="stable")
        return [int(other) for other in order if other != row]


@dataclass(frozen=True)
class Sprites:
    """Thumbnails of many images. A few JPEG files (sheets) each contain a grid of thumbnails."""

    sheets: Sequence[bytes]
    tile_px: int
    """Side of a thumbnail in pixels."""

    tiles_across: int
    """Number of thumbnails in a row of a sheet, and number of rows in a full sheet."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Content of the page that maps n images."""

    model: str
    """Short name of the model."""

    dataset: str
    protocol: str
    classes: tuple[str, ...]
    """Class names in label order. The tuple is empty if the dataset has no labels."""

    sample_ids: Integers
    """Ids of the images in the dataset, [n]."""

    labels: Integers
    """Class of each image, [n], or −1 if it is unknown."""

    projections: Sequence[Projection]
    nearest: Integers
    """Row numbers of the k most similar images by features, [n, k], the most similar first."""

    similarities: Floats
    """Cosine similarities of the images in ``nearest``, [n, k]."""

    sprites: Sprites
    tree: ClassTree | None
    """Tree of the classes, or None for fewer than three classes."""

    sentences: tuple[str, ...]
    """Sentences that answer whether similar classes are near each other."""

    notes: tuple[str, ...]
