"""Queues of a study's trials: planned in advance, or suggested by Optuna.

In: a study, and the records of its earlier trials. Out: the next trials. Optuna uses the results of
ended trials to suggest the next settings. Next: ``poise.sweeps.budget``.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from poise.config import Space
from poise.studies.outcomes import is_condemned
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Trial, seeded
from poise.sweeps.optuna_sampler import OptunaSampler


class TrialQueue(Protocol):
    """Interface of a queue of trials."""

    def next_trial(self) -> Trial | None:
        """Returns the next trial; None if no trial is left."""

    def waiting(self) -> Iterable[Trial]:
        """Returns the trials that are known, but not yet returned by ``next_trial``."""

    def learn(self, record: TrialRecord) -> None:
        """Receives the result of a trial that ended."""


class PlannedTrials:
    """Queue of trials that were planned before the first trial began."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._waiting = deque(trials)

    def next_trial(self) -> Trial | None:
        """Returns the next trial; None if no trial is left."""
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> Iterable[Trial]:
        """Returns all trials that are left."""
        return tuple(self._waiting)

    def learn(self, record: TrialRecord) -> None:
        """Does nothing, because the plan does not depend on results."""


class SuggestedTrials:
    """Queue of trials with settings from Optuna.

    Optuna gets the mean of each metric over the seeds of a setting. If the study was interrupted,
    Optuna first gets the results of the earlier trials. No setting is trained twice: suggestions
    that were tried before are skipped. If Optuna suggests nothing new, a setting that was never
    tried is used. With several trials at once, suggestions depend on which trial ends first.
    """

    def __init__(self, space: Space, records: Sequence[TrialRecord]) -> None:
        begun = {record.trial.setting: record.trial.settings for record in records}
        self._space, self._sampler = (
            space,
            OptunaSampler(space, seed=space.sampling_seed + len(begun)),
        )
        for number in sorted(begun):
            self._sampler.begin(number, begun[number])
        for number, point in enumerate(space.searcher.points):
            if number not in begun:
                self._sampler.enqueue(point)
        self._records: dict[int, dict[str, TrialRecord]] = defaultdict(dict)
        # Numbers may have gaps, because a killed process may have lost a setting before it wrote
        # a record.
        self._unbegun = deque(n for n in range(space.num_searched) if n not in begun)
        done = {record.trial.name for record in records if record.is_done}
        trials = [
            trial for n, settings in begun.items() for trial in seeded(n, settings, space.seeds)
        ]
        self._waiting = deque(trial for trial in trials if trial.name not in done)
        for record in records:
            if record.is_done:
                self.learn(record)

    def next_trial(self) -> Trial | None:
        """Returns the next trial; None if no trial is left."""
        if not self._waiting and self._unbegun:
            number = self._unbegun.popleft()
            settings = self._sampler.suggest(number)
            if settings is None:
                self._unbegun.clear()
            else:
                self._waiting.extend(seeded(number, settings, self._space.seeds))
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> Iterable[Trial]:
        """Returns trials left by an interruption, and further seeds of the newest setting."""
        return tuple(self._waiting)

    def learn(self, record: TrialRecord) -> None:
        """Gives Optuna the result of a setting when the trials of all its seeds have ended.

        If a trial of the setting collapsed, got stuck or diverged, Optuna gets the state "pruned"
        without values. TPE then ranks the setting below every setting with values. With its loss as
        value, a collapsed setting could rank best.
        """
        setting = self._records[record.trial.setting]
        setting[record.trial.name] = record
        if len(setting) < len(self._space.seeds):
            return
        means = [_mean(setting.values(), metric) for metric in self._space.metric]
        if any(map(is_condemned, setting.values())):
            self._sampler.tell(record.trial.setting, "pruned")
        elif all(map(math.isfinite, means)):
            self._sampler.tell(record.trial.setting, means)
        else:
            self._sampler.tell(record.trial.setting, "failed")


def _mean(records: Iterable[TrialRecord], metric: str) -> float:
    """Returns the mean of the measured values; NaN if there are none."""
    values = [record.metrics.get(metric, math.nan) for record in records]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def trial_queue(
    study: Study, records: Sequence[TrialRecord], only: Sequence[Trial] | None = None
) -> TrialQueue:
    """Makes the queue of the trials that are left.

    Args:
        study: study of the trials.
        records: records of the trials that began.
        only: trials to run, as ``choose_trials`` returns them; None means all.
    """
    if study.decides_as_it_goes:
        return SuggestedTrials(study.space, records)
    done = {record.trial.name for record in records if record.is_done}
    begun = {record.trial.name: record.current for record in records}
    trials = study.trials if only is None else only
    return PlannedTrials([begun.get(each.name, each) for each in trials if each.name not in done])
