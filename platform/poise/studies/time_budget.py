"""Measures the hours that a study has used.

In: the folder of a study and its time budget. Out: whether time is left. Next: ``poise.sweeps``.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from poise.config.files import DamagedFileError, read_fields, set_aside, write_json
from poise.studies.study import Study

CLOCK_FILE = "clock.json"


_HOUR_S = 3600

logger = logging.getLogger(__name__)


class Clock:
    """Clock that counts the running time of a study in seconds, including earlier sessions.

    The time is stored in ``<study>/clock.json``. If the process is killed, the time since the last
    write is lost.
    """

    def __init__(self, study: Study, now_s: Callable[[], float] = time.monotonic) -> None:
        self._path = study.folder / CLOCK_FILE
        self._before_s = _kept_s(self._path)
        self._now_s, self._started_s = now_s, now_s()

    def read_s(self) -> float:
        """Returns the study's running time until now, in seconds."""
        return self._before_s + self._now_s() - self._started_s

    def keep(self) -> None:
        """Writes the study's running time to its file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, {"seconds": self.read_s()})


def _kept_s(path: Path) -> float:
    """Reads the running time of earlier sessions.

    If the file is damaged, the result is 0, and a warning is logged.
    """
    if not path.exists():
        return 0.0
    try:
        return max(0.0, float(read_fields(path, "", seconds=float | int)["seconds"]))
    except DamagedFileError:
        aside = set_aside(path)
        logger.warning(
            "%s: is damaged; the hours that the study has used are counted from 0 again, and the "
            "file is kept as %s", path, aside.name,
        )  # fmt: skip
        return 0.0


def has_time_left(study: Study) -> bool:
    """Returns True if the study has no time limit, or has not reached it."""
    hours = study.space.budget.hours
    return hours is None or Clock(study).read_s() < hours * _HOUR_S
