"""How far a study has come.

In: a study and its records. Out: ``Standing``. Next: the answer, the notes and the report, none of
which may take what has not happened yet for a result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.sweeps.records import Study, TrialRecord
from poise.sweeps.sources import count_trials
from poise.sweeps.wording import listed


@dataclass(frozen=True)
class Standing:
    """A study's trials, counted by how they stand."""

    planned: int
    """All that the study has, begun or not."""

    planned_settings: int
    ended: int
    failed: int
    interrupted: int
    go_on: str
    """The command that runs what is left."""

    @property
    def not_begun(self) -> int:
        """Trials that have no record."""
        return self.planned - self.ended - self.failed - self.interrupted

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended or failed."""
        return not (self.interrupted or self.not_begun)

    @property
    def sentence(self) -> str:
        """What is left, and how to go on; empty where nothing is."""
        left = [
            told
            for count, told in (
                (self.failed, f"{self.failed} failed"),
                (self.interrupted, f"{_counted(self.interrupted, 'was', 'were')} interrupted"),
                (self.not_begun, f"{_counted(self.not_begun, 'has', 'have')} not begun"),
            )
            if count
        ]
        if not left:
            return ""
        have = "has" if self.ended == 1 else "have"
        return (
            f"{self.ended} of {self.planned} trials {have} ended; {listed(left)}; go on with "
            f"`{self.go_on}`."
        )


def standing(study: Study, records: Sequence[TrialRecord]) -> Standing:
    """How a study stands by its records."""
    planned = max(count_trials(study), len(records))
    begun = len({record.trial.setting for record in records})
    settings = study.space.trials if study.decides_as_it_goes else len(study.settings)
    limit = study.space.budget.trials
    room = f" budget.trials={planned}" if limit is not None and limit < planned else ""
    return Standing(
        planned=planned,
        planned_settings=max(settings, begun),
        ended=sum(record.is_done for record in records),
        failed=sum(record.state == "failed" for record in records),
        interrupted=sum(record.state == "running" for record in records),
        go_on=f"poise {study.command} --resume {study.name}{room}",
    )


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
