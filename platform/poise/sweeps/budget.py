"""Computes the rest of a study's budget, and which trials fit into it.

In: its budget, and what its trials have used. Out: the next trial, or the reason why there is none.
Next: ``poise.sweeps.tune_search``, which gives it to Tune.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from poise.config import Recipe
from poise.studies.clock import _HOUR_S, Clock
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Trial
from poise.sweeps.pace import Kind, Pace, kind_of
from poise.sweeps.trial_queue import TrialQueue
from poise.training.schedule import total_steps_of


class Purse:
    """Rest of a study's budget.

    A running trial counts with all its planned steps. An ended trial counts with the steps that it
    made, so steps that early stopping saved are available to other trials.

    Args:
        study: study with the budget and the trials.
        clock: clock of the study.
        paces: known pace of each kind of trial; measurements of the study's own trials replace it.
    """

    def __init__(
        self, study: Study, clock: Clock, paces: Mapping[Kind, Pace] | None = None
    ) -> None:
        self._study, self._budget, self._clock = study, study.space.budget, clock
        self._paces = paces or {}
        self._steps: dict[str, int] = {}  # for every trial that began
        self._taken: dict[Kind, list[float]] = defaultdict(list)  # seconds per step
        self._running: set[str] = set()
        for record in study.records():
            self._count(record)

    @property
    def may_get_room(self) -> bool:
        """Whether a running trial may still end with fewer steps than planned."""
        return self._budget.steps is not None and bool(self._running)

    def begin(self, trial: Trial) -> None:
        """Takes from the budget what a trial is planned to need."""
        self.set_aside(trial)
        self._running.add(trial.name)
        self._clock.keep()

    def set_aside(self, trial: Trial) -> None:
        """Counts what a trial is planned to need, without writing anything."""
        limited = self._budget.steps is not None
        self._steps[trial.name] = self._total_steps(trial) if limited else 0

    def end(self, name: str, record: TrialRecord | None) -> None:
        """Gives the unused part of a trial's steps back to the budget.

        A trial without a record gives all of its steps back.
        """
        self._running.discard(name)
        self._clock.keep()
        if record is None:
            del self._steps[name]
        else:
            self._count(record)

    def lacks(self, trial: Trial) -> str:
        """Names the limit that a trial would exceed.

        It is written as a user would write it, and empty if there is none.
        """
        budget = self._budget
        others = {name: steps for name, steps in self._steps.items() if name != trial.name}
        if budget.trials is not None and len(others) >= budget.trials:
            return f"budget.trials={budget.trials}"
        if budget.steps is not None and (
            sum(others.values()) + self._total_steps(trial) > budget.steps
        ):
            return f"budget.steps={budget.steps}"
        if budget.hours is not None and (
            self._clock.read_s() + self.expected_s(trial) >= budget.hours * _HOUR_S
        ):
            return f"budget.hours={budget.hours:g}"
        return ""

    def expected_s(self, trial: Trial) -> float:
        """Returns the expected seconds of a whole trial; 0 if its kind is unknown."""
        recipe = self._recipe(trial)
        kind = kind_of(recipe)
        known = self._paces[kind].seconds_per_step if kind in self._paces else None
        pace = median(self._taken[kind]) if self._taken[kind] else known or 0.0
        return pace * total_steps_of(recipe)

    def _count(self, record: TrialRecord) -> None:
        self._steps[record.trial.name] = record.step
        if record.state == "finished" and record.step:  # in shorter trials the start dominates
            self._taken[kind_of(self._recipe(record.trial))].append(record.seconds / record.step)

    def _recipe(self, trial: Trial) -> Recipe:
        return trial.recipe(self._study.recipe, self._study.name)

    def _total_steps(self, trial: Trial) -> int:
        return total_steps_of(self._recipe(trial))


class BudgetedQueue:
    """Queue that ends, or waits, if the budget is too small for the next trial."""

    def __init__(self, queue: TrialQueue, purse: Purse) -> None:
        self._queue, self._purse = queue, purse
        self._held: Trial | None = None
        self.lacks = ""
        """Limit that ended the queue; empty if no limit did."""

    def peek(self) -> Trial | None:
        """Returns the next trial without beginning it.

        It is None if the budget is too small for it now.
        """
        self._held = self._held or self._queue.next_trial()
        self.lacks = self._purse.lacks(self._held) if self._held else ""
        return None if self.lacks else self._held

    def next_trial(self) -> Trial | None:
        """Returns the next trial and counts it as begun; None if there is no trial."""
        trial = self.peek()
        if trial is not None:
            self._held = None
            self._purse.begin(trial)
        return trial

    @property
    def waits(self) -> bool:
        """Whether there may be a next trial later, although there is none now."""
        return self._held is not None and self._purse.may_get_room

    def waiting(self) -> Iterable[Trial]:
        """Returns the trials after the next one that are already decided."""
        return [*([self._held] if self._held else []), *self._queue.waiting()]

    def end(self, name: str, record: TrialRecord | None) -> None:
        """Receives a trial that ended. Without a record, it never began."""
        self._purse.end(name, record)
        if record is not None:
            self._queue.learn(record)
