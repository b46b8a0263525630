"""Setting against setting: the study's table.

In: a study's records. Out: a ``Comparison``. Next: the terminal, and ``poise.sweeps.findings``.
"""

from dataclasses import dataclass
from typing import Any, Literal

from poise.sweeps.estimates import Difference, Estimate, Share

Mode = Literal["min", "max"]


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
    values: dict[int, float | None]
    """The first metric by seed; none where it was not measured."""

    mean: Estimate
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


@dataclass(frozen=True)
class Comparison:
    """All settings of a study, each a row."""

    metric: str
    mode: Mode
    names: dict[str, str]
    """Dotted key of each varied setting → its short name."""

    rows: tuple[SettingRow, ...]
    """In the order of settings."""

    condemned_as: str
    """What condemned trials have in common: ``collapsed``, or ``collapsed, stuck or diverged``."""

    notes: tuple[str, ...]
    """What the numbers do not prove, in sentences."""

    @property
    def baseline(self) -> SettingRow | None:
        """What the others are held against."""
        return next((row for row in self.rows if row.is_baseline), None)
