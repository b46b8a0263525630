"""Measures the hours that a study has used.

In: a study's folder and its budget. Out: whether time is left. Next: ``poise.sweeps``.
"""

import time
from collections.abc import Callable

from poise.config.files import read_json, write_json
from poise.studies.study import Study

CLOCK_FILE = "clock.json"


_HOUR_S = 3600


class Clock:
    """Running time of a study in seconds, over all its resumptions.

    It is stored in ``<study>/clock.json``. If a process is killed, the time since the last write is
    lost.
    """

    def __init__(self, study: Study, now_s: Callable[[], float] = time.monotonic) -> None:
        self._path = study.folder / CLOCK_FILE
        self._before_s = float(read_json(self._path)["seconds"]) if self._path.exists() else 0.0
        self._now_s, self._started_s = now_s, now_s()

    def read_s(self) -> float:
        """Returns the seconds until now."""
        return self._before_s + self._now_s() - self._started_s

    def keep(self) -> None:
        """Writes the time to the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, {"seconds": self.read_s()})


def has_time_left(study: Study) -> bool:
    """Returns True if the study has no limit of hours, or has not reached it."""
    hours = study.space.budget.hours
    return hours is None or Clock(study).read_s() < hours * _HOUR_S
