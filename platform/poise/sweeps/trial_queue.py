"""Queues of a study's trials, decided beforehand or suggested by Optuna.

In: a study, and what an interruption left of it. Out: its trials; a searcher that learns from
results suggests better ones as it goes. Next: ``poise.sweeps.budget``.
"""

import math
import warnings
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal, Protocol

from poise.config import PoiseError, Space
from poise.config.samplers import every_setting, num_settings
from poise.config.values import canonical
from poise.studies.outcomes import is_condemned
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Settings, Trial, seeded
from poise.sweeps.drawing import domain

_REDRAWS = 20  # before a setting that was never tried is taken without Optuna


class TrialQueue(Protocol):
    """Gives one trial after another, and may learn from their results."""

    def next_trial(self) -> Trial | None:
        """Returns the next trial, or none."""

    def waiting(self) -> Iterable[Trial]:
        """Returns the trials that are decided but not given yet."""

    def learn(self, record: TrialRecord) -> None:
        """Takes the result of a trial that ended."""


class PlannedTrials:
    """Trials that were decided before the first began."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._waiting = deque(trials)

    def next_trial(self) -> Trial | None:
        """Returns the next trial, or none."""
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> Iterable[Trial]:
        """Returns all trials that are left."""
        return tuple(self._waiting)

    def learn(self, record: TrialRecord) -> None:
        """Ignores the result: nothing depends on it."""


class SuggestedTrials:
    """Trials of settings from Optuna, which learns each setting's mean over seeds, for each metric.

    No setting is trained twice: Optuna knows the results of everything that an earlier attempt at
    the study tried, and a suggestion that comes again is passed over. Where it suggests nothing
    new, a setting that was never tried takes its turn. With several trials at once, what is
    suggested depends on which of them ended first.
    """

    def __init__(self, space: Space, records: Sequence[TrialRecord]) -> None:
        begun = {record.trial.setting: record.trial.settings for record in records}
        self._space, self._sampler = space, _Optuna(space, seed=space.sampling_seed + len(begun))
        for number in sorted(begun):
            self._sampler.begin(number, begun[number])
        for number, point in enumerate(space.searcher.points):
            if number not in begun:
                self._sampler.enqueue(point)
        self._records: dict[int, dict[str, TrialRecord]] = defaultdict(dict)
        # Numbers may have gaps: a killed process may have lost a setting before it left a record.
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
        """Returns the next trial, or none."""
        if not self._waiting and self._unbegun:
            number = self._unbegun.popleft()
            settings = self._sampler.suggest(number)
            if settings is None:
                self._unbegun.clear()
            else:
                self._waiting.extend(seeded(number, settings, self._space.seeds))
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> Iterable[Trial]:
        """Returns what an interruption left, and the other seeds of the newest setting."""
        return tuple(self._waiting)

    def learn(self, record: TrialRecord) -> None:
        """Gives Optuna the result of a setting once every seed of it has ended.

        A setting with a condemned seed is passed on as pruned, without figures: TPE ranks it below
        every setting with figures. Ranked by its loss, a collapse would be the best.
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


class _Optuna:
    """Optuna's sampler of trees (TPE) over a space, for one goal or several.

    Args:
        space: the space to sample.
        seed: seed of the draws.

    Raises:
        PoiseError: Optuna is not installed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        try:
            import optuna
        except ModuleNotFoundError:
            raise PoiseError(
                "searcher optuna is not installed; run `pip install 'poise[optuna]'`, or set "
                "searcher.name=random"
            ) from None
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        domains = {key: domain(sampler) for key, sampler in space.parameters.items()}
        with warnings.catch_warnings():
            # A list as one of several values can be kept in memory, though in no database.
            warnings.filterwarnings("ignore", "Choices for a categorical distribution")
            self._distributions = OptunaSearch.convert_search_space(domains)
        self.study: Any = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed),
            directions=["minimize" if goal.mode == "min" else "maximize" for goal in space.goals],
        )
        states = optuna.trial.TrialState
        self._states = {"pruned": states.PRUNED, "failed": states.FAIL}
        self._parameters = space.parameters
        self._asked: dict[int, Any] = {}  # number of a setting → Optuna's trial
        self._tried: set[Hashable] = set()

    def enqueue(self, settings: Settings) -> None:
        """Puts settings before those that are drawn."""
        self.study.enqueue_trial(settings)

    def begin(self, number: int, settings: Settings) -> None:
        """Takes settings that somebody else has chosen."""
        self.enqueue(settings)
        self._asked[number] = self._ask()
        self._tried.add(_identity(settings))

    def suggest(self, number: int) -> Settings | None:
        """Returns new settings, in the order of the space; none where all were tried."""
        for _ in range(_REDRAWS):
            trial = self._ask()
            settings = {key: trial.params[key] for key in self._parameters}
            if _identity(settings) not in self._tried:
                self._asked[number] = trial
                self._tried.add(_identity(settings))
                return settings
            self.study.tell(trial, state=self._states["failed"])
        if math.isinf(num_settings(self._parameters.values())):
            return None
        for settings in every_setting(self._parameters):
            if _identity(settings) not in self._tried:
                self.begin(number, settings)
                return settings
        return None

    def tell(self, number: int, result: list[float] | Literal["pruned", "failed"]) -> None:
        """Gives Optuna a setting's figures, or the reason why it has none."""
        trial = self._asked[number]
        if isinstance(result, str):
            self.study.tell(trial, state=self._states[result])
        else:
            self.study.tell(trial, values=result)

    def _ask(self) -> Any:
        return self.study.ask(fixed_distributions=self._distributions)


def _identity(settings: Settings) -> Hashable:
    """Returns a key that is equal for settings that differ only by rounding."""
    rounded = {
        key: float(f"{value:.12g}") if isinstance(value, float) else value
        for key, value in settings.items()
    }
    return canonical(rounded)


def _mean(records: Iterable[TrialRecord], metric: str) -> float:
    """Returns the mean of the measured values; not a number where there are none."""
    values = [record.metrics.get(metric, math.nan) for record in records]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def trial_queue(
    study: Study, records: Sequence[TrialRecord], only: Sequence[Trial] | None = None
) -> TrialQueue:
    """Returns the queue of the trials that are left.

    Args:
        study: the study of the trials.
        records: records of the trials that began.
        only: the trials to run; none means all. See ``choose_trials``.
    """
    if study.decides_as_it_goes:
        return SuggestedTrials(study.space, records)
    done = {record.trial.name for record in records if record.is_done}
    begun = {record.trial.name: record.current for record in records}
    trials = study.trials if only is None else only
    return PlannedTrials([begun.get(each.name, each) for each in trials if each.name not in done])
