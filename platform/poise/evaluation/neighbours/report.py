"""k-NN accuracies of a finished model, with datasets and confidence intervals.

In: a backbone and two labelled datasets. Out: a ``KnnReport``. Next: ``poise evaluate knn``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from poise.evaluation.answers_per_image import Answers, packed
from poise.evaluation.measurement import Accuracy, Measured, Measurement, accuracy, as_name
from poise.evaluation.neighbours.knn import PROTOCOL, accuracies, find_neighbors, vote_hits
from poise.evaluation.neighbours.samples import BankAndQueries
from poise.evaluation.neighbours.sets import KnnSets
from poise.evaluation.reading.features import one_feature
from poise.evaluation.reading.finite import warn_if_equal
from poise.evaluation.reading.inference import Bench
from poise.models.readout import default_feature


@dataclass(frozen=True)
class KnnRow:
    """Accuracies for one kind of feature and one number of neighbours k."""

    feature: str
    k: int
    top1: Accuracy
    top5: Accuracy


@dataclass(frozen=True)
class KnnReport(Measurement):
    """k-NN accuracies of a model, with the facts that a reader needs to interpret them."""

    bank: str
    """Folder of the dataset whose images vote. If the model was trained on a different dataset,
    ``changed`` contains the name of the voting dataset.
    """

    query_images: int
    bank_images: int
    num_classes: int
    image_px: int
    leave_one_out: bool
    """Whether queries and bank are the same dataset. Then an image does not vote for itself."""

    default_feature: str
    """Kind of feature that the protocol uses for this backbone. Metrics of other kinds of features
    contain the kind in their names.
    """

    rows: tuple[KnnRow, ...]

    @property
    def file_name(self) -> str:
        """Name of the report's file: the dataset, the features and each k."""
        features = dict.fromkeys(row.feature for row in self.rows)
        named = [] if set(features) == {self.default_feature} else list(features)
        ks = dict.fromkeys(f"k{row.k}" for row in self.rows)
        return "-".join([as_name(self.dataset_name), *named, *ks])

    @property
    def measured(self) -> dict[str, Measured]:
        """Maps the name of each metric in the log to its percentage.

        A name is ``probe/<dataset>/<measurement>/k20_top1``, for example.
        """
        return self.percentages((self._name(row), row) for row in self.rows)

    def metric(self, row: KnnRow) -> str:
        """Returns the name under which a row's top-1 accuracy is logged."""
        return f"{self.prefix}/{self._name(row)}_top1"

    def _name(self, row: KnnRow) -> str:
        feature = "" if row.feature == self.default_feature else f"{row.feature}_"
        return f"{feature}k{row.k}"


def report_knn(
    backbone: nn.Module,
    sets: KnnSets,
    bench: Bench,
    ks: Sequence[int],
    features: Sequence[str] = (),
    changed: tuple[str, ...] = (),
) -> tuple[KnnReport, Answers]:
    """Measures the k-NN accuracies of a backbone.

    Args:
        backbone: backbone on the device of the bench.
        sets: bank and queries.
        bench: device, batch size and other settings for the pass over images.
        ks: numbers of neighbours that vote. Each number gives a row.
        features: kinds of features to compare. Each kind needs a pass over the images. If empty,
            the default feature is used.
        changed: settings that differ from the protocol, for the report.

    Returns:
        The report, and whether each row's answer to each query is right.

    Raises:
        PoiseError: the backbone has no such feature.
    """
    default = default_feature(backbone)
    names = tuple(dict.fromkeys(features)) or (default,)
    readers = [one_feature(backbone, name, sets.bank.image_px) for name in names]
    rows: dict[KnnRow, NDArray[np.bool_]] = {}
    for name, reader in zip(names, readers, strict=True):
        found = sets.features(reader, bench)
        warn_if_equal(found.bank_features, sets.bank.folder)
        rows |= _rows(name, found, ks)
    report = KnnReport(
        protocol=PROTOCOL,
        changed=changed,
        dataset=str(sets.queries.folder),
        dataset_name=sets.queries.manifest.name,
        bank=str(sets.bank.folder),
        query_images=len(found.query_labels),
        bank_images=len(found.bank_labels),
        num_classes=found.num_classes,
        image_px=sets.bank.image_px,
        leave_one_out=sets.shared,
        default_feature=default,
        rows=tuple(rows),
    )
    answers = {report.metric(row): packed(right) for row, right in rows.items()}
    return report, Answers(report.query_images, sets.digest(), answers)


def _rows(
    feature: str, found: BankAndQueries, ks: Sequence[int]
) -> dict[KnnRow, NDArray[np.bool_]]:
    """Computes a row of the report for each k, and whether each query's top-1 class is right."""
    neighbors = find_neighbors(
        found.bank_features, found.bank_labels, found.query_features, max(ks), found.own_rows
    )
    num_queries, rows = len(found.query_labels), {}
    for k in ks:
        hits = vote_hits(neighbors, found.query_labels, found.num_classes, k)
        percents = dict(accuracies(hits, k))
        top1, top5 = (
            accuracy(round(percents[name] * num_queries / 100), num_queries)
            for name in ("knn_top1", "knn_top5")
        )
        rows[KnnRow(feature, k, top1, top5)] = hits[:, 0].cpu().numpy()
    return rows
