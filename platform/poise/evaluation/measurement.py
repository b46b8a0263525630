"""What stands beside every accuracy of a finished model, whichever probe measured it.

In: a protocol, what differs from it, and a dataset. Out: the names under which figures are kept.
Next: ``KnnReport`` and ``ProbeReport``, which are measurements.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from poise.evaluation.accuracy import Accuracy
from poise.evaluation.naming import as_name, measurement_name


class Scored(Protocol):
    """A row of a report."""

    @property
    def top1(self) -> Accuracy:
        """Of the best answer."""

    @property
    def top5(self) -> Accuracy:
        """Of the five best answers."""


@dataclass(frozen=True)
class Measurement:
    """By which protocol, and on which dataset."""

    protocol: str
    changed: tuple[str, ...]
    """Settings that are not the protocol's."""

    dataset: str
    dataset_name: str
    """As its manifest says."""

    @property
    def measurement(self) -> str:
        """What was done, as a name: the protocol, marked where settings are not its own."""
        return measurement_name(self.protocol, self.changed)

    def percentages(self, rows: Iterable[tuple[str, Scored]]) -> dict[str, float]:
        """Of named rows, for the log: ``probe/<dataset>/<measurement>/<row>_top1``."""
        prefix = f"probe/{as_name(self.dataset_name)}/{self.measurement}"
        return {
            f"{prefix}/{name}_{top}": accuracy.percent
            for name, row in rows
            for top, accuracy in (("top1", row.top1), ("top5", row.top5))
        }
