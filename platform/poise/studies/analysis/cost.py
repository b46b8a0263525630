"""The cost of a study, and what stopping early saved.

In: records. Out: ``Cost``. Next: ``poise.studies.findings.findings``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from poise.studies.records import TrialRecord
from poise.studies.study import Study, count_trials


@dataclass(frozen=True)
class TrialCost:
    """The cost of one trial."""

    trial: str
    state: str
    steps: int
    total_steps: int
    """Steps that were planned; 0 where the trial ended before it knew."""

    hours: float
    stopped_by: str
    """What ended the trial early; empty where it ended by itself."""

    @property
    def saved_steps(self) -> int:
        """Planned steps that stopping early saved."""
        return max(self.total_steps - self.steps, 0) if self.stopped_by else 0


@dataclass(frozen=True)
class Cost:
    """The cost of all trials together."""

    steps: int
    total_steps: int
    """Steps that all trials of the study would train by themselves, begun or not."""

    saved_steps: int
    hours: float
    """Hours of all trials added up; several run at once, so the clock shows fewer."""

    images: int
    """Images that were trained on; an image counts each time."""

    images_per_s: float | None
    """The mean speed of one trial, with its starts and evaluations."""

    stopped: dict[str, int]
    """The number of trials that each stopper ended."""

    trials: tuple[TrialCost, ...]

    @property
    def saved_share(self) -> float | None:
        """The share of all planned steps that stopping early saved, from 0 to 1."""
        return self.saved_steps / self.total_steps if self.total_steps else None

    @property
    def saved_hours(self) -> float | None:
        """Hours that the saved steps would take at the study's mean speed."""
        return self.hours * self.saved_steps / self.steps if self.steps else None


def cost(study: Study, records: Sequence[TrialRecord]) -> Cost:
    """The sums over all trials, including those that failed or were interrupted.

    Steps are those of each trial's last state. Steps that an interruption made a trial repeat are
    in the hours, and not in the steps.
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
    """The planned steps of all trials; a trial that does not know its own counts as the mean."""
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
    """Images per step, which a space may vary."""
    return int(record.trial.settings.get("training.batch_size", study.recipe.training.batch_size))
