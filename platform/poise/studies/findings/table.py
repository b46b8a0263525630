"""Table of a study with a row for each setting.

In: the statistics of ``poise.studies.findings.comparison``. Out: ``Comparison``. Next: the answer,
the notes and every table of settings.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from poise.config.metrics import Mode
from poise.studies.analysis.intervals import Estimate, Share
from poise.studies.analysis.p_values import Difference
from poise.studies.labels import UNCHANGED, setting_name
from poise.studies.number_format import decimals_for
from poise.studies.outcomes import FailureVerb
from poise.studies.study_progress import Standing

PROOF_NEEDS_SEEDS = 3
"""Smallest number of seeds that counts as evidence. With two seeds, a single unusual seed changes
the interval too much.
"""

FEW_SEEDS = (
    f"Every setting has results from fewer than {PROOF_NEEDS_SEEDS} seeds. Treat the results as "
    "anecdotes, not as evidence."
)
"""Sentence for a study in which no setting has enough seeds."""

_LONGEST_IN_CELL = 24
"""Largest number of characters of a label in a narrow cell or in the legend of a chart."""

_LONGEST_IN_SENTENCE = 60
"""Largest number of characters of a label in a sentence. Longer labels are only in the table."""


@dataclass(frozen=True)
class SettingRow:
    """Statistics of one setting over its seeds."""

    setting: int
    label: str
    """Values of the setting: ``center_momentum=0.9, teacher_temp=0.04``."""

    meaning: str
    """Words for what the setting changes in the baseline: ``without centering``. It is empty if the
    study does not change one hyperparameter at a time, or if there are no words for this change.
    """

    settings: dict[str, Any]
    """Maps the dotted key of each hyperparameter to its value."""

    is_baseline: bool
    trials: tuple[str, ...]
    cut_off: int
    """Number of trials that a scheduler stopped although nothing was wrong."""

    unended: int
    """Number of trials that have begun but not ended."""

    values: dict[int, float | None]
    """Maps each seed to its value of the study's first metric, or to None if it was not measured.
    """

    mean: Estimate
    before: Estimate
    """Mean of the study's first metric before training. Its n is 0 if the metric was not measured.
    """

    began: str
    """Kind of backbone before training: ``untrained`` weights, or the trained weights (``start``)
    that a run begins with.
    """

    gain: Difference
    """First metric after training minus before training, over the same seeds."""

    difference: Difference | None
    """Difference to the baseline. It is None for the baseline itself, and without a baseline."""

    condemned: Share
    """Share of failed trials among the trials with a clear verdict."""

    verdicts: dict[str, int]
    """Maps each outcome to its number of trials, the most frequent outcome first."""

    onset_step: float | None
    """Median step at which failed trials began to fail."""

    others: dict[str, Estimate]
    """Maps each of the study's other metrics to its mean."""

    @property
    def name(self) -> str:
        """Short name of the setting, such as ``t03``. The names of its trials begin with it."""
        return setting_name(self.setting)

    @property
    def called(self) -> str:
        """Name of the setting for a sentence: ``setting t03 (teacher_temp=0.04)``.

        If its change has words of its own, they come first: ``setting t02 (without centering,
        center_momentum=1)``.
        """
        values = [self.label] if len(self.label) <= _LONGEST_IN_SENTENCE else []
        told = ", ".join(filter(None, [self.meaning, *values]))
        return f"setting {self.name} ({told})" if told else f"setting {self.name}"

    @property
    def mark(self) -> str:
        """Text ``baseline`` after the label of the baseline.

        It is empty for other settings, and if the label already contains this word.
        """
        return "baseline" if self.is_baseline and self.label != UNCHANGED else ""

    @property
    def is_healthy(self) -> bool:
        """Whether at least one trial ended by itself, and all such trials are healthy.

        Trials that a scheduler stopped, and trials that have not ended, do not count.
        """
        seeds = len(self.trials) - self.cut_off - self.unended
        return seeds > 0 and self.condemned.n == seeds and self.condemned.count == 0


@dataclass(frozen=True)
class Comparison:
    """Comparison of all settings of a study, with a row for each setting."""

    metric: str
    mode: Mode
    names: dict[str, str]
    """Maps the dotted key of each hyperparameter that varies to its short name."""

    rows: tuple[SettingRow, ...]
    """Rows in the order of the settings' numbers."""

    standing: Standing
    condemned_as: FailureVerb

    untested: str
    """Reason why differences to the baseline have no p-value. It is empty if they have p-values."""

    num_tests: int
    """Number of comparisons with the baseline for which p is corrected."""

    @property
    def has_few_seeds(self) -> bool:
        """Whether every setting has values from fewer seeds than evidence needs."""
        return max((row.mean.n for row in self.rows), default=0) < PROOF_NEEDS_SEEDS

    @property
    def fits(self) -> bool:
        """Whether the labels of all settings are short enough for narrow cells.

        If not, tables show the names of settings, such as ``t03``.
        """
        return all(len(row.label) <= _LONGEST_IN_CELL for row in self.rows)

    @property
    def baseline(self) -> SettingRow | None:
        """Row of the baseline, or None if the baseline has not run."""
        return next((row for row in self.rows if row.is_baseline), None)

    @property
    def before(self) -> tuple[float, ...]:
        """Means of the first metric before training, for the settings where it was measured."""
        return tuple(row.before.value for row in self.rows if row.before.value is not None)

    def is_worse(self, difference: float | None) -> bool:
        """Returns True if a difference in the first metric means a worse result."""
        return difference is not None and (difference < 0 if self.mode == "max" else difference > 0)

    @property
    def healthy(self) -> tuple[SettingRow, ...]:
        """Rows of healthy settings that have a mean, the best first."""
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
    """Sorts the rows that have a mean, the best first. Among equal rows, the baseline is first."""
    sign = -1 if mode == "max" else 1
    known = [
        (sign * row.mean.value, not row.is_baseline, row)
        for row in rows
        if row.mean.value is not None
    ]
    return tuple(row for *_, row in sorted(known, key=lambda each: each[:2]))
