"""Lets trials restart on nodes that may be lost, as often as they make progress.

In: Tune's callbacks about trials whose processes died, and the trials' checkpoints. Out: for each
trial, the number of deaths that Tune allows; or the error that ends the study. Next:
``poise.sweeps.tune_setup``.
"""

from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune import Callback

from poise.config import PoiseError
from poise.config.checkpoint_storage import checkpoints_of
from poise.config.locations import Location
from poise.studies.study import Study
from poise.sweeps.trial_runs import training_name
from poise.training.progress_watch import Pause, newest_or
from poise.training.worker import first_cause

DEATHS_WITHOUT_PROGRESS = 1
"""Number of times that a trial's process may die without a new checkpoint in between."""


class Restarts(Callback):  # type: ignore[misc]
    """Tune callback that counts only the deaths of a trial since its newest checkpoint.

    Tune counts deaths over a trial's whole life. On spot nodes, a trial of days has many. Tune asks
    no callback before it gives a trial up, so this callback raises the trial's limit as soon as the
    trial has a new checkpoint.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._pause = Pause()
        self._newest: dict[str, Location | None] = {}  # of trials whose next death is their last

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Remembers the newest checkpoint of a trial whose next death would end it.

        Raises:
            PoiseError: see ``on_trial_error``.
        """
        _check_can_help(trial)
        name = trial.config["name"]
        if trial.num_failures >= trial.max_failures:
            self._newest.setdefault(name, self._look(name, None))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Ends the study if a trial's node does not share the folder of the study.

        Raises:
            PoiseError: the error of the trial.
        """
        _check_can_help(trial)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Allows another death to each trial that has a new checkpoint since its last death."""
        if not self._newest or not self._pause.is_over():
            return
        for trial in trials:
            name = trial.config["name"]
            if name in self._newest and self._look(name, self._newest[name]) != self._newest[name]:
                del self._newest[name]
                trial.max_failures = trial.num_failures + DEATHS_WITHOUT_PROGRESS

    def _look(self, name: str, known: Location | None) -> Location | None:
        """Returns the newest checkpoint of a trial, or ``known`` if the storage does not answer."""
        record = self._study.record(name)
        return newest_or(checkpoints_of(training_name(self._study, name, record)), known)


def _check_can_help(trial: Any) -> None:
    """Raises the error of a trial that could not write its record, because no restart helps."""
    error = _error_of(trial)
    if isinstance(error, PoiseError):
        raise error from None


def _error_of(trial: Any) -> BaseException | None:
    """Returns the trial's last error, or None if there is none or if it cannot be read.

    Tune keeps the error in a file on this machine. It copies the file to the study's folder only
    later, and ``Trial.get_pickled_error`` reads the copy.
    """
    try:
        return first_cause(cloudpickle.loads(Path(trial.pickled_error_file).read_bytes()))
    except Exception:  # there is no such file, or its content needs a library of another node
        return None
