"""Reads the logged schedules of a teacher: its momentum and its temperature.

In: the history of a run. Out: a ``TeacherSchedule``. Next: ``poise.diagnostics.judge.advice``,
which does not advise to change a value that is usual already.
"""

from dataclasses import dataclass

from poise.diagnostics.history import History

_MOMENTUM, _TEMPERATURE = "schedule/teacher_momentum", "schedule/teacher_temp"

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

    first_step: int = 0
    """First step at which the momentum was logged."""

    first_momentum: float | None = None
    """Momentum at this step; None if it was not logged. It usually rises during training."""

    temperature: float | None = None
    """Temperature at the last step at which it was logged; None if it was not logged."""

    @property
    def has_low_momentum(self) -> bool:
        """Whether the teacher follows its student faster than in any published run that works."""
        return self.first_momentum is not None and self.first_momentum < _SAFE_MOMENTUM

    @property
    def is_sharp(self) -> bool | None:
        """Whether the temperature is a published value or lower; None if it was not logged."""
        if self.temperature is None:
            return None
        return self.temperature <= _HIGHEST_PUBLISHED_TEMP * _ROUNDING


UNKNOWN = TeacherSchedule()
"""Schedule of a run that logged neither momentum nor temperature."""


def read_schedule(history: History) -> TeacherSchedule:
    """Reads the first logged momentum and the last logged temperature of a run."""
    momenta = ((step, metrics[_MOMENTUM]) for step, metrics in history if _MOMENTUM in metrics)
    step, momentum = next(momenta, (0, None))
    temperatures = (metrics[_TEMPERATURE] for _, metrics in reversed(history)
                    if _TEMPERATURE in metrics)  # fmt: skip
    return TeacherSchedule(step, momentum, next(temperatures, None))
