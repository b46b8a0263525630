"""Computes the outcome over the values of each setting.

In: records. Out: a ``DoseResponse`` for every setting that varies. Next:
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
    """One value of a setting, or a bin of neighbouring numbers."""

    label: str
    value: Any
    """Value; for a bin, its median."""

    metric: Estimate
    condemned: Share
    trials: tuple[str, ...]


@dataclass(frozen=True)
class DoseResponse:
    """Outcome over the values of one setting."""

    key: str
    name: str
    scale: Scale
    """Scale of the axis. It is ``ordered`` if the values are names, or numbers too close for an
    axis.
    """

    doses: tuple[Dose, ...]
    pooled: tuple[str, ...]
    """Short names of the other settings that vary within each dose."""

    held: tuple[str, ...]
    """Short names of the other settings, if each dose has their baseline values."""


def dose_responses(
    space: Space, records: Sequence[TrialRecord], baseline: Settings | None = None
) -> list[DoseResponse]:
    """Computes the outcome over each setting that varies.

    Without a baseline, all other settings vary within each dose. With a baseline, only the trials
    that change this setting alone are used.

    The interval of a dose assumes independent trials. But trials of one seed share images and
    crops, and other settings vary within a dose. So the interval is only a guide. The table of
    settings contains the test.

    Args:
        space: space of the study.
        records: records of its trials.
        baseline: value that trials must have for every setting, except the setting in question.
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
