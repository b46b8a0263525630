"""k-NN accuracies of a finished model, with datasets and confidence intervals.

In: a backbone and two labelled datasets. Out: a ``KnnReport``. Next: ``poise evaluate knn``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from poise.data.manifest import Manifest
from poise.evaluation.measurement import Accuracy, Measurement, accuracy, as_name
from poise.evaluation.neighbours.knn import PROTOCOL, find_neighbors, vote
from poise.evaluation.neighbours.samples import BankAndQueries
from poise.evaluation.neighbours.sets import KnnSets
from poise.evaluation.reading.bench import Bench
from poise.evaluation.reading.features import one_feature
from poise.models.readout import default_feature


@dataclass(frozen=True)
class KnnRow:
    """Accuracies of one feature with one k."""

    feature: str
    k: int
    top1: Accuracy
    top5: Accuracy


@dataclass(frozen=True)
class KnnReport(Measurement):
    """k-NN accuracies of a model, with everything that a reader needs to interpret them."""

    bank: str
    """Folder of the dataset that votes. ``changed`` names it if the model was trained on a
    different dataset.
    """

    query_images: int
    bank_images: int
    num_classes: int
    image_px: int
    leave_one_out: bool
    """Whether queries and bank are one dataset. Then an image does not vote for itself."""

    default_feature: str
    """Feature that the protocol reads from this backbone. The name of a metric contains the feature
    only if it is a different feature.
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
    def figures(self) -> dict[str, float]:
        """Percentages by name, for the log: ``probe/<dataset>/<measurement>/k20_top1``."""
        return self.percentages((f"{self._prefix(row)}k{row.k}", row) for row in self.rows)

    def _prefix(self, row: KnnRow) -> str:
        return "" if row.feature == self.default_feature else f"{row.feature}_"


def report_knn(
    backbone: nn.Module,
    sets: KnnSets,
    bench: Bench,
    ks: Sequence[int],
    features: Sequence[str] = (),
    changed: tuple[str, ...] = (),
) -> KnnReport:
    """Measures a backbone by its nearest neighbours.

    Args:
        backbone: backbone on the bench's device.
        sets: bank and queries.
        bench: device and batch size for the pass over images.
        ks: numbers of neighbours that vote; each number gives a row.
        features: features to compare; each needs its own pass. If empty, the default feature is
            used.
        changed: settings that differ from the protocol, for the report.

    Raises:
        PoiseError: the backbone has no such feature.
    """
    default = default_feature(backbone)
    names = tuple(dict.fromkeys(features)) or (default,)
    readers = [one_feature(backbone, name, sets.bank.image_px) for name in names]
    rows: list[KnnRow] = []
    for name, reader in zip(names, readers, strict=True):
        found = sets.features(reader, bench)
        rows.extend(_rows(name, found, ks))
    return KnnReport(
        protocol=PROTOCOL,
        changed=changed,
        dataset=str(sets.queries.folder),
        dataset_name=Manifest.read(sets.queries.folder).name,
        bank=str(sets.bank.folder),
        query_images=len(found.query_labels),
        bank_images=len(found.bank_labels),
        num_classes=found.num_classes,
        image_px=sets.bank.image_px,
        leave_one_out=sets.shared,
        default_feature=default,
        rows=tuple(rows),
    )


def _rows(feature: str, found: BankAndQueries, ks: Sequence[int]) -> Iterator[KnnRow]:
    neighbors = find_neighbors(
        found.bank_features, found.bank_labels, found.query_features, max(ks), found.own_rows
    )
    num_queries = len(found.query_labels)
    for k in ks:
        percents = dict(vote(neighbors, found.query_labels, found.num_classes, k))
        top1, top5 = (
            accuracy(round(percents[name] * num_queries / 100), num_queries)
            for name in ("knn_top1", "knn_top5")
        )
        yield KnnRow(feature, k, top1, top5)
