"""Accuracies with their confidence intervals, and the names under which metrics are logged.

In: a protocol, the settings that differ from it, and a dataset. Out: names of metrics. Next: the
reports ``KnnReport``, ``ProbeReport`` and ``EvaluationReport``, which are subclasses of
``Measurement``.
"""

from __future__ import annotations

import hashlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Accuracy:
    """Share of correct answers in percent, with the ends of its 95 % Wilson confidence interval."""

    percent: float
    low: float
    high: float


def accuracy(hits: int, trials: int) -> Accuracy:
    """Computes the accuracy of ``hits`` correct answers among ``trials`` answers (at least 1)."""
    low, high = wilson_interval(hits, trials)
    return Accuracy(100.0 * hits / trials, 100 * low, 100 * high)


def wilson_interval(successes: float, trials: float, z: float = 1.959964) -> tuple[float, float]:
    """Computes the Wilson confidence interval of a proportion (E. B. Wilson, 1927).

    The interval is also valid near 0 and 1.

    Args:
        successes: number of successes. It need not be whole, because trials that depend on each
            other are counted with weights below 1.
        trials: number of trials, at least 1.
        z: quantile of the normal distribution. The default gives 95 %.

    Returns:
        Both ends, from 0 to 1.
    """
    share, shrink = successes / trials, 1 + z**2 / trials
    middle = (share + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # Rounding errors must not move the share outside its own interval.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def ratio_interval(
    sums: NDArray[np.floating], counts: NDArray[np.floating], z: float = 1.959964
) -> tuple[float, float, float]:
    """Computes a mean over the parts of all images, and its 95 % interval over images.

    The mean is Σ sums / Σ counts. Parts of one image are alike, so its variance is that of a ratio
    estimator with images as units (W. G. Cochran, Sampling Techniques, 1977, section 6.4).

    Args:
        sums: sum over the parts of each image, [n].
        counts: number of parts of each image, [n]. At least one is above 0.
        z: quantile of the normal distribution. The default gives 95 %.

    Returns:
        The mean and both ends of its interval. The ends are NaN if only one image has parts.
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
    """Makes the name of a measurement, such as ``linear-cached-v1``.

    If settings differ from the protocol, a digest of these settings is appended.

    Args:
        protocol: id of the protocol.
        changed: changed settings as the user typed them, in any order.
    """
    name = protocol.replace("/", "-")
    settings = "\n".join(sorted(changed))
    if not settings:
        return name
    return f"{name}-changed-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


def unchanged_name(metric: str) -> str:
    """Removes the digest of changed settings from the name of a metric, if it has one."""
    return re.sub(r"-changed-[0-9a-f]{8}/", "/", metric)


class Measured(NamedTuple):
    """One value with its unit and its 95 % confidence interval."""

    value: float
    unit: str = "%"
    low: float | None = None
    high: float | None = None


class Scored(Protocol):
    """Row of a report with a top-1 and a top-5 accuracy."""

    @property
    def top1(self) -> Accuracy:
        """Share of images whose class gets the highest score from the classifier."""

    @property
    def top5(self) -> Accuracy:
        """Share of images whose class gets one of the five highest scores from the classifier."""


@dataclass(frozen=True)
class Measurement(ABC):
    """Result of an evaluation: protocol, dataset, and the names of its metrics in the log."""

    protocol: str
    changed: tuple[str, ...]
    """Settings that differ from the protocol's settings."""

    dataset: str
    dataset_name: str
    """Name of the dataset in its manifest."""

    @property
    def measurement(self) -> str:
        """Name of the protocol.

        If settings differ from the protocol, a digest of them is appended.
        """
        return measurement_name(self.protocol, self.changed)

    @property
    @abstractmethod
    def measured(self) -> dict[str, Measured]:
        """Maps the name of each metric in the log to its value with unit and interval."""

    @property
    def figures(self) -> dict[str, float]:
        """Maps the name of each metric in the log to its value."""
        return {name: found.value for name, found in self.measured.items()}

    @property
    def prefix(self) -> str:
        """Beginning of the names of all metrics: ``probe/<dataset>/<measurement>``."""
        return f"probe/{as_name(self.dataset_name)}/{self.measurement}"

    def percentages(self, rows: Iterable[tuple[str, Scored]]) -> dict[str, Measured]:
        """Maps the name of each accuracy in the log to its value with its interval.

        A name is ``probe/<dataset>/<measurement>/<row>_top1``, or ends in ``_top5``.
        """
        return {
            f"{self.prefix}/{name}_{top}": Measured(
                accuracy.percent, "%", accuracy.low, accuracy.high
            )
            for name, row in rows
            for top, accuracy in (("top1", row.top1), ("top5", row.top5))
        }
