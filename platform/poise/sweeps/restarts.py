"""Lets trials restart on nodes that may be lost, as often as they make progress.

In: Tune's callbacks about trials whose processes died, and the trials' checkpoints. Out: for each
trial, the number of deaths that Tune allows. Next: ``poise.sweeps.tune_setup``.
"""

from typing import Any

from ray.tune import Callback

from poise.config.checkpoint_storage import checkpoints_of
from poise.config.locations import Location
from poise.studies.study import Study
from poise.sweeps.trial_runs import training_name
from poise.training.progress_watch import Pause, newest_or

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
        """Remembers the newest checkpoint of a trial whose next death would end it."""
        name = trial.config["name"]
        if trial.num_failures >= trial.max_failures:
            self._newest.setdefault(name, self._look(name, None))

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
