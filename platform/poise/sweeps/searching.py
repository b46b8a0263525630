"""Which trial comes next, and which is stopped early, in Tune's terms.

In: a space, and what an interrupted study has done already. Out: a searcher and a scheduler for
Tune. Next: ``poise.sweeps.study``.
"""

import inspect
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.search import Searcher

from poise.config import PoiseError, Space
from poise.config.keys import nearest
from poise.sweeps.records import Study, TrialRecord
from poise.sweeps.settings import Trial, domain, seeded

Plan = Callable[[Trial], None]
Settle = Callable[[str, bool, dict[str, Any] | None], TrialRecord | None]


class TrialSearcher(Searcher):  # type: ignore[misc]
    """Hands Tune trials by name: first what an interruption left, then new ones.

    Args:
        source: gives the trials.
        plan: told of each trial as soon as it is decided, which may be long before it begins.
        settle: the final record of a trial that no longer runs, by its name, whether it died and
            what it reported last.
    """

    def __init__(self, source: "Source", plan: Plan, settle: Settle) -> None:
        super().__init__()
        self._source, self._plan, self._settle = source, plan, settle
        self._names: dict[str, str] = {}
        self._planned: set[str] = set()
        self._plan_all(source.waiting())

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config, or Tune's word for no more."""
        trial = self._source.next_trial()
        if trial is None:
            return Searcher.FINISHED
        self._names[trial_id] = trial.name
        self._plan_all([trial, *self._source.waiting()])
        return trial.as_config()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Passes on the trial's own record, which knows more than Tune's last result."""
        record = self._settle(self._names[trial_id], error, result)
        if record is not None:
            self._source.learn(record)

    def _plan_all(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.name not in self._planned:
                self._planned.add(trial.name)
                self._plan(trial)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's own records are enough to go on."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see ``save``."""


class Source(Protocol):
    """Gives trials, and may learn from how they went."""

    def next_trial(self) -> Trial | None:
        """The next one, or none."""

    def waiting(self) -> Iterable[Trial]:
        """Those after it that are decided already."""

    def learn(self, record: TrialRecord) -> None:
        """Takes a trial that ended."""


class Planned:
    """Trials that were decided before the first began."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._waiting = deque(trials)

    def next_trial(self) -> Trial | None:
        """The next one, or none."""
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> Iterable[Trial]:
        """All that are left."""
        return tuple(self._waiting)

    def learn(self, record: TrialRecord) -> None:
        """Nothing depends on results."""


class Suggested:
    """Settings from Optuna, which learns the mean over the seeds of each.

    What an interrupted study measured is told to a fresh study. With several trials at once, what
    is suggested depends on which of them ended first.
    """

    def __init__(self, space: Space, records: Sequence[TrialRecord]) -> None:
        self._space, self._study = space, _optuna(space)
        begun = {record.trial.setting: record.trial.settings for record in records}
        self._records: dict[int, dict[str, TrialRecord]] = defaultdict(dict)
        self._next_setting = max(begun, default=-1) + 1
        done = {record.trial.name for record in records if record.is_done}
        trials = [
            trial for n, settings in begun.items() for trial in seeded(n, settings, space.seeds)
        ]
        self._waiting = deque(trial for trial in trials if trial.name not in done)
        for record in records:
            if record.is_done:
                self.learn(record)

    def next_trial(self) -> Trial | None:
        """The next one, or none."""
        if not self._waiting and self._next_setting < self._space.trials:
            settings = self._study.suggest(str(self._next_setting))
            ordered = {key: settings[key] for key in self._space.parameters}
            self._waiting.extend(seeded(self._next_setting, ordered, self._space.seeds))
            self._next_setting += 1
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> Iterable[Trial]:
        """Those that an interruption left, and the other seeds of the newest setting."""
        return tuple(self._waiting)

    def learn(self, record: TrialRecord) -> None:
        """Tells the study once every seed of a setting has ended."""
        setting = self._records[record.trial.setting]
        setting[record.trial.name] = record
        if len(setting) < len(self._space.seeds):
            return
        values = [each.metrics.get(self._space.goal.metric, math.nan) for each in setting.values()]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            self._study.add_evaluated_point(record.trial.settings, sum(finite) / len(finite))


def trial_source(study: Study, records: Sequence[TrialRecord]) -> Source:
    """The trials that are left, given the records of those that began."""
    if study.decides_as_it_goes:
        return Suggested(study.space, records)
    done = {record.trial.name for record in records if record.is_done}
    return Planned([trial for trial in study.trials if trial.name not in done])


def count_trials(study: Study) -> int:
    """How many trials the whole study has."""
    space = study.space
    settings = space.trials if study.decides_as_it_goes else len(study.settings)
    return settings * len(space.seeds)


def scheduler(space: Space, total_steps: int, source: str) -> TrialScheduler:
    """Tune's scheduler. Its times are steps, and by default shares of a run of ``total_steps``.

    Tune's own count of reports starts again with each attempt at a trial, steps do not.
    """
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "fifo": (FIFOScheduler, {}),
        "asha": (
            AsyncHyperBandScheduler,
            {"grace_period": max(1, total_steps // 8), "reduction_factor": 2},
        ),
        # The asynchronous kind: the other pauses trials, and each pause costs a restart.
        "hyperband": (
            AsyncHyperBandScheduler,
            {"grace_period": max(1, total_steps // 8), "reduction_factor": 2, "brackets": 3},
        ),
        "median": (
            MedianStoppingRule,
            {"grace_period": max(1, total_steps // 4), "min_samples_required": 3},
        ),
    }
    kind, options = kinds[space.scheduler.name]
    if kind is AsyncHyperBandScheduler:
        options["max_t"] = total_steps + 1  # at max_t it stops a trial; the last step is not one
    if kind is not FIFOScheduler:
        options["time_attr"] = "step"
    _check_options(kind, space.scheduler.options, f"{source}: scheduler {space.scheduler.name}")
    try:
        return kind(**{**options, **space.scheduler.options})
    except (AssertionError, TypeError, ValueError) as error:
        raise PoiseError(f"{source}: scheduler.options: {error}") from None


def _optuna(space: Space) -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise PoiseError(
            "searcher optuna is not installed; run `pip install 'poise[optuna]'`, or set "
            "searcher.name=random"
        ) from None
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _check_options(OptunaSearch, space.searcher.options, "searcher optuna")
    return OptunaSearch(
        space={key: domain(sampler) for key, sampler in space.parameters.items()},
        metric=space.goal.metric,
        mode=space.goal.mode,
        seed=space.sampling_seed,
        **space.searcher.options,
    )


def _check_options(kind: Any, options: dict[str, Any], where: str) -> None:
    known = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    for name in options:
        if name not in known:
            raise PoiseError(f"{where} has no option '{name}'{nearest(name, known)}")
