"""Features and labels of a bank and of queries.

In: a pass over two labelled sets. Out: one object. Next: ``poise.evaluation.neighbours.knn`` and
``poise.evaluation.neighbours.ridge``, which classify the queries by the bank.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BankAndQueries:
    """m images whose labels are used, and n images that are classified. All have labels."""

    bank_features: Tensor
    """[m, D], of any length per row."""

    bank_labels: Tensor
    """int64 [m], from 0 to C − 1."""

    query_features: Tensor
    """[n, D], on the bank's device."""

    query_labels: Tensor
    """int64 [n], from 0 to C − 1."""

    num_classes: int
    """C."""

    own_rows: Tensor | None = None
    """int64 [n]: the row of the bank that is the query's own image, -1 for none. An image does not
    take part in its own classification."""
