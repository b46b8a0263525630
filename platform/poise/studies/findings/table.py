"""The study's table: every setting a row.

In: what ``poise.studies.findings.comparison`` counts. Out: ``Comparison``. Next: the answer, the
notes and every table of settings.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from poise.config.metrics import Mode
from poise.studies.estimates import Difference, Estimate, Share
from poise.studies.labels import UNCHANGED, setting_name
from poise.studies.number_format import decimals_for
from poise.studies.standing import Standing

PROOF_NEEDS_SEEDS = 3
"""Two seeds have an interval, but one odd seed decides it."""

_LONGEST_IN_SENTENCE = 60
"""Characters of a setting's values that a sentence repeats; longer ones are in the table alone."""


@dataclass(frozen=True)
class SettingRow:
    """One setting, over its seeds."""

    setting: int
    label: str
    """``center_momentum=0.9, teacher_temp=0.04``."""

    settings: dict[str, Any]
    """Value by dotted key."""

    is_baseline: bool
    trials: tuple[str, ...]
    cut_off: int
    """Trials that a scheduler ended with nothing wrong."""

    unended: int
    """Trials that began and have not ended."""

    values: dict[int, float | None]
    """The first metric by seed; none where it was not measured."""

    mean: Estimate
    untrained: Estimate
    """The first metric before training; of no seed where it was not measured."""

    gain: Difference
    """By training: the mean minus what its own seeds had before."""

    difference: Difference | None
    """To the baseline; none for the baseline itself and where there is none."""

    condemned: Share
    """Of the seeds that have a decided verdict."""

    verdicts: dict[str, int]
    """How often each outcome came, most frequent first."""

    onset_step: float | None
    """Median of the steps at which condemned seeds began to fail."""

    others: dict[str, Estimate]
    """The other metrics that the study asks for."""

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
        """Whether every seed was healthy to its end, of those that a scheduler let go there.

        One that has not ended may still come there, as one that has not begun.
        """
        seeds = len(self.trials) - self.cut_off - self.unended
        return seeds > 0 and self.condemned.n == seeds and self.condemned.count == 0


@dataclass(frozen=True)
class Comparison:
    """All settings of a study, each a row."""

    metric: str
    mode: Mode
    names: dict[str, str]
    """Dotted key of each varied setting → its short name."""

    rows: tuple[SettingRow, ...]
    """In the order of settings."""

    standing: Standing
    condemned_as: str
    """What condemned trials have in common: ``collapsed``, or ``collapsed, stuck or diverged``."""

    untested: str
    """Why differences to the baseline have no p-value; empty where they have."""

    @property
    def baseline(self) -> SettingRow | None:
        """What the others are held against."""
        return next((row for row in self.rows if row.is_baseline), None)

    @property
    def untrained(self) -> tuple[float, ...]:
        """What the metric is before training: of each setting, where it was measured."""
        return tuple(row.untrained.value for row in self.rows if row.untrained.value is not None)

    def is_worse(self, difference: float | None) -> bool:
        """Whether a difference of the metric is for the worse."""
        return difference is not None and (difference < 0 if self.mode == "max" else difference > 0)

    @property
    def failed(self) -> str:
        """``condemned_as`` as what a setting did."""
        return self.condemned_as.replace("stuck", "got stuck")

    @property
    def healthy(self) -> tuple[SettingRow, ...]:
        """The settings that stayed healthy and have a mean, the best first."""
        return ranked([row for row in self.rows if row.is_healthy], self.mode)

    def decimals_of(self, metric: str) -> int:
        """That each of its figures has."""
        means = [row.mean if metric == self.metric else row.others.get(metric) for row in self.rows]
        return decimals_for(metric, (mean.value for mean in means if mean is not None))

    @property
    def decimals(self) -> int:
        """That each figure of the first metric has."""
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
