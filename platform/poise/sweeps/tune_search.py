"""Gives Tune the next trial, and makes Tune's scheduler, which stops trials early.

In: a queue of trials that fit into the budget, and a search space. Out: a searcher and a scheduler
for Tune. Next: ``poise.sweeps.runner``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.search import Searcher

from poise.config import PoiseError, Space
from poise.config.wording import counted
from poise.studies.records import Change, TrialRecord
from poise.studies.trials import Trial
from poise.sweeps.budget import BudgetedQueue
from poise.sweeps.population import Exchange, Population

_COMPARED = 3
"""Default for the scheduler "median": smallest number of other trials that a trial is compared
with.
"""

Plan = Callable[[Trial], None]
Settle = Callable[[str, bool, dict[str, Any] | None], TrialRecord | None]


class TrialSearcher(Searcher):  # type: ignore[misc]
    """Searcher that gives trials to Tune: first interrupted trials, then new trials.

    Args:
        queue: queue of the trials.
        plan: function that is called with each trial as soon as its settings are known, perhaps
            long before the trial begins.
        settle: function that returns the final record of a trial that no longer runs. Its arguments
            are the trial's name, whether the trial's process died, and the last report.
    """

    def __init__(self, queue: BudgetedQueue, plan: Plan, settle: Settle) -> None:
        super().__init__()
        self._queue, self._plan, self._settle = queue, plan, settle
        self._names: dict[str, str] = {}
        self._planned: set[str] = set()
        self._plan_all(queue.waiting())

    def suggest(self, trial_id: str) -> Any:
        """Returns the next trial's config, None if it must wait, or Tune's constant for the end."""
        trial = self._queue.next_trial()
        if trial is None:
            return None if self._queue.waits else Searcher.FINISHED
        self._names[trial_id] = trial.name
        self._plan_all([trial, *self._queue.waiting()])
        return trial.as_config()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Passes the ended trial's record to the queue. Tune's last result has less information."""
        name = self._names[trial_id]
        self._queue.end(name, self._settle(name, error, result))

    def _plan_all(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.name not in self._planned:
                self._planned.add(trial.name)
                self._plan(trial)

    def save(self, checkpoint_path: str) -> None:
        """Does nothing, because a study continues from its own records."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing; see ``save``."""


def _ignored(trial: str, change: Change) -> None:
    """Does nothing. A scheduler that is made only to check its options needs this function."""


def scheduler(
    space: Space, total_steps: int, source: str, exchange: Exchange = _ignored
) -> TrialScheduler:
    """Makes Tune's scheduler. It measures time in steps, and its defaults are shares of a trial.

    Tune's count of reports would start again at 0 if a trial is repeated. The step does not.

    Args:
        space: space that names the scheduler.
        total_steps: steps of a trial.
        source: file of the space, for messages.
        exchange: function that is called before a trial continues from another trial's checkpoint.
            Its arguments are the name of the first trial and the ``Change``.

    Raises:
        PoiseError: a trial is so short that the scheduler would never change or stop it.
    """
    # A trial must not be stopped at its last step, so `max_t` is one step later.
    halving = {
        "time_attr": "step",
        "max_t": total_steps + 1,
        "grace_period": max(1, total_steps // 8),
        "reduction_factor": 2,
    }
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "fifo": (FIFOScheduler, {}),
        "asha": (AsyncHyperBandScheduler, halving),
        # The asynchronous version is used, because the other pauses trials, and each pause costs
        # a restart.
        "hyperband": (AsyncHyperBandScheduler, {**halving, "brackets": 3}),
        "median": (
            MedianStoppingRule,
            {
                "time_attr": "step",
                "grace_period": max(1, total_steps // 4),
                "min_samples_required": _COMPARED,
            },
        ),
        "pbt": (
            partial(Population, space, exchange),
            {"perturbation_interval": max(1, total_steps // 4)},
        ),
    }
    kind, defaults = kinds[space.scheduler.name]
    options = {**defaults, **space.scheduler.options}
    problem = _idle(options, total_steps)
    if problem:
        raise PoiseError(f"{source}: scheduler.options.{problem}")
    return kind(**options)


def check_compared(space: Space, num_trials: int, source: str) -> None:
    """Raises an error if the scheduler "median" could never compare a trial with enough others.

    Args:
        space: space that names the scheduler.
        num_trials: number of trials of the study; 0 if a searcher chooses settings during the
            study.
        source: file of the space, for messages.

    Raises:
        PoiseError: the study has too few trials, so the scheduler would never stop a trial.
    """
    num_trials = num_trials or space.num_searched * len(space.seeds)
    needed = space.scheduler.options.get("min_samples_required", _COMPARED)
    if space.scheduler.name == "median" and num_trials <= needed:
        raise PoiseError(
            f"{source}: scheduler.options.min_samples_required={needed}: a trial is compared with "
            "at least this number of others, but the study has only "
            f"{counted(num_trials, 'trial')}; make it smaller, or run more trials"
        )


def _idle(options: Mapping[str, Any], total_steps: int) -> str:
    """Explains why a scheduler with these options would never change or stop a trial; else empty.

    Args:
        options: options of the scheduler, including defaults.
        total_steps: steps of a trial.
    """
    for name in ("grace_period", "burn_in_period", "perturbation_interval"):
        if options.get(name, 0) >= total_steps:
            return f"{name}={options[name]}: a trial has {total_steps} steps; take fewer"
    if "max_t" not in options:
        return ""
    first, last = options["grace_period"], options["max_t"]
    if first > last:
        return f"max_t={last}: is before the first decision at grace_period={first}; make it larger"
    reached = min(last, total_steps + 1)
    most = int(math.log(reached / first) / math.log(options["reduction_factor"])) + 1
    if options.get("brackets", 1) > most:
        return f"brackets={options['brackets']}: only {most} have a decision within a trial"
    return ""
