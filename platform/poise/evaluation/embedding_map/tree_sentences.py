"""Describes a tree of classes in sentences.

In: a ``ClassTree``. Out: sentences. Next: the notes of the evaluation and
``poise.reports.embedding_map``.
"""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import squareform

from poise.evaluation.embedding_map.content import ClassTree

_GOOD, _ROUGH = 0.8, 0.6  # values of the cophenetic correlation
_RELIABLE = 0.5


def tree_sentences(tree: ClassTree) -> Iterator[str]:
    """Yields plain sentences that answer: are similar classes near each other?"""
    order = np.argsort(squareform(tree.distances), kind="stable")
    firsts, seconds = np.triu_indices(len(tree.names), 1)
    near, far = order[0], order[-1]
    yield (
        f"The nearest classes are {tree.names[firsts[near]]} and {tree.names[seconds[near]]} "
        f"(cosine distance {tree.distances[firsts[near], seconds[near]]:.3f}), the farthest "
        f"{tree.names[firsts[far]]} and {tree.names[seconds[far]]} "
        f"({tree.distances[firsts[far], seconds[far]]:.3f})."
    )
    low, high = tree.interval
    yield (
        f"The cophenetic correlation is {tree.cophenetic:.2f} ({low:.2f} to {high:.2f}): "
        f"{_meaning(tree.cophenetic)}"
    )
    yield (
        f"Distances from one half of the images agree with those from the other half with a rank "
        f"correlation of {tree.reliability:.2f}"
        + ("." if tree.reliability >= _RELIABLE else ", so their order is mostly noise.")
    )


def _meaning(cophenetic: float) -> str:
    if cophenetic >= _GOOD:
        return "the tree shows the distances faithfully, so classes that join early are similar."
    if cophenetic >= _ROUGH:
        return "the tree shows the distances roughly; read the table beside it."
    return "the tree distorts the distances, so the classes do not form groups within groups."
