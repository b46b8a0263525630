"""Makes curves from histories: with fewer points, and averaged over seeds.

In: histories of metrics. Out: curves of trials and, over seeds, of settings. Next:
``poise.studies.findings.findings``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from poise.diagnostics.history import History
from poise.runs.curves import CURVES
from poise.studies.analysis.intervals import is_figure

PointT = TypeVar("PointT")

LABELS = dict(CURVES)
"""Name of each metric on an axis."""

_BALANCE = (
    "teacher/entropy_over_ln_k",
    "teacher/kl_over_ln_k",
    "teacher/mutual_information_over_ln_k",
    "loss/over_mean_patch",
    "prediction/std_over_target",
)
"""Metrics that show whether training is in balance. A run logs some of them."""

_MOST_NUMBERS = 120_000
"""Limit for the numbers in all curves of a page. With it, 500 trials take a few megabytes."""

_FEWEST_POINTS, _MOST_POINTS = 16, 200
_DIGITS = 5


@dataclass(frozen=True)
class Curve:
    """Metric over steps."""

    metric: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    """Values rounded to five digits; None if not finite."""


class Training(NamedTuple):
    """Metrics that a trial logged, and its planned steps."""

    history: History
    planned_steps: int


class Spread(NamedTuple):
    """Mean and range over the seeds of a setting."""

    mean: float
    low: float
    """Smallest value of any seed."""

    high: float


@dataclass(frozen=True)
class BandCurve:
    """Metric over steps, with its mean and range over the seeds of a setting.

    The mean ends when the first seed ends. Seeds that train longer are often the healthy ones.
    With only them, a setting whose collapsed seeds were stopped would seem to recover.
    """

    metric: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rest: tuple[Curve, ...]
    """Curve of each seed that trained longer, from the end of the mean."""

    n: int
    """Number of seeds that logged the metric."""

    course: tuple[Spread | None, ...]
    """Means at the first step, at a quarter and at half of the planned steps, and at each seed's
    end. A mean is None if some seed ended before it.
    """


COURSE = ("first", "¼", "½", "end")
_SHARES_OF_PLAN = (0.0, 0.25, 0.5)


def points_per_curve(num_trials: int) -> int:
    """Returns the largest number of points per curve on a page with this many trials."""
    fair = _MOST_NUMBERS // max(1, num_trials * len(LABELS))
    return min(max(fair, _FEWEST_POINTS), _MOST_POINTS)


def curves_of(history: History, most: int) -> tuple[Curve, ...]:
    """Makes every curve that a trial logged, with at most ``most`` points, including both ends."""
    curves = []
    for metric in LABELS:
        points = [(step, seen[metric]) for step, seen in history if metric in seen]
        if points:
            steps, values = zip(*_thinned(points, most), strict=True)
            curves.append(Curve(metric, steps, tuple(map(_rounded, values))))
    return tuple(curves)


def bands_of(trainings: Sequence[Training], most: int) -> tuple[BandCurve, ...]:
    """Computes the mean and the range over seeds of each metric that shows the balance."""
    return tuple(
        band for metric in _BALANCE if (band := _band(metric, trainings, most)) is not None
    )


def _band(metric: str, trainings: Sequence[Training], most: int) -> BandCurve | None:
    logged = [(_finite(metric, each.history), each.planned_steps) for each in trainings]
    logged = [(points, planned) for points, planned in logged if points]
    if not logged:
        return None
    seeds = [points for points, _ in logged]
    shared = sorted(set.intersection(*map(set, seeds)))
    spreads = [(step, _spread([points[step] for points in seeds])) for step in shared]
    shown = _thinned(spreads, most)
    return BandCurve(
        metric,
        steps=tuple(step for step, _ in shown),
        mean=tuple(spread.mean for _, spread in shown),
        low=tuple(spread.low for _, spread in shown),
        high=tuple(spread.high for _, spread in shown),
        rest=_rest(metric, seeds, shared[-1] if shared else 0, most),
        n=len(seeds),
        course=(
            *(_at(share, logged) for share in _SHARES_OF_PLAN),
            _spread([points[max(points)] for points in seeds]),
        ),
    )


def _finite(metric: str, history: History) -> dict[int, float]:
    return {step: seen[metric] for step, seen in history if is_figure(seen.get(metric))}


def _rest(
    metric: str, seeds: Sequence[dict[int, float]], since: int, most: int
) -> tuple[Curve, ...]:
    longer = [sorted(points.items()) for points in seeds if max(points) > since]
    cut = [_thinned([point for point in points if point[0] >= since], most) for points in longer]
    return tuple(
        Curve(
            metric,
            tuple(step for step, _ in points),
            tuple(_short(value) for _, value in points),
        )
        for points in cut
    )


def _at(share: float, logged: Sequence[tuple[dict[int, float], int]]) -> Spread | None:
    """Computes the values at this share of each seed's planned steps.

    If a seed logged nothing there, the nearest logged step is used.
    """
    targets = [share * planned for _, planned in logged]
    known = all(planned or not share for _, planned in logged)
    if not known or any(max(points) < t for (points, _), t in zip(logged, targets, strict=True)):
        return None
    return _spread(
        [
            points[min(points, key=lambda step: abs(step - target))]
            for (points, _), target in zip(logged, targets, strict=True)
        ]
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(_short(math.fsum(values) / len(values)), _short(min(values)), _short(max(values)))


def _thinned(points: Sequence[PointT], most: int) -> list[PointT]:
    """Returns at most ``most`` of the points, evenly spaced, including the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[index] for index in np.linspace(0, len(points) - 1, most).round().astype(int)]


def _rounded(value: float) -> float | None:
    return _short(value) if math.isfinite(value) else None


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
