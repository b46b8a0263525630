"""Reads the logged schedules of a teacher: its momentum and its temperature.

In: the history of a run. Out: a ``TeacherSchedule``. Next: ``poise.diagnostics.judge.collapse``,
whose advice does not ask to change a value that is usual already.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from poise.diagnostics.history import Entry, History

_SAFE_MOMENTUM = 0.9
"""Lowest momentum that works in published runs (BYOL, arXiv 2006.07733, table 5). With 0, training
fails.
"""

_HIGHEST_PUBLISHED_TEMP = 0.07
_ROUNDING = 1 + 1e-6
"""Factor for values that were stored with fewer digits."""


@dataclass(frozen=True)
class TeacherSchedule:
    """Momentum and temperature of a teacher, as far as the run logged them."""

    first_momentum: tuple[int, float] | None = None
    """Step at which the momentum was first logged, and its value; None if it was never logged. It
    usually rises during training.
    """

    temperature: float | None = None
    """Temperature at the last step at which it was logged; None if it was not logged."""

    @property
    def has_low_momentum(self) -> bool:
        """Whether the teacher follows its student faster than in any published run that works."""
        return (
            self.first_momentum is not None and self.first_momentum[1] * _ROUNDING < _SAFE_MOMENTUM
        )

    @property
    def is_sharp(self) -> bool | None:
        """Whether the temperature is a published value or lower; None if it was not logged."""
        if self.temperature is None:
            return None
        return self.temperature <= _HIGHEST_PUBLISHED_TEMP * _ROUNDING


def read_schedule(history: History) -> TeacherSchedule:
    """Reads the first logged momentum and the last logged temperature of a run."""
    momentum = next(_logged(history, "schedule/teacher_momentum"), None)
    _, temperature = next(_logged(reversed(history), "schedule/teacher_temp"), (None, None))
    return TeacherSchedule(momentum, temperature)


def _logged(entries: Iterable[Entry], name: str) -> Iterator[tuple[int, float]]:
    return ((step, metrics[name]) for step, metrics in entries if name in metrics)
