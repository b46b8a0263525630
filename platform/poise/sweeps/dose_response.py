"""How the outcome depends on one setting, and on two.

In: records. Out: a ``DoseResponse`` for every setting that varies, and a ``PhaseDiagram`` of two.
Next: ``poise.sweeps.findings``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise.config import Space
from poise.sweeps.estimates import Estimate, Share, mean_interval
from poise.sweeps.levels import Levels, Scale, levels_of, varied_keys
from poise.sweeps.outcomes import condemned_share, figure, is_condemned, is_decided, tally
from poise.sweeps.records import TrialRecord
from poise.sweeps.wording import short_names


@dataclass(frozen=True)
class Dose:
    """One value of a setting, or a bin of neighbouring ones."""

    label: str
    value: Any
    """Of a bin, the median."""

    metric: Estimate
    condemned: Share
    trials: tuple[str, ...]


@dataclass(frozen=True)
class DoseResponse:
    """The outcome over the values of one setting."""

    key: str
    name: str
    scale: Scale
    """``ordered``: the values are names, or numbers too uneven for an axis."""

    doses: tuple[Dose, ...]
    pooled: tuple[str, ...]
    """Settings that varied too, and over which each dose is averaged."""


@dataclass(frozen=True)
class Axis:
    """One side of a phase diagram."""

    key: str
    name: str
    labels: tuple[str, ...]
    """In order; cells name them by index."""


@dataclass(frozen=True)
class PhaseCell:
    """The trials at one value of both settings."""

    x: int
    y: int
    outcome: str
    """The most frequent one; of equally frequent ones the worse."""

    outcomes: dict[str, int]
    condemned: Share
    metric: Estimate
    trials: tuple[str, ...]


@dataclass(frozen=True)
class PhaseDiagram:
    """Outcomes over two settings. A study of one setting has a single row (``y`` is none)."""

    x: Axis
    y: Axis | None
    cells: tuple[PhaseCell, ...]
    """Only those that hold a trial."""

    pooled: tuple[str, ...]
    chosen_because: str
    """Why these, where more varied; else empty."""


def dose_responses(space: Space, records: Sequence[TrialRecord]) -> list[DoseResponse]:
    """The outcome over each setting that varies, every other setting pooled.

    A dose's interval takes its trials for independent; trials of one seed share images and crops,
    and other settings vary within a dose, so it is a guide, not a test: the table is the test.
    """
    keys = varied_keys(space, records)
    names = _names(space)
    return [
        DoseResponse(
            key=key,
            name=names[key],
            scale=(levels := levels_of(space, key, records)).scale,
            doses=tuple(
                Dose(
                    label=level.label,
                    value=level.value,
                    metric=_mean(space, level.records),
                    condemned=condemned_share(level.records),
                    trials=tuple(record.trial.name for record in level.records),
                )
                for level in levels.levels
            ),
            pooled=tuple(names[other] for other in keys if other != key),
        )
        for key in keys
    ]


def phase_diagram(space: Space, records: Sequence[TrialRecord]) -> PhaseDiagram | None:
    """Outcomes over the two settings that matter most; none where nothing varies.

    Of more than two, one that explains everything is shown alone.
    """
    ranked = by_importance(space, records)
    num_shown = 1 if len(ranked) > 2 and _explains_all(ranked) else 2
    chosen = [levels_of(space, key, records) for key, _ in ranked[:num_shown]]
    if not chosen:
        return None
    chosen.sort(key=lambda levels: list(space.parameters).index(levels.key))
    names = _names(space)
    axes = [Axis(levels.key, names[levels.key], levels.labels) for levels in chosen]
    return PhaseDiagram(
        x=axes[0],
        y=axes[1] if len(axes) > 1 else None,
        cells=tuple(_cells(space, records, chosen)),
        pooled=tuple(names[key] for key, _ in ranked[num_shown:]),
        chosen_because=_reason(ranked[:num_shown], names) if len(ranked) > 2 else "",
    )


def by_importance(space: Space, records: Sequence[TrialRecord]) -> list[tuple[str, float]]:
    """Settings that vary, with how much of the outcome each explains by itself; most first.

    ε² = 1 - (SS_within / (n - k)) / (SS_total / (n - 1)) over a setting's k levels: the share of
    variance between them, less what chance would give to as many. The outcome is whether a trial
    was condemned where some were and some were not, else the metric. What only matters together
    with another setting goes unseen. Equal ones keep the space's order.

    Source: Kelley, "An unbiased correlation ratio measure" (PNAS, 1935).
    """
    scored = []
    outcomes = _outcomes(space, records)
    for key in varied_keys(space, records):
        levels = levels_of(space, key, records).levels
        groups = [
            [outcomes[r.trial.name] for r in level.records if r.trial.name in outcomes]
            for level in levels
        ]
        scored.append((key, _explained([np.array(group) for group in groups if group])))
    return sorted(scored, key=lambda each: -each[1])


def _outcomes(space: Space, records: Sequence[TrialRecord]) -> dict[str, float]:
    decided = [record for record in records if is_decided(record)]
    if len({is_condemned(record) for record in decided}) > 1:
        return {record.trial.name: float(is_condemned(record)) for record in decided}
    figures = {record.trial.name: figure(record, space.goal.metric) for record in records}
    return {name: value for name, value in figures.items() if value is not None}


def _explained(groups: Sequence[np.ndarray]) -> float:
    values = np.concatenate(groups) if groups else np.zeros(0)
    n, k = len(values), len(groups)
    total = ((values - values.mean()) ** 2).sum() if n else 0.0
    if n <= k or total == 0:
        return 0.0
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    return float(1 - (within / (n - k)) / (total / (n - 1)))


def _cells(
    space: Space, records: Sequence[TrialRecord], chosen: Sequence[Levels]
) -> list[PhaseCell]:
    places = [levels.by_trial for levels in chosen]
    by_place: dict[tuple[int, ...], list[TrialRecord]] = {}
    for record in records:
        place = tuple(by_trial[record.trial.name] for by_trial in places)
        by_place.setdefault(place, []).append(record)
    cells = []
    for place, inside in sorted(by_place.items()):
        outcomes = tally(inside)
        cells.append(
            PhaseCell(
                x=place[0],
                y=place[1] if len(place) > 1 else 0,
                outcome=next(iter(outcomes)),
                outcomes=outcomes,
                condemned=condemned_share(inside),
                metric=_mean(space, inside),
                trials=tuple(record.trial.name for record in inside),
            )
        )
    return cells


def _explains_all(ranked: Sequence[tuple[str, float]]) -> bool:
    """Whether the first leaves nothing for the second."""
    return round(ranked[0][1], 2) == 1 and round(ranked[1][1], 2) <= 0


def _reason(shown: Sequence[tuple[str, float]], names: dict[str, str]) -> str:
    shares = " and ".join(f"{names[key]} {max(score, 0):.0%}" for key, score in shown)
    if len(shown) == 1:
        return f"the one that explains the outcome by itself: {shares}"
    return f"the two that explain most of the outcome by themselves: {shares}"


def _mean(space: Space, records: Sequence[TrialRecord]) -> Estimate:
    return mean_interval(figure(record, space.goal.metric) for record in records)


def _names(space: Space) -> dict[str, str]:
    keys = list(space.parameters)
    return dict(zip(keys, short_names(keys), strict=True))
