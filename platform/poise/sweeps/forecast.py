"""Estimates the cost of a study before it begins.

In: a study, and the trials that should run. Out: a ``Forecast``, with None for unknown times. Next:
the command line, which prints the forecast.
"""

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poise.config import Recipe
from poise.studies.study import Study, count_trials
from poise.studies.time_budget import Clock
from poise.studies.trials import Trial
from poise.sweeps.budget import Purse
from poise.sweeps.step_time import Kind, Pace, kind_of, paces_of
from poise.training.capacity import Footprint, cpus_needed, footprint
from poise.training.schedule import timetable_of


@dataclass(frozen=True)
class TrialForecast:
    """Expected cost of one trial."""

    trial: Trial
    steps: int
    hours: float | None
    """Hours of the trial, summed over its workers; None if unknown."""

    disk_bytes: int
    """Bytes of the checkpoints that the trial keeps."""


@dataclass(frozen=True)
class Forecast:
    """Expected cost of a study's trials. Sums include only the trials that fit into the budget."""

    trials: tuple[TrialForecast, ...]
    """Trials that fit into the budget if no trial is stopped early. If a searcher chooses settings
    during the study, the forecast assumes the recipe's settings for every trial.
    """

    waiting: tuple[TrialForecast, ...]
    """Trials that do not fit into the budget."""

    lacks: str
    """Limit of the budget that the waiting trials would exceed; empty if all trials fit."""

    are_known: bool
    """Whether the settings of the trials are known in advance."""

    paces: tuple[Pace, ...]
    """Time per training step, for each kind of trial."""

    footprint: Footprint
    """Size of the recipe's checkpoints and backbone package."""

    at_once: int
    clock_hours: float | None
    """Elapsed hours from the start of the first trial to the end of the last trial; None if the
    time of some trial is unknown.
    """

    @property
    def steps(self) -> int:
        """Total number of steps of all trials."""
        return sum(each.steps for each in self.trials)

    @property
    def worker_hours(self) -> float | None:
        """Hours of all trials, summed over workers; None if they are unknown for some trial."""
        hours = [each.hours for each in self.trials if each.hours is not None]
        return sum(hours) if len(hours) == len(self.trials) else None

    @property
    def disk_bytes(self) -> int:
        """Bytes of all stored checkpoints and of the registered package."""
        return sum(each.disk_bytes for each in self.trials) + self.footprint.package_bytes


def forecast(study: Study, only: Sequence[Trial] | None = None) -> Forecast:
    """Estimates the time and disk space that the rest of a study needs.

    To measure the time per step, the function may train a few steps in this process, on random
    views.

    Args:
        study: new or existing study.
        only: trials to include; None includes all remaining trials.
    """
    trials = _left(study, only)
    recipes = [trial.recipe(study.recipe, study.name) for trial in trials]
    paces = paces_of(recipes)
    by_kind = {kind_of(recipe): recipe for recipe in recipes}
    sizes = {kind: footprint(recipe) for kind, recipe in by_kind.items()}
    expected = tuple(
        _of_trial(trial, recipe, paces[kind_of(recipe)], sizes[kind_of(recipe)])
        for trial, recipe in zip(trials, recipes, strict=True)
    )
    num_fitting, clock_s, lacks = _fitting(study, trials, paces)
    are_timed = all(each.hours is not None for each in expected[:num_fitting])
    return Forecast(
        expected[:num_fitting],
        waiting=expected[num_fitting:],
        lacks=lacks,
        are_known=not study.decides_as_it_goes,
        paces=tuple(paces.values()),
        footprint=footprint(study.recipe),
        at_once=_at_once(study, num_fitting),
        clock_hours=clock_s / 3600 if are_timed else None,
    )


def _fitting(
    study: Study, trials: Sequence[Trial], paces: Mapping[Kind, Pace]
) -> tuple[int, float, str]:
    """Returns the number of trials that fit, their elapsed seconds, and the exceeded limit.

    The function simulates the study: each trial begins as soon as another trial ends.
    """
    free_s = [0.0] * _at_once(study, len(trials))
    purse = Purse(study, Clock(study, lambda: free_s[0]), paces)
    for number, trial in enumerate(trials):
        lacks = purse.lacks(trial)
        if lacks:
            return number, max(free_s), lacks
        purse.set_aside(trial)
        heapq.heapreplace(free_s, free_s[0] + purse.expected_s(trial))
    return len(trials), max(free_s), ""


def _left(study: Study, only: Sequence[Trial] | None) -> list[Trial]:
    records = study.records()
    done = {record.trial.name for record in records if record.is_done}
    if study.decides_as_it_goes:
        begun = [record.trial.name for record in records if not record.is_done]
        num_new = count_trials(study) - len(records)
        names = [*begun, *(f"new-{number}" for number in range(num_new))]
        return [Trial(name, 0, {}, study.recipe.seed) for name in names]
    return [t for t in (study.trials if only is None else only) if t.name not in done]


def _of_trial(trial: Trial, recipe: Recipe, pace: Pace, size: Footprint) -> TrialForecast:
    timetable, training = timetable_of(recipe), recipe.training
    steps, made = timetable.total_steps, timetable.most_checkpoints
    seconds = pace.seconds_per_step
    return TrialForecast(
        trial,
        steps,
        None if seconds is None else seconds * steps * training.num_workers / 3600,
        min(made, training.keep_checkpoints or made) * size.checkpoint_bytes,
    )


def _at_once(study: Study, num_trials: int) -> int:
    wanted = study.space.concurrency
    if not os.environ.get("RAY_ADDRESS"):
        wanted = min(wanted, int((os.cpu_count() or 1) // cpus_needed(study.recipe)))
    return max(1, min(wanted, num_trials))
