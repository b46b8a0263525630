"""Features and labels of a bank and of queries.

In: a pass over two labelled sets. Out: one object. Next: ``poise.evaluation.neighbours.knn`` and
``poise.evaluation.neighbours.ridge``, which use the bank to classify the queries.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BankAndQueries:
    """Features of m bank images, whose labels are used, and of n queries to classify.

    All have labels.
    """

    bank_features: Tensor
    """float [m, D]. The rows need not be normalised."""

    bank_labels: Tensor
    """int64 [m], from 0 to C − 1."""

    query_features: Tensor
    """float [n, D], on the bank's device. The rows need not be normalised."""

    query_labels: Tensor
    """int64 [n], from 0 to C − 1."""

    num_classes: int
    """Number of classes C."""

    own_rows: Tensor | None = None
    """int64 [n]: the bank row that holds the query's own image, or -1 if the bank does not contain
    it. An image has no vote in its own classification.
    """
