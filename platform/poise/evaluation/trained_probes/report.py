"""Accuracies of a probe, with the facts that a reader needs to interpret them.

In: hits on the held-out images and on the test images. Out: a ``ProbeReport``. Next:
``poise evaluate`` prints the report, and logs its metrics to the MLflow run of the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from poise.evaluation.measurement import Accuracy, Measured, Measurement, accuracy, as_name
from poise.evaluation.trained_probes.hits import Hits


@dataclass(frozen=True)
class TriedRate:
    """One learning rate of a grid, and the accuracy of its head on the held-out training images."""

    base_lr: float
    """Learning rate for a batch of 256 images."""

    held_out_top1: float
    """Accuracy on the held-out training images, in percent."""


@dataclass(frozen=True)
class ProbeRow:
    """One feature, and the accuracies of its chosen head on the test images.

    The head with the best accuracy on held-out images was chosen. Only this head was scored, once.
    """

    feature: str
    base_lr: float
    top1: Accuracy
    top5: Accuracy
    grid: tuple[TriedRate, ...]
    """Learning rates that were tried, one for each head. It is empty if only one head was trained,
    because then no learning rate was chosen.
    """

    @property
    def at_edge(self) -> bool:
        """Whether the chosen rate is the lowest or the highest of at least three rates.

        Then a wider grid may give a better result.
        """
        rates = [tried.base_lr for tried in self.grid]
        return len(rates) > 2 and self.base_lr in (min(rates), max(rates))


@dataclass(frozen=True)
class ProbeReport(Measurement):
    """Accuracies of a probe or of fine-tuning, with the facts that a reader needs."""

    train: str
    test_images: int
    held_out_images: int
    num_classes: int
    image_px: int
    epochs: int
    batch_size: int
    rows: tuple[ProbeRow, ...]

    @property
    def file_name(self) -> str:
        """Name of the report's file: the dataset and the features."""
        return "-".join([as_name(self.dataset_name), *(row.feature for row in self.rows)])

    @property
    def measured(self) -> dict[str, Measured]:
        """Maps the name of each metric in the log to its percentage.

        A name is ``probe/<dataset>/<measurement>/<feature>_top1``, for example.
        """
        return self.percentages((row.feature, row) for row in self.rows)

    def metric(self, feature: str) -> str:
        """Returns the name under which the top-1 accuracy of a feature is logged."""
        return f"{self.prefix}/{feature}_top1"


def report_row(
    feature: str, rates: tuple[float, ...], held_out: Mapping[str, Hits], test: Hits
) -> ProbeRow:
    """Makes the row of a feature.

    Args:
        feature: name of the feature.
        rates: base learning rate of each head.
        held_out: hits on held-out images by feature. The head with the most hits is chosen. Empty
            if there is only one head.
        test: hits of the chosen head on the test images.
    """
    grid: tuple[TriedRate, ...] = ()
    chosen = 0
    if held_out:
        hits = held_out[feature]
        chosen = hits.best
        shares = [100 * right / hits.num_images for right in hits.top1]
        grid = tuple(map(TriedRate, rates, shares))
    return ProbeRow(
        feature=feature,
        base_lr=rates[chosen],
        top1=accuracy(test.top1[0], test.num_images),
        top5=accuracy(test.top5[0], test.num_images),
        grid=grid,
    )
