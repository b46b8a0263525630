"""Joins a dataset's classes into a tree, which shows whether similar classes are near each other.

In: features and labels. Out: a ``ClassTree``. Next:
``poise.evaluation.embedding_map.tree_sentences``.
"""

from functools import partial

import numpy as np
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from poise.evaluation.bootstrap import jackknife_interval
from poise.evaluation.embedding_map.content import ClassTree, Floats, Integers

_FEWEST_CLASSES = 3


def class_tree(features: Floats, labels: Integers, classes: tuple[str, ...]) -> ClassTree | None:
    """Joins the classes with the nearest mean features first, by average linkage.

    Args:
        features: L2-normalised features, [n, D].
        labels: class of each image, [n], or −1 if it is unknown.
        classes: names of the classes, in label order.

    Returns:
        The tree of the classes that have an image, or None for fewer than three such classes.
    """
    present = np.unique(labels[labels >= 0])
    if len(present) < _FEWEST_CLASSES:
        return None
    groups = [np.flatnonzero(labels == label) for label in present]
    found = class_distances(features, groups)
    links = linkage(found, "average")
    low, high = jackknife_interval(groups, partial(_correlation, features, labels))
    return ClassTree(
        tuple(classes[int(label)] for label in present),
        np.array([len(group) for group in groups], dtype=np.int64),
        squareform(found),
        links,
        _cophenetic(found),
        (max(-1.0, low), min(1.0, high)),
        _reliability(features, groups),
    )


def class_distances(features: Floats, groups: list[Integers]) -> Floats:
    """Computes cosine distances between groups' mean features, in the order of SciPy's ``pdist``.

    Range: 0 (same direction) to 2 (opposite).
    """
    means = np.stack([features[rows].mean(axis=0) for rows in groups])
    distances: Floats = np.nan_to_num(pdist(means, "cosine"))  # a mean of length 0 has no direction
    return distances.clip(0, 2)


def agreement(first: Floats, second: Floats) -> float:
    """Computes the rank correlation of two sets of distances.

    The correlation is 0 if all distances of a set are equal.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def _correlation(features: Floats, labels: Integers, rows: Integers) -> float:
    """Computes the cophenetic correlation from some of the images.

    Args:
        features: features of all images, [n, D].
        labels: class of each image, [n].
        rows: row numbers of the images to use, at least one of each class.
    """
    groups = [rows[labels[rows] == label] for label in np.unique(labels[rows])]
    return _cophenetic(class_distances(features, groups))


def _cophenetic(distances: Floats) -> float:
    if np.ptp(distances) == 0:
        return 0.0
    heights = cophenet(linkage(distances, "average"))
    if np.ptp(heights) == 0:
        return 0.0
    return float(np.corrcoef(distances, heights)[0, 1])


def _reliability(features: Floats, groups: list[Integers]) -> float:
    draws = np.random.default_rng(0)
    shuffled = [draws.permutation(rows) for rows in groups if len(rows) > 1]
    if len(shuffled) < _FEWEST_CLASSES:
        return 0.0
    halves = ([rows[: len(rows) // 2] for rows in shuffled], [r[len(r) // 2 :] for r in shuffled])
    return agreement(*(class_distances(features, half) for half in halves))
