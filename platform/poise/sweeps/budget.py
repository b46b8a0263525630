"""Computes how much of a study's budget is left, and which trials fit into the rest.

In: the study's budget, and the steps and hours that its trials have used. Out: the next trial, or
the limit that prevents another trial. Next: ``poise.sweeps.tune_search``, which gives the trial to
Tune.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from poise.config import Recipe
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.time_budget import _HOUR_S, Clock
from poise.studies.trials import Trial
from poise.sweeps.step_time import Kind, Pace, kind_of
from poise.sweeps.trial_queue import TrialQueue
from poise.training.schedule import total_steps_of


class Purse:
    """Account of a study's budget: which limit a further trial would exceed.

    A running trial counts with all its planned steps. An ended trial counts with the steps that it
    trained. So other trials can use the steps that early stopping saved.

    Args:
        study: study with the budget and the trials. clock: clock of the study. paces: known seconds
        per step of each kind of trial (``poise.sweeps.step_time``). Measurements of
            the study's own trials replace these values.
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
        """Whether steps are limited and a running trial may still end early."""
        return self._budget.steps is not None and bool(self._running)

    def begin(self, trial: Trial) -> None:
        """Subtracts a trial's planned steps from the budget, and marks the trial as running."""
        self.set_aside(trial)
        self._running.add(trial.name)
        self._clock.keep()

    def set_aside(self, trial: Trial) -> None:
        """Subtracts a trial's planned steps from the budget, and writes no file."""
        limited = self._budget.steps is not None
        self._steps[trial.name] = self._total_steps(trial) if limited else 0

    def end(self, name: str, record: TrialRecord | None) -> None:
        """Returns the unused steps of an ended trial to the budget.

        If the trial has no record, it never began, and all its steps are returned.
        """
        self._running.discard(name)
        self._clock.keep()
        if record is None:
            del self._steps[name]
        else:
            self._count(record)

    def lacks(self, trial: Trial) -> str:
        """Returns the limit that a trial would exceed, such as ``budget.steps=1000``.

        The text is empty if the trial fits into the budget.
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
        """Returns the expected seconds of a whole trial; 0 if the time per step is unknown."""
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
    """Queue of trials. It ends or waits when the budget is too small for the next trial."""

    def __init__(self, queue: TrialQueue, purse: Purse) -> None:
        self._queue, self._purse = queue, purse
        self._held: Trial | None = None
        self.lacks = ""
        """Limit of the budget that ended the queue; empty if no limit ended it."""

    def peek(self) -> Trial | None:
        """Returns the next trial but leaves it in the queue.

        Returns None if the budget is too small now, or if no trial is left.
        """
        self._held = self._held or self._queue.next_trial()
        self.lacks = self._purse.lacks(self._held) if self._held else ""
        return None if self.lacks else self._held

    def next_trial(self) -> Trial | None:
        """Removes and returns the next trial; None if ``peek`` returns None.

        The trial's steps are subtracted from the budget.
        """
        trial = self.peek()
        if trial is not None:
            self._held = None
            self._purse.begin(trial)
        return trial

    @property
    def waits(self) -> bool:
        """Whether the next trial may fit into the budget later, when running trials end early."""
        return self._held is not None and self._purse.may_get_room

    def waiting(self) -> Iterable[Trial]:
        """Returns the trials in the queue whose settings are already decided."""
        return [*([self._held] if self._held else []), *self._queue.waiting()]

    def end(self, name: str, record: TrialRecord | None) -> None:
        """Receives the record of an ended trial. None means that the trial never began."""
        self._purse.end(name, record)
        if record is not None:
            self._queue.learn(record)
