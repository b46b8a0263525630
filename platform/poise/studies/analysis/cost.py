"""Computes the cost of a study and the steps that early stopping saved.

In: records of trials. Out: ``Cost``. Next: ``poise.studies.findings.findings``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from poise.studies.records import TrialRecord
from poise.studies.study import Study, count_trials


@dataclass(frozen=True)
class TrialCost:
    """Cost of one trial."""

    trial: str
    state: str
    steps: int
    total_steps: int
    """Number of planned steps. It is 0 if the trial ended before this number was known."""

    hours: float
    stopped_by: str
    """Name of the stopper that ended the trial early. It is empty if nothing stopped the trial
    early.
    """

    @property
    def saved_steps(self) -> int:
        """Number of planned steps that were not trained because the trial was stopped early."""
        return max(self.total_steps - self.steps, 0) if self.stopped_by else 0


@dataclass(frozen=True)
class Cost:
    """Cost of all trials together."""

    steps: int
    total_steps: int
    """Planned steps of all trials of the study, including trials that have not begun."""

    saved_steps: int
    hours: float
    """Sum of the hours of all trials. Trials run in parallel, so the study itself takes fewer
    hours.
    """

    images: int
    """Number of images used for training. An image counts each time it is used."""

    images_per_s: float | None
    """Mean images per second of one trial. The time includes starts and evaluations."""

    stopped: dict[str, int]
    """Maps the name of each stopper to the number of trials that it ended early."""

    trials: tuple[TrialCost, ...]

    @property
    def saved_share(self) -> float | None:
        """Saved steps divided by the planned steps of all trials, from 0 to 1."""
        return self.saved_steps / self.total_steps if self.total_steps else None

    @property
    def saved_hours(self) -> float | None:
        """Estimate of the hours that the saved steps would take, at the mean speed of the study."""
        return self.hours * self.saved_steps / self.steps if self.steps else None


def cost(study: Study, records: Sequence[TrialRecord]) -> Cost:
    """Sums the cost over all trials, including failed and interrupted trials.

    The number of steps of a trial comes from its last state. After an interruption, a trial may
    repeat steps. Repeated steps count once, but the hours of both attempts count.
    """
    trials = tuple(map(_of_trial, records))
    images = sum(record.step * _batch_size(study, record) for record in records)
    seconds = sum(record.seconds for record in records)
    return Cost(
        steps=sum(trial.steps for trial in trials),
        total_steps=_planned_steps(study, trials),
        saved_steps=sum(trial.saved_steps for trial in trials),
        hours=seconds / 3600,
        images=images,
        images_per_s=images / seconds if seconds and images else None,
        stopped=dict(Counter(trial.stopped_by for trial in trials if trial.stopped_by)),
        trials=trials,
    )


def _planned_steps(study: Study, trials: Sequence[TrialCost]) -> int:
    """Returns the number of planned steps of all trials together.

    If the number is unknown for a trial, the mean of the known numbers is used.
    """
    known = [trial.total_steps for trial in trials if trial.total_steps]
    num_trials = max(count_trials(study), len(trials))
    return round(sum(known) / len(known) * num_trials) if known else 0


def _of_trial(record: TrialRecord) -> TrialCost:
    stopped_by = (record.stopped_by or "the scheduler") if record.state == "stopped" else ""
    return TrialCost(
        trial=record.trial.name,
        state=record.state,
        steps=record.step,
        total_steps=record.total_steps,
        hours=record.seconds / 3600,
        stopped_by=stopped_by,
    )


def _batch_size(study: Study, record: TrialRecord) -> int:
    """Returns the batch size of a trial. It may be a hyperparameter that the study varies."""
    return int(record.trial.settings.get("training.batch_size", study.recipe.training.batch_size))
