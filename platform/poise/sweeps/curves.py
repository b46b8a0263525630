"""Histories, thinned out and averaged, as curves.

In: histories of metrics. Out: curves of trials and, over seeds, of settings. Next:
``poise.sweeps.findings``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from poise.evaluation.pictures import CURVES
from poise.training.checkpoint import History

PointT = TypeVar("PointT")

LABELS = dict(CURVES)
"""Metric → what it is called on an axis."""

_BALANCE = (
    "teacher/entropy_over_ln_k",
    "teacher/kl_over_ln_k",
    "teacher/mutual_information_over_ln_k",
    "loss/over_mean_patch",
    "prediction/std_over_target",
)
"""What shows the balance of a training, whichever of them it logs."""

_MOST_NUMBERS = 120_000
"""Of all trials' curves together: a page of 500 trials stays at a few megabytes."""

_FEWEST_POINTS, _MOST_POINTS = 16, 200
_DIGITS = 5


@dataclass(frozen=True)
class Curve:
    """A metric over steps."""

    metric: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    """Rounded to five digits; none where it was not finite."""


@dataclass(frozen=True)
class BandCurve:
    """A metric over steps, over the seeds of a setting."""

    metric: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """The smallest seed's."""

    high: tuple[float, ...]
    n: tuple[int, ...]
    """Seeds that had come this far: where one stopped early, the mean is of the others."""


def points_per_curve(num_trials: int) -> int:
    """How many points each curve of so many trials may have."""
    fair = _MOST_NUMBERS // max(1, num_trials * len(LABELS))
    return min(max(fair, _FEWEST_POINTS), _MOST_POINTS)


def curves_of(history: History, most: int) -> tuple[Curve, ...]:
    """Every curve that a trial logged, each of at most so many points, ends included."""
    curves = []
    for metric in LABELS:
        points = [(step, seen[metric]) for step, seen in history if metric in seen]
        if points:
            steps, values = zip(*_thinned(points, most), strict=True)
            curves.append(Curve(metric, steps, tuple(map(_rounded, values))))
    return tuple(curves)


def bands_of(histories: Sequence[History], most: int) -> tuple[BandCurve, ...]:
    """Mean, smallest and largest over seeds, at the steps that any of them logged."""
    return tuple(
        band for metric in _BALANCE if (band := _band(metric, histories, most)) is not None
    )


def _band(metric: str, histories: Sequence[History], most: int) -> BandCurve | None:
    by_step: dict[int, list[float]] = {}
    for history in histories:
        for step, seen in history:
            if math.isfinite(seen.get(metric, math.nan)):
                by_step.setdefault(step, []).append(seen[metric])
    if not by_step:
        return None
    points = _thinned(sorted(by_step.items()), most)
    return BandCurve(
        metric,
        steps=tuple(step for step, _ in points),
        mean=tuple(_short(math.fsum(values) / len(values)) for _, values in points),
        low=tuple(_short(min(values)) for _, values in points),
        high=tuple(_short(max(values)) for _, values in points),
        n=tuple(len(values) for _, values in points),
    )


def _thinned(points: Sequence[PointT], most: int) -> list[PointT]:
    """Evenly spaced ones of them, the first and the last included."""
    if len(points) <= most:
        return list(points)
    return [points[index] for index in np.linspace(0, len(points) - 1, most).round().astype(int)]


def _rounded(value: float) -> float | None:
    return _short(value) if math.isfinite(value) else None


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
