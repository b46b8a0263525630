"""How far a study has come.

In: a study and its records. Out: ``Standing``. Next: the answer, the notes and the report, none of
which may take what has not happened yet for a result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from poise.config.files import read_json, write_json
from poise.config.wording import listed
from poise.studies.clock import has_time_left
from poise.studies.records import TrialRecord
from poise.studies.study import Study, count_trials


@dataclass(frozen=True)
class Standing:
    """A study's trials, counted by how they stand."""

    planned: int
    """All that the study has, begun or not."""

    planned_settings: int
    ended: int
    failed: int
    running: int
    interrupted: int
    is_running: bool
    """Whether a process is at work on the study, perhaps between two trials."""

    go_on: str
    """The command that runs what is left, once nothing runs."""

    @property
    def not_begun(self) -> int:
        """Trials that have no record."""
        return self.planned - self.ended - self.failed - self.running - self.interrupted

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended or failed."""
        return not (self.running or self.interrupted or self.not_begun)

    @property
    def sentence(self) -> str:
        """What is left, and how to go on; empty where nothing is and nothing runs."""
        left = [
            words
            for count, words in (
                (self.failed, f"{self.failed} failed"),
                (self.running, f"{_counted(self.running, 'is', 'are')} running"),
                (self.interrupted, f"{_counted(self.interrupted, 'was', 'were')} interrupted"),
                (self.not_begun, f"{_counted(self.not_begun, 'has', 'have')} not begun"),
            )
            if count
        ]
        if not left and not self.is_running:
            return ""
        have = "has" if self.ended == 1 else "have"
        rest = f"; {listed(left)}" if left else ""
        counts = f"{self.ended} of {self.planned} trials {have} ended{rest}"
        if self.is_running:
            return f"The study is running: {counts}."
        return f"{counts}; go on with `{self.go_on}`."


def as_they_stand(records: Iterable[TrialRecord], is_running: bool) -> list[TrialRecord]:
    """Stored records as a person should read them.

    Args:
        records: of a study's trials.
        is_running: whether a process is at work on the study; where none is, what is stored as
            running was interrupted.
    """
    return [
        replace(record, state="interrupted")
        if record.state == "running" and not is_running
        else record
        for record in records
    ]


def standing(study: Study, records: Sequence[TrialRecord], is_running: bool = False) -> Standing:
    """How a study stands.

    Args:
        study: that is meant.
        records: of its trials, ``as_they_stand``.
        is_running: whether a process is at work on it.
    """
    planned = max(count_trials(study), len(records))
    begun = len({record.trial.setting for record in records})
    settings = study.space.num_searched if study.decides_as_it_goes else len(study.settings)
    return Standing(
        planned=planned,
        planned_settings=max(settings, begun),
        ended=sum(record.is_done for record in records),
        failed=sum(record.state == "failed" for record in records),
        running=sum(record.state == "running" for record in records),
        interrupted=sum(record.state == "interrupted" for record in records),
        is_running=is_running,
        go_on=f"poise {resume_words(study, records)}",
    )


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


CONCLUSION_FILE = "conclusion.json"


def keep_conclusion(study: Study, records: Iterable[TrialRecord]) -> None:
    """Writes down which trials were done when the study was concluded."""
    write_json(study.folder / CONCLUSION_FILE, {"trials": _names_of_done(records)})


def is_finished(study: Study) -> bool:
    """Whether there is nothing left to do: every trial is done, and all of them were compared."""
    done, path = _names_of_done(study.records()), study.folder / CONCLUSION_FILE
    if len(done) < count_trials(study) or not path.exists():
        return False
    return set(done) <= set(read_json(path)["trials"])


def _names_of_done(records: Iterable[TrialRecord]) -> list[str]:
    return [record.trial.name for record in records if record.is_done]


def resume_words(study: Study, records: Sequence[TrialRecord], lacks: str = "") -> str:
    """``ablate --resume NAME budget.trials=8``: with every limit raised that leaves no room.

    Trials and steps are raised to what the whole study takes. A limit for which that is not known
    is lifted: how long the rest takes is a guess, and one that is too low would run nothing.

    Args:
        study: that is meant.
        records: of its trials.
        lacks: the limit that left no room, where one is known to: ``budget.hours=6``.
    """
    budget = study.space.budget
    trials, steps = _all_trials(study, records), _all_steps(study, records)
    raised: dict[str, int | str] = {}
    if lacks:
        raised[lacks.partition("=")[0]] = "null"
    if not has_time_left(study):
        raised["budget.hours"] = "null"
    if budget.trials is not None and budget.trials < trials:
        raised["budget.trials"] = trials
    if budget.steps is not None and budget.steps < steps:
        raised["budget.steps"] = steps
    return " ".join(
        [study.command, "--resume", study.name, *(f"{key}={n}" for key, n in raised.items())]
    )


def _all_trials(study: Study, records: Sequence[TrialRecord]) -> int:
    return max(count_trials(study), len(records))


def _all_steps(study: Study, records: Sequence[TrialRecord]) -> int:
    """What is done took what it took; the longest that began stands for every other."""
    done = [each.step for each in records if each.is_done]
    longest = max((each.total_steps for each in records), default=0)
    return sum(done) + longest * (_all_trials(study, records) - len(done))
