"""Which settings matter most.

In: records. Out: the settings that vary, ranked. Next: ``poise.sweeps.phase_diagram`` and the
answer.
"""

from collections.abc import Sequence

import numpy as np

from poise.config import Space
from poise.sweeps.levels import levels_of, varied_keys
from poise.sweeps.outcomes import figure, is_condemned, is_decided
from poise.sweeps.records import TrialRecord


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
