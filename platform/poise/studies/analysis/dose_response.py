"""Computes how the outcome depends on each hyperparameter.

In: records of trials. Out: a ``DoseResponse`` for each hyperparameter that varies. Next:
``poise.studies.findings.findings``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poise.config import Space
from poise.config.wording import named
from poise.studies.analysis.intervals import Estimate, Share
from poise.studies.analysis.levels import Level, Scale, levels_of, varied_keys
from poise.studies.outcomes import condemned_share, figure, mean_of
from poise.studies.records import TrialRecord
from poise.studies.trials import Settings


@dataclass(frozen=True)
class Dose:
    """One value of a hyperparameter, or one bin of neighbouring numbers."""

    label: str
    value: Any
    """Value of the hyperparameter. For a bin, it is the median."""

    metric: Estimate
    condemned: Share
    trials: tuple[str, ...]


@dataclass(frozen=True)
class DoseResponse:
    """Outcome at each value of one hyperparameter."""

    key: str
    name: str
    scale: Scale
    """Scale of the axis. It is ``ordered`` for names, and for numbers that lie too close together.
    """

    doses: tuple[Dose, ...]
    pooled: tuple[str, ...]
    """Short names of the other hyperparameters if their values differ within a dose."""

    held: tuple[str, ...]
    """Short names of the other hyperparameters if all doses use their baseline values."""


def dose_responses(
    space: Space, records: Sequence[TrialRecord], baseline: Settings | None = None
) -> list[DoseResponse]:
    """Computes the outcome at each value of every hyperparameter that varies.

    A dose contains the trials with one value of a hyperparameter. Without a baseline, the other
    hyperparameters may have any values. With a baseline, they have their baseline values.

    The interval of a dose assumes independent trials. But trials of one seed share images and
    crops, and other hyperparameters may differ. So the interval is only a guide. The statistical
    test is in the table of settings.

    Args:
        space: search space of the study.
        records: records of its trials.
        baseline: baseline value of each hyperparameter, or None without a baseline.
    """
    keys = varied_keys(space, records)
    names = named(space.parameters)
    responses = []
    for key in keys:
        levels = levels_of(space, key, _changed_alone(records, key, baseline))
        others = tuple(names[other] for other in keys if other != key)
        responses.append(
            DoseResponse(
                key=key,
                name=names[key],
                scale=levels.scale,
                doses=tuple(_dose(space, level) for level in levels.levels),
                pooled=() if baseline else others,
                held=others if baseline else (),
            )
        )
    return responses


def _dose(space: Space, level: Level) -> Dose:
    return Dose(
        label=level.label,
        value=level.value,
        metric=mean_of(
            space.goal.metric, (figure(record, space.goal.metric) for record in level.records)
        ),
        condemned=condemned_share(level.records),
        trials=tuple(record.trial.name for record in level.records),
    )


def _changed_alone(
    records: Sequence[TrialRecord], key: str, baseline: Settings | None
) -> Sequence[TrialRecord]:
    if baseline is None:
        return records
    held = {**baseline}
    held.pop(key)
    return [r for r in records if held.items() <= r.trial.settings.items()]
