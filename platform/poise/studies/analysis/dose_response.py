"""How the outcome depends on each setting.

In: records. Out: a ``DoseResponse`` for every setting that varies. Next:
``poise.studies.findings.findings``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poise.config import Space
from poise.config.wording import named
from poise.studies.analysis.levels import Level, Scale, levels_of, varied_keys
from poise.studies.estimates import Estimate, Share, mean_interval
from poise.studies.outcomes import condemned_share, figure
from poise.studies.records import TrialRecord
from poise.studies.trials import Settings


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

    held: tuple[str, ...]
    """Settings that varied elsewhere, and have the baseline's value in every dose."""


def dose_responses(
    space: Space, records: Sequence[TrialRecord], baseline: Settings | None = None
) -> list[DoseResponse]:
    """The outcome over each setting that varies, every other setting pooled.

    With a baseline, the outcome of changing that setting alone: the others are held there.

    A dose's interval takes its trials for independent; trials of one seed share images and crops,
    and other settings vary within a dose, so it is a guide, not a test: the table is the test.
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
        metric=mean_interval(figure(record, space.goal.metric) for record in level.records),
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
