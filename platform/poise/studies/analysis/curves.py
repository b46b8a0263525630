"""Makes the curves of a report from logged metrics.

In: histories of metrics. Out: a curve for each trial, and a mean curve over the seeds of each
setting. Next: ``poise.studies.findings.findings``.
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
"""Maps each metric to the label of its axis."""

_BALANCE = (
    "teacher/entropy_over_ln_k",
    "teacher/kl_over_ln_k",
    "teacher/mutual_information_over_ln_k",
    "loss/over_mean_patch",
    "prediction/std_over_target",
)
"""Metrics that show whether training collapses. A run logs only some of them, depending on its
objective.
"""

_MOST_NUMBERS = 120_000
"""Largest number of values in all curves of a page. With this limit, a page of 500 trials has a few
megabytes.
"""

_FEWEST_POINTS, _MOST_POINTS = 16, 200
_DIGITS = 5


@dataclass(frozen=True)
class Curve:
    """Curve of one metric over the steps of one trial."""

    metric: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    """Values with five significant digits. A value is None if it is not finite."""


class Training(NamedTuple):
    """Metrics that a trial logged, and the number of its planned steps."""

    history: History
    planned_steps: int


class Spread(NamedTuple):
    """Mean, smallest and largest value over the seeds of a setting."""

    mean: float
    low: float
    """Smallest value among the seeds."""

    high: float


@dataclass(frozen=True)
class BandCurve:
    """Curve of one metric over steps: its mean and range over the seeds of a setting.

    The mean ends at the last step that all seeds logged. Collapsed seeds are often stopped early. A
    mean of the remaining, healthy seeds would look as if the setting had recovered.
    """

    metric: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rest: tuple[Curve, ...]
    """Curves of the seeds that trained longer. These curves begin where the mean ends."""

    n: int
    """Number of seeds that logged the metric."""

    course: tuple[Spread | None, ...]
    """Means at the first step, at a quarter and at half of the planned steps, and at each seed's
    end. A mean is None if a seed ended earlier, or if a seed's planned steps are unknown.
    """

    is_planned: bool
    """Whether the number of planned steps is known for every seed."""


COURSE = ("first", "¼", "½", "end")
_SHARES_OF_PLAN = (0.0, 0.25, 0.5)


def points_per_curve(num_trials: int) -> int:
    """Returns the largest number of points per curve for a page with ``num_trials`` trials."""
    fair = _MOST_NUMBERS // max(1, num_trials * len(LABELS))
    return min(max(fair, _FEWEST_POINTS), _MOST_POINTS)


def curves_of(history: History, most: int) -> tuple[Curve, ...]:
    """Makes a curve of each metric that a trial logged.

    A curve has at most ``most`` points, including its first and last point.
    """
    curves = []
    for metric in LABELS:
        points = [(step, seen[metric]) for step, seen in history if metric in seen]
        if points:
            steps, values = zip(*_thinned(points, most), strict=True)
            curves.append(Curve(metric, steps, tuple(map(_rounded, values))))
    return tuple(curves)


def bands_of(trainings: Sequence[Training], most: int) -> tuple[BandCurve, ...]:
    """Computes the mean and the range over seeds of each metric that shows a collapse."""
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
        is_planned=all(planned for _, planned in logged),
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
    """Computes the mean and the range over the seeds after a share of the planned steps.

    If a seed logged nothing at this step, its nearest logged step is used.
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
    """Returns at most ``most`` points of a curve, evenly spaced, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[index] for index in np.linspace(0, len(points) - 1, most).round().astype(int)]


def _rounded(value: float) -> float | None:
    return _short(value) if math.isfinite(value) else None


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
