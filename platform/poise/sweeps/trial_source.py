"""Where trials come from.

In: a study, and what an interruption left of it. Out: its trials, one after another, and the better
ones where a searcher learns from how they went. Next: ``poise.sweeps.budget``.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from poise.config import PoiseError, Space
from poise.studies.outcomes import is_condemned
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Settings, Trial, seeded
from poise.sweeps.check import check_options
from poise.sweeps.drawing import domain


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
    """Settings from Optuna, which learns the mean over the seeds of each, of one metric or several.

    A fresh study is asked for what an interrupted one had been given, and told the same. With
    several trials at once, what is suggested depends on which of them ended first.
    """

    def __init__(self, space: Space, records: Sequence[TrialRecord]) -> None:
        begun = {record.trial.setting: record.trial.settings for record in records}
        self._space, self._study = space, _optuna(space, begun)
        for number in sorted(begun):
            self._study.suggest(str(number))
        self._records: dict[int, dict[str, TrialRecord]] = defaultdict(dict)
        # Not those after the last: a killed process may have lost one before it left a record.
        self._unbegun = deque(n for n in range(space.trials) if n not in begun)
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
        if not self._waiting and self._unbegun:
            number = self._unbegun.popleft()
            settings = self._study.suggest(str(number))
            ordered = {key: settings[key] for key in self._space.parameters}
            self._waiting.extend(seeded(number, ordered, self._space.seeds))
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> Iterable[Trial]:
        """Those that an interruption left, and the other seeds of the newest setting."""
        return tuple(self._waiting)

    def learn(self, record: TrialRecord) -> None:
        """Tells the study once every seed of a setting has ended.

        One of which a seed was condemned is told without its figures, as pruned, which TPE takes
        for worse than any that has some: by its loss a collapse would be the best.
        """
        setting = self._records[record.trial.setting]
        setting[record.trial.name] = record
        if len(setting) < len(self._space.seeds):
            return
        means = {metric: _mean(setting.values(), metric) for metric in self._space.metric}
        measured = all(map(math.isfinite, means.values()))
        condemned = any(map(is_condemned, setting.values()))
        self._study.on_trial_complete(
            str(record.trial.setting),
            means if measured and not condemned else None,
            error=not (measured or condemned),
        )


def _mean(records: Iterable[TrialRecord], metric: str) -> float:
    """Over those that measured it; not a number where none did."""
    values = [record.metrics.get(metric, math.nan) for record in records]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def trial_source(
    study: Study, records: Sequence[TrialRecord], only: Sequence[Trial] | None = None
) -> Source:
    """The trials that are left.

    Args:
        study: theirs.
        records: of those that began.
        only: these of the study's trials; none means all. See ``choose_trials``.
    """
    if study.decides_as_it_goes:
        return Suggested(study.space, records)
    done = {record.trial.name for record in records if record.is_done}
    begun = {record.trial.name: record.current for record in records}
    trials = study.trials if only is None else only
    return Planned([begun.get(each.name, each) for each in trials if each.name not in done])


def _optuna(space: Space, begun: Mapping[int, Settings]) -> Any:
    """Optuna's sampler of trees (TPE), for one goal or several.

    Args:
        space: that it samples.
        begun: suggested first, in the order of their numbers; then what is left of the space.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise PoiseError(
            "searcher optuna is not installed; run `pip install 'poise[optuna]'`, or set "
            "searcher.name=random"
        ) from None
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    alone = len(space.goals) == 1
    check_options(OptunaSearch, space.searcher.options, "searcher optuna")
    wanted = enumerate(space.searcher.options.get("points_to_evaluate", []))
    points = [begun[n] for n in sorted(begun)] + [point for n, point in wanted if n not in begun]
    domains = {key: domain(sampler) for key, sampler in space.parameters.items()}
    return OptunaSearch(
        space=OptunaSearch.convert_search_space(domains),
        metric=space.goal.metric if alone else [goal.metric for goal in space.goals],
        mode=space.goal.mode if alone else [goal.mode for goal in space.goals],
        seed=space.sampling_seed + len(begun),  # the same again would draw the same again
        **{**space.searcher.options, "points_to_evaluate": points},
    )
