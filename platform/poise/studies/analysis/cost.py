"""Computes the cost of a study, and what early stopping saved.

In: records. Out: ``Cost``. Next: ``poise.studies.findings.findings``.
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
    """Planned steps; 0 if the trial ended before they were known."""

    hours: float
    stopped_by: str
    """Name of the stopper that ended the trial early; empty if it ended by itself."""

    @property
    def saved_steps(self) -> int:
        """Planned steps that early stopping saved."""
        return max(self.total_steps - self.steps, 0) if self.stopped_by else 0


@dataclass(frozen=True)
class Cost:
    """Cost of all trials together."""

    steps: int
    total_steps: int
    """Steps that all trials of the study would take without early stopping, begun or not."""

    saved_steps: int
    hours: float
    """Sum of the hours of all trials. Several trials run at once, so the elapsed time is shorter.
    """

    images: int
    """Number of images in training; an image counts each time it is used."""

    images_per_s: float | None
    """Mean speed of one trial, including its starts and evaluations."""

    stopped: dict[str, int]
    """Number of trials that each stopper ended."""

    trials: tuple[TrialCost, ...]

    @property
    def saved_share(self) -> float | None:
        """Share of all planned steps that early stopping saved, from 0 to 1."""
        return self.saved_steps / self.total_steps if self.total_steps else None

    @property
    def saved_hours(self) -> float | None:
        """Hours that the saved steps would take at the study's mean speed."""
        return self.hours * self.saved_steps / self.steps if self.steps else None


def cost(study: Study, records: Sequence[TrialRecord]) -> Cost:
    """Sums the cost over all trials, including failed and interrupted trials.

    Steps are those of each trial's last state. If an interruption made a trial repeat steps, the
    hours include them, but the steps do not.
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
    """Returns the planned steps of all trials.

    If they are unknown for a trial, it counts as the mean.
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
    """Returns the number of images per step, which a space may vary."""
    return int(record.trial.settings.get("training.batch_size", study.recipe.training.batch_size))
