"""Counts how many trials of a study have ended, run, or have not begun.

In: a study and its records. Out: a ``Standing``. Next: the answer, the notes and the report. None
of them may mistake a missing trial for a result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from poise.config.files import DamagedFileError, read_fields, write_json
from poise.config.wording import listed
from poise.studies.records import TrialRecord
from poise.studies.study import Study, count_trials
from poise.studies.time_budget import has_time_left


@dataclass(frozen=True)
class Standing:
    """Numbers of a study's trials: planned, ended, failed, running and interrupted."""

    planned: int
    """Number of all trials of the study, including trials that have not begun."""

    planned_settings: int
    ended: int
    failed: int
    running: int
    interrupted: int
    is_running: bool
    """Whether a process is running the study now. It may be between two trials."""

    go_on: str
    """Command that continues the study."""

    @property
    def not_begun(self) -> int:
        """Number of trials without a record."""
        return self.planned - self.ended - self.failed - self.running - self.interrupted

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended, with or without an error."""
        return not (self.running or self.interrupted or self.not_begun)

    @property
    def sentence(self) -> str:
        """Sentence about the trials that have not ended, with the command to continue.

        It is empty if every trial has ended without an error and no process is running.
        """
        left = [
            words
            for count, words in (
                (self.failed, f"{self.failed} ended with an error"),
                (self.running, f"{_counted(self.running, 'is', 'are')} running"),
                (self.interrupted, f"{_counted(self.interrupted, 'was', 'were')} interrupted"),
                (self.not_begun, f"{_counted(self.not_begun, 'has', 'have')} not begun"),
            )
            if count
        ]
        if not left and not self.is_running:
            return ""
        are = "is" if self.ended == 1 else "are"
        rest = f" Of the other trials, {listed(left)}." if left else ""
        counts = f"{self.ended} of {self.planned} trials {are} complete.{rest}"
        if self.is_running:
            return f"The study is running. {counts}"
        return f"{counts} To continue, run `{self.go_on}`."


def as_they_stand(records: Iterable[TrialRecord], is_running: bool) -> list[TrialRecord]:
    """Replaces the state ``running`` by ``interrupted`` if no process runs the study.

    Args:
        records: stored records of a study's trials.
        is_running: whether a process is running the study.
    """
    return [
        replace(record, state="interrupted")
        if record.state == "running" and not is_running
        else record
        for record in records
    ]


def standing(study: Study, records: Sequence[TrialRecord], is_running: bool = False) -> Standing:
    """Counts the trials of a study in each state.

    Args:
        study: study to count.
        records: records of its trials, from ``as_they_stand``.
        is_running: whether a process is running the study.
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
    """Writes the names of the trials that had ended when the study was concluded."""
    write_json(study.folder / CONCLUSION_FILE, {"trials": _names_of_done(records)})


def is_finished(study: Study) -> bool:
    """Returns True if every trial has ended and the conclusion includes all trials."""
    done, path = _names_of_done(study.records()), study.folder / CONCLUSION_FILE
    if len(done) < count_trials(study) or not path.exists():
        return False
    try:
        concluded = read_fields(path, "", trials=list)["trials"]
    except DamagedFileError:
        return False  # the study is concluded again, and the file is written again
    return all(name in concluded for name in done)


def _names_of_done(records: Iterable[TrialRecord]) -> list[str]:
    return [record.trial.name for record in records if record.is_done]


def resume_words(study: Study, records: Sequence[TrialRecord], lacks: str = "") -> str:
    """Makes the command that resumes a study: ``ablate --resume NAME budget.trials=8``.

    If a budget prevents further trials, the command raises it. Limits of trials and steps are
    raised so that the whole study can run. A limit of hours is removed. The remaining time is only
    a guess, and no trial would run if the guess was too low.

    Args:
        study: study to resume.
        records: records of its trials.
        lacks: limit that prevents further trials, such as ``budget.hours=6``. It is empty if
            unknown.
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
    """Computes the number of steps of the whole study.

    A trial that has ended counts with its steps. Any other trial counts with the steps of the
    longest trial.
    """
    done = [each.step for each in records if each.is_done]
    longest = max((each.total_steps for each in records), default=0)
    return sum(done) + longest * (_all_trials(study, records) - len(done))
