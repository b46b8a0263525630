"""What a study cost, and what stopping early saved.

In: records. Out: ``Cost``. Next: ``poise.studies.findings.findings``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from poise.studies.records import TrialRecord
from poise.studies.study import Study, count_trials


@dataclass(frozen=True)
class TrialCost:
    """One trial's."""

    trial: str
    state: str
    steps: int
    total_steps: int
    """Until it would have ended by itself; 0 where it never got that far."""

    hours: float
    stopped_by: str
    """Who ended it early; empty where nobody did."""

    @property
    def saved_steps(self) -> int:
        """That it was spared."""
        return max(self.total_steps - self.steps, 0) if self.stopped_by else 0


@dataclass(frozen=True)
class Cost:
    """All trials together."""

    steps: int
    total_steps: int
    """That all trials of the study would have trained by themselves, begun or not."""

    saved_steps: int
    hours: float
    """Of trials, which run beside each other: not of the clock."""

    images: int
    """That went through training, an image counted each time."""

    images_per_s: float | None
    """Of one trial, with its starts and evaluations."""

    stopped: dict[str, int]
    """How many trials each stopper ended."""

    trials: tuple[TrialCost, ...]

    @property
    def saved_share(self) -> float | None:
        """Of what all would have trained by themselves."""
        return self.saved_steps / self.total_steps if self.total_steps else None

    @property
    def saved_hours(self) -> float | None:
        """What the saved steps would have taken at the study's own speed."""
        return self.hours * self.saved_steps / self.steps if self.steps else None


def cost(study: Study, records: Sequence[TrialRecord]) -> Cost:
    """The sums over all trials, those that failed or were interrupted included.

    Steps are those of each trial's last state: what an interruption made it train again is in the
    hours and not in the steps.
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
    """Of all trials; one that has not come so far as to know counts as the mean of the others."""
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
    """Images per step; a space may vary it."""
    return int(record.trial.settings.get("training.batch_size", study.recipe.training.batch_size))
