"""Computes the outcome for each combination of values of two hyperparameters.

In: records of trials. Out: a ``PhaseDiagram``. Next: ``poise.studies.findings.findings``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.config import Space
from poise.config.wording import named
from poise.studies.analysis.intervals import Estimate, Share
from poise.studies.analysis.levels import Levels, by_importance, levels_of
from poise.studies.number_format import percent
from poise.studies.outcomes import condemned_share, figure, mean_of, tally
from poise.studies.records import TrialRecord


@dataclass(frozen=True)
class Axis:
    """One axis of a phase diagram."""

    key: str
    name: str
    labels: tuple[str, ...]
    """Labels of the levels, in order. ``PhaseCell`` refers to a level by its index."""


@dataclass(frozen=True)
class PhaseCell:
    """Trials with one combination of two levels."""

    x: int
    y: int
    outcome: str
    """Most frequent outcome of the trials. Among equally frequent outcomes, it is the worst."""

    outcomes: dict[str, int]
    condemned: Share
    metric: Estimate
    trials: tuple[str, ...]


@dataclass(frozen=True)
class PhaseDiagram:
    """Outcomes for two hyperparameters. For a single one, ``y`` is None and there is one row."""

    x: Axis
    y: Axis | None
    cells: tuple[PhaseCell, ...]
    """Cells that contain at least one trial."""

    pooled: tuple[str, ...]
    """Short names of the hyperparameters without an axis. Their values may differ within a cell."""

    chosen_because: str
    """Reason for the choice of these hyperparameters. It is empty if no other hyperparameter
    varies.
    """


def phase_diagram(space: Space, records: Sequence[TrialRecord]) -> PhaseDiagram | None:
    """Computes the outcomes for two hyperparameters: those that explain the outcome best.

    If more than two hyperparameters vary and one of them explains everything, only this one is
    shown. The result is None if no hyperparameter varies.
    """
    ranked = by_importance(space, records)
    num_shown = 1 if len(ranked) > 2 and _explains_all(ranked) else 2
    chosen = [levels_of(space, key, records) for key, _ in ranked[:num_shown]]
    if not chosen:
        return None
    chosen.sort(key=lambda levels: list(space.parameters).index(levels.key))
    names = named(space.parameters)
    axes = [Axis(levels.key, names[levels.key], levels.labels) for levels in chosen]
    return PhaseDiagram(
        x=axes[0],
        y=axes[1] if len(axes) > 1 else None,
        cells=tuple(_cells(space, records, chosen)),
        pooled=tuple(names[key] for key, _ in ranked[num_shown:]),
        chosen_because=_reason(ranked[:num_shown], names) if len(ranked) > 2 else "",
    )


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
                metric=mean_of(
                    space.goal.metric, (figure(record, space.goal.metric) for record in inside)
                ),
                trials=tuple(record.trial.name for record in inside),
            )
        )
    return cells


def _explains_all(ranked: Sequence[tuple[str, float]]) -> bool:
    """Returns True if the first hyperparameter alone explains the outcome."""
    return round(ranked[0][1], 2) == 1 and round(ranked[1][1], 2) <= 0


def _reason(shown: Sequence[tuple[str, float]], names: dict[str, str]) -> str:
    shares = " and ".join(f"{names[key]} {percent(max(score, 0))}" for key, score in shown)
    if len(shown) == 1:
        key, score = shown[0]
        explained = f"{percent(max(score, 0))} of the variance of the outcome"
        return f"{names[key]} alone explains {explained}. {_OUTCOME_IS}"
    most = "These hyperparameters explain the largest shares of the variance of the outcome:"
    return f"{most} {shares}. {_OUTCOME_IS}"


_OUTCOME_IS = (
    "Here, the outcome is whether a trial failed. If no trial failed, or if all trials failed, the "
    "outcome is the metric of the study."
)
"""Definition of the outcome, for readers of the phase diagram."""
