"""Accuracies with their confidence intervals, and the names under which metrics are logged.

In: a protocol, the settings that differ from it, and a dataset. Out: names of metrics. Next: the
reports ``KnnReport``, ``ProbeReport`` and ``EvaluationReport``, which are subclasses of
``Measurement``.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Accuracy:
    """Share of correct answers in percent, with its 95 % confidence interval (Wilson)."""

    percent: float
    low: float
    high: float


def accuracy(hits: int, trials: int) -> Accuracy:
    """Computes the accuracy of ``hits`` correct answers in ``trials``, which is at least 1."""
    low, high = wilson_interval(hits, trials)
    return Accuracy(100.0 * hits / trials, 100 * low, 100 * high)


def wilson_interval(successes: float, trials: float, z: float = 1.959964) -> tuple[float, float]:
    """Computes the confidence interval of a proportion (E. B. Wilson, 1927).

    It is also valid near 0 and 1.

    Args:
        successes: number of successes. It need not be whole, as trials that depend on each other
            count for less than one each.
        trials: number of trials, at least 1.
        z: quantile of the normal distribution; the default gives 95 %.
    """
    share, shrink = successes / trials, 1 + z**2 / trials
    middle = (share + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def ratio_interval(
    sums: NDArray[np.floating], counts: NDArray[np.floating], z: float = 1.959964
) -> tuple[float, float, float]:
    """Computes a mean over the parts of images, and its 95 % interval over images.

    The mean is Σ sums / Σ counts. Its variance is that of a ratio estimator with images as units
    (W. G. Cochran, Sampling Techniques, 1977, section 6.4), because parts of one image are alike.

    Args:
        sums: sum over the parts of each image, [n].
        counts: number of parts of each image, [n]; at least one is above 0.
        z: quantile of the normal distribution; the default gives 95 %.

    Returns:
        The mean and both ends of its interval; the ends are NaN for a single image.
    """
    mean = sums.sum() / counts.sum()
    num = int((counts > 0).sum())
    if num < 2:
        return float(mean), math.nan, math.nan
    squares = ((sums - mean * counts) ** 2).sum() * num / (num - 1)
    half = z * math.sqrt(squares) / counts.sum()
    return float(mean), float(mean - half), float(mean + half)


def as_name(text: str) -> str:
    """Turns a text into a valid name for a folder or for a part of a metric's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "model"


def measurement_name(protocol: str, changed: Iterable[str] = ()) -> str:
    """Makes a name such as ``linear-cached-v1``.

    If settings were changed, a digest of them follows.

    Args:
        protocol: id of the protocol.
        changed: changed settings as the user typed them; their order does not matter.
    """
    name = protocol.replace("/", "-")
    settings = "\n".join(sorted(changed))
    if not settings:
        return name
    return f"{name}-changed-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


class Scored(Protocol):
    """Row of a report that has two accuracies."""

    @property
    def top1(self) -> Accuracy:
        """Share of images whose best answer is correct."""

    @property
    def top5(self) -> Accuracy:
        """Share of images whose class is among the five best answers."""


@dataclass(frozen=True)
class Measurement:
    """Protocol and dataset of some metrics."""

    protocol: str
    changed: tuple[str, ...]
    """Settings that differ from the protocol's settings."""

    dataset: str
    dataset_name: str
    """Name of the dataset in its manifest."""

    @property
    def measurement(self) -> str:
        """Name of the protocol. If settings differ from the protocol, a digest of them follows."""
        return measurement_name(self.protocol, self.changed)

    def percentages(self, rows: Iterable[tuple[str, Scored]]) -> dict[str, float]:
        """Names percentages for the log: ``probe/<dataset>/<measurement>/<row>_top1``."""
        prefix = f"probe/{as_name(self.dataset_name)}/{self.measurement}"
        return {
            f"{prefix}/{name}_{top}": accuracy.percent
            for name, row in rows
            for top, accuracy in (("top1", row.top1), ("top5", row.top5))
        }
