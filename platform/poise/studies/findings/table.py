"""Table of a study, with a row for each setting.

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
"""Number of seeds that count as evidence. An interval of two seeds depends too much on a single
unusual seed.
"""

_LONGEST_IN_CELL = 24
"""Largest number of characters of a setting's values in a narrow cell or a chart's legend."""

_LONGEST_IN_SENTENCE = 60
"""Largest number of characters of a setting's values in a sentence. Longer values are only in the
table.
"""


@dataclass(frozen=True)
class SettingRow:
    """One setting over its seeds."""

    setting: int
    label: str
    """Values of the setting: ``center_momentum=0.9, teacher_temp=0.04``."""

    settings: dict[str, Any]
    """Value of each dotted key."""

    is_baseline: bool
    trials: tuple[str, ...]
    cut_off: int
    """Number of trials that a scheduler ended although nothing was wrong."""

    unended: int
    """Number of trials that began and have not ended."""

    values: dict[int, float | None]
    """First metric of each seed; None if it was not measured."""

    mean: Estimate
    before: Estimate
    """The first metric before training; n is 0 where it was not measured."""

    began: str
    """What was measured before training: ``untrained``, or the trained ``start`` of the run."""

    gain: Difference
    """First metric after training minus before, seed by seed."""

    difference: Difference | None
    """Difference to the baseline; None for the baseline itself, or if there is no baseline."""

    condemned: Share
    """Share of failed trials among the trials with a decided verdict."""

    verdicts: dict[str, int]
    """Number of trials with each outcome, the largest first."""

    onset_step: float | None
    """Median step at which failed trials began to fail."""

    others: dict[str, Estimate]
    """Means of the other metrics that the study asks for."""

    @property
    def name(self) -> str:
        """Short name of the setting, ``t03``. The names of its trials begin with it."""
        return setting_name(self.setting)

    @property
    def called(self) -> str:
        """Name of the setting in a sentence: ``setting t03 (teacher_temp=0.04)``."""
        values = f" ({self.label})" if len(self.label) <= _LONGEST_IN_SENTENCE else ""
        return f"setting {self.name}{values}"

    @property
    def mark(self) -> str:
        """``baseline`` for the baseline, unless its label already says so."""
        return "baseline" if self.is_baseline and self.label != UNCHANGED else ""

    @property
    def is_healthy(self) -> bool:
        """Whether every trial that ended by itself was healthy, and at least one did.

        Trials that a scheduler stopped, and trials that have not ended, do not count.
        """
        seeds = len(self.trials) - self.cut_off - self.unended
        return seeds > 0 and self.condemned.n == seeds and self.condemned.count == 0


@dataclass(frozen=True)
class Comparison:
    """All settings of a study, with a row for each."""

    metric: str
    mode: Mode
    names: dict[str, str]
    """Short name of each dotted key that varies."""

    rows: tuple[SettingRow, ...]
    """Rows in the order of settings."""

    standing: Standing
    condemned_as: str
    """What condemned trials did: all ``collapsed``, all ``forgot``, or ``failed to learn``."""

    untested: str
    """Reason why differences to the baseline have no p-value; empty if they have p-values."""

    @property
    def fits(self) -> bool:
        """Whether the values of every setting are short enough for narrow places.

        Otherwise names are used.
        """
        return all(len(row.label) <= _LONGEST_IN_CELL for row in self.rows)

    @property
    def baseline(self) -> SettingRow | None:
        """Setting that the others are compared with."""
        return next((row for row in self.rows if row.is_baseline), None)

    @property
    def before(self) -> tuple[float, ...]:
        """The metric before training, for each setting where it was measured."""
        return tuple(row.before.value for row in self.rows if row.before.value is not None)

    def is_worse(self, difference: float | None) -> bool:
        """Returns True if a difference of the first metric makes the result worse."""
        return difference is not None and (difference < 0 if self.mode == "max" else difference > 0)

    @property
    def healthy(self) -> tuple[SettingRow, ...]:
        """Settings that stayed healthy and have a mean, the best first."""
        return ranked([row for row in self.rows if row.is_healthy], self.mode)

    def decimals_of(self, metric: str) -> int:
        """Returns the number of decimals for a metric's values in this study."""
        means = [row.mean if metric == self.metric else row.others.get(metric) for row in self.rows]
        return decimals_for(metric, (mean.value for mean in means if mean is not None))

    @property
    def decimals(self) -> int:
        """Number of decimals for the first metric's values."""
        return self.decimals_of(self.metric)


def ranked(rows: Iterable[SettingRow], mode: Mode) -> tuple[SettingRow, ...]:
    """Orders the rows that have a mean, the best first. Of equal rows, the baseline comes first."""
    sign = -1 if mode == "max" else 1
    known = [
        (sign * row.mean.value, not row.is_baseline, row)
        for row in rows
        if row.mean.value is not None
    ]
    return tuple(row for *_, row in sorted(known, key=lambda each: each[:2]))
