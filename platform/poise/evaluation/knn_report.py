"""A finished model's k-NN figures, with what they were measured on and how sure they are.

In: a backbone and two labelled datasets. Out: a ``KnnReport``. Next: ``poise evaluate knn``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from poise.evaluation.accuracy import Accuracy, accuracy
from poise.evaluation.features import Normalization, no_progress
from poise.evaluation.knn import PROTOCOL, find_neighbors, vote
from poise.evaluation.sets import KnnSets


@dataclass(frozen=True)
class KnnRow:
    """The accuracies of one k."""

    k: int
    top1: Accuracy
    top5: Accuracy


@dataclass(frozen=True)
class KnnReport:
    """Everything that must stand beside a k-NN figure."""

    protocol: str
    dataset: str
    bank: str
    query_images: int
    bank_images: int
    num_classes: int
    image_px: int
    leave_one_out: bool
    """Queries and bank are one dataset, and no image votes for itself."""

    rows: tuple[KnnRow, ...]

    @property
    def figures(self) -> dict[str, float]:
        """Percentages by name, for the log."""
        prefix = f"probe/{self.protocol.replace('/', '-')}"
        return {
            f"{prefix}/k{row.k}_{name}": getattr(row, name).percent
            for row in self.rows
            for name in ("top1", "top5")
        }


def report_knn(
    backbone: nn.Module,
    sets: KnnSets,
    normalization: Normalization,
    device: torch.device,
    ks: Sequence[int],
    on_images: Callable[[int], None] = no_progress,
    over_ray: bool = False,
) -> KnnReport:
    """Measures a backbone.

    Args:
        backbone: on ``device``.
        sets: bank and queries.
        normalization: channel mean and std that the backbone was trained with.
        device: where to compute.
        ks: neighbours that vote, one row each.
        on_images: is told after each batch how many images it had.
        over_ray: spreads the images over the Ray cluster.
    """
    found = sets.features(backbone, normalization, device, on_images, over_ray)
    neighbors = find_neighbors(
        found.bank_features, found.bank_labels, found.query_features, max(ks), found.own_rows
    )
    num_queries = len(found.query_labels)
    rows = []
    for k in ks:
        percents = dict(vote(neighbors, found.query_labels, found.num_classes, k))
        top1, top5 = (
            accuracy(round(percents[name] * num_queries / 100), num_queries)
            for name in ("knn_top1", "knn_top5")
        )
        rows.append(KnnRow(k, top1, top5))
    return KnnReport(
        protocol=PROTOCOL,
        dataset=str(sets.queries.folder),
        bank=str(sets.bank.folder),
        query_images=num_queries,
        bank_images=len(found.bank_labels),
        num_classes=found.num_classes,
        image_px=sets.bank.image_px,
        leave_one_out=sets.shared,
        rows=tuple(rows),
    )
