"""Features and labels of a bank and of queries.

In: outputs of a backbone for two labelled datasets. Out: one object. Next:
``poise.evaluation.neighbours.knn`` and ``poise.evaluation.neighbours.ridge``, which use the labels
of the bank to classify the queries.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BankAndQueries:
    """Features and labels of m bank images and of n queries.

    Probes classify the queries with the help of the bank. The labels of the queries show whether
    the answers are right.
    """

    bank_features: Tensor
    """Features of the bank, float [m, D]. The rows need not be normalised."""

    bank_labels: Tensor
    """Labels of the bank, int64 [m], from 0 to C − 1."""

    query_features: Tensor
    """Features of the queries, float [n, D], on the bank's device. The rows need not be normalised.
    """

    query_labels: Tensor
    """Labels of the queries, int64 [n], from 0 to C − 1."""

    num_classes: int
    """Number of classes C."""

    own_rows: Tensor | None = None
    """Row of each query's own image in the bank, int64 [n], or −1 if the bank does not contain it.

    An image is never used to classify itself.
    """
