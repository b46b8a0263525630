"""Which trial comes next, and which is stopped early, in Tune's terms.

In: trials as their budget lets them begin, and a space. Out: a searcher and a scheduler for Tune.
Next: ``poise.sweeps.runner``.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.search import Searcher

from poise.config import PoiseError, Space
from poise.studies.records import Change, TrialRecord
from poise.studies.trials import Trial
from poise.sweeps.budget import Budgeted
from poise.sweeps.check import check_options
from poise.sweeps.population import Exchange, Population

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

    def __init__(self, source: Budgeted, plan: Plan, settle: Settle) -> None:
        super().__init__()
        self._source, self._plan, self._settle = source, plan, settle
        self._names: dict[str, str] = {}
        self._planned: set[str] = set()
        self._plan_all(source.waiting())

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config, nothing where it must wait, or Tune's word for no more."""
        trial = self._source.next_trial()
        if trial is None:
            return None if self._source.waits else Searcher.FINISHED
        self._names[trial_id] = trial.name
        self._plan_all([trial, *self._source.waiting()])
        return trial.as_config()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Passes on the trial's own record, which knows more than Tune's last result."""
        name = self._names[trial_id]
        self._source.end(name, self._settle(name, error, result))

    def _plan_all(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.name not in self._planned:
                self._planned.add(trial.name)
                self._plan(trial)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's own records are enough to go on."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see ``save``."""


def _unheard(trial: str, change: Change) -> None:
    """Where a scheduler is only made to see whether it can be."""


def scheduler(
    space: Space, total_steps: int, source: str, exchange: Exchange = _unheard
) -> TrialScheduler:
    """Tune's scheduler. Its times are steps, and by default shares of a run of ``total_steps``.

    Tune's own count of reports starts again with each attempt at a trial, steps do not.

    Args:
        space: names it.
        total_steps: of a run.
        source: the space's file, for messages.
        exchange: told which trial goes on from which, where they do.
    """
    # The last step is no step to stop a trial at, as `max_t` would be.
    halving = {
        "time_attr": "step",
        "max_t": total_steps + 1,
        "grace_period": max(1, total_steps // 8),
        "reduction_factor": 2,
    }
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "fifo": (FIFOScheduler, {}),
        "asha": (AsyncHyperBandScheduler, halving),
        # The asynchronous kind: the other pauses trials, and each pause costs a restart.
        "hyperband": (AsyncHyperBandScheduler, {**halving, "brackets": 3}),
        "median": (
            MedianStoppingRule,
            {
                "time_attr": "step",
                "grace_period": max(1, total_steps // 4),
                "min_samples_required": 3,
            },
        ),
        "pbt": (
            partial(Population, space, exchange),
            {"perturbation_interval": max(1, total_steps // 4)},
        ),
    }
    kind, options = kinds[space.scheduler.name]
    known = PopulationBasedTraining if space.scheduler.changes_settings else kind
    check_options(known, space.scheduler.options, f"{source}: scheduler {space.scheduler.name}")
    try:
        return kind(**{**options, **space.scheduler.options})
    except (AssertionError, TypeError, ValueError) as error:
        raise PoiseError(f"{source}: scheduler.options: {error}") from None
