"""The study's table, with a row for each setting.

In: the counts of ``poise.studies.findings.comparison``. Out: ``Comparison``. Next: the answer, the
notes and every table of settings.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from poise.config.metrics import Mode
from poise.studies.analysis.intervals import Estimate, Share
from poise.studies.analysis.p_values import Difference
from poise.studies.labels import UNCHANGED, setting_name
from poise.studies.number_format import decimals_for
from poise.studies.study_progress import Standing

PROOF_NEEDS_SEEDS = 3
"""Seeds that make evidence: an interval of two seeds depends on a single odd one."""

_LONGEST_IN_CELL = 24
"""Characters of a setting's values that fit into a narrow cell or a chart's legend."""

_LONGEST_IN_SENTENCE = 60
"""Characters of a setting's values that a sentence repeats; longer ones are in the table alone."""


@dataclass(frozen=True)
class SettingRow:
    """One setting over its seeds."""

    setting: int
    label: str
    """Its values: ``center_momentum=0.9, teacher_temp=0.04``."""

    settings: dict[str, Any]
    """The value of each dotted key."""

    is_baseline: bool
    trials: tuple[str, ...]
    cut_off: int
    """Number of trials that a scheduler ended with nothing wrong."""

    unended: int
    """Number of trials that began and have not ended."""

    values: dict[int, float | None]
    """The first metric of each seed; none where it was not measured."""

    mean: Estimate
    before: Estimate
    """The first metric before training; n is 0 where it was not measured."""

    began: str
    """What was measured before training: ``untrained``, or the trained ``start`` of the run."""

    gain: Difference
    """The first metric after training minus before, seed by seed."""

    difference: Difference | None
    """The difference to the baseline; none for the baseline, or without one."""

    condemned: Share
    """The share of condemned trials among those with a decided verdict."""

    verdicts: dict[str, int]
    """The number of trials with each outcome, the largest first."""

    onset_step: float | None
    """The median step at which condemned trials began to fail."""

    others: dict[str, Estimate]
    """The means of the other metrics that the study asks for."""

    @property
    def name(self) -> str:
        """The setting's short name, ``t03``, with which its trials' names begin."""
        return setting_name(self.setting)

    @property
    def called(self) -> str:
        """The setting in a sentence: ``setting t03 (teacher_temp=0.04)``."""
        values = f" ({self.label})" if len(self.label) <= _LONGEST_IN_SENTENCE else ""
        return f"setting {self.name}{values}"

    @property
    def mark(self) -> str:
        """``baseline``, where the label does not say so already."""
        return "baseline" if self.is_baseline and self.label != UNCHANGED else ""

    @property
    def is_healthy(self) -> bool:
        """Whether every trial that ended by itself was healthy, and at least one did.

        Trials that a scheduler stopped, and those that have not ended, do not count.
        """
        seeds = len(self.trials) - self.cut_off - self.unended
        return seeds > 0 and self.condemned.n == seeds and self.condemned.count == 0


@dataclass(frozen=True)
class Comparison:
    """All settings of a study, a row for each."""

    metric: str
    mode: Mode
    names: dict[str, str]
    """The short name of each dotted key that varies."""

    rows: tuple[SettingRow, ...]
    """Rows in the order of settings."""

    standing: Standing
    condemned_as: str
    """What condemned trials did: all ``collapsed``, all ``forgot``, or ``failed to learn``."""

    untested: str
    """Why differences to the baseline have no p-value; empty where they have one."""

    @property
    def fits(self) -> bool:
        """Whether a setting's values fit where there is little room; else its name stands there."""
        return all(len(row.label) <= _LONGEST_IN_CELL for row in self.rows)

    @property
    def baseline(self) -> SettingRow | None:
        """The setting that the others are compared with."""
        return next((row for row in self.rows if row.is_baseline), None)

    @property
    def before(self) -> tuple[float, ...]:
        """The metric before training, for each setting where it was measured."""
        return tuple(row.before.value for row in self.rows if row.before.value is not None)

    def is_worse(self, difference: float | None) -> bool:
        """Whether a difference of the first metric is for the worse."""
        return difference is not None and (difference < 0 if self.mode == "max" else difference > 0)

    @property
    def healthy(self) -> tuple[SettingRow, ...]:
        """The settings that stayed healthy and have a mean, the best first."""
        return ranked([row for row in self.rows if row.is_healthy], self.mode)

    def decimals_of(self, metric: str) -> int:
        """Decimals of a metric's figures in this study."""
        means = [row.mean if metric == self.metric else row.others.get(metric) for row in self.rows]
        return decimals_for(metric, (mean.value for mean in means if mean is not None))

    @property
    def decimals(self) -> int:
        """Decimals of the first metric's figures."""
        return self.decimals_of(self.metric)


def ranked(rows: Iterable[SettingRow], mode: Mode) -> tuple[SettingRow, ...]:
    """The rows that have a mean, the best first; of equal ones the baseline."""
    sign = -1 if mode == "max" else 1
    known = [
        (sign * row.mean.value, not row.is_baseline, row)
        for row in rows
        if row.mean.value is not None
    ]
    return tuple(row for *_, row in sorted(known, key=lambda each: each[:2]))
