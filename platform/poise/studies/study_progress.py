"""Progress of a study.

In: a study and its records. Out: a ``Standing``. Next: the answer, the caveats and the report. It
prevents them from treating a missing trial as a result.
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
    """Trials of a study, counted by their state."""

    planned: int
    """Number of all trials of the study, begun or not."""

    planned_settings: int
    ended: int
    failed: int
    running: int
    interrupted: int
    is_running: bool
    """Whether a process is working on the study, perhaps between two trials."""

    go_on: str
    """Command that runs the remaining trials, when no process is running."""

    @property
    def not_begun(self) -> int:
        """Number of trials without a record."""
        return self.planned - self.ended - self.failed - self.running - self.interrupted

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended or failed."""
        return not (self.running or self.interrupted or self.not_begun)

    @property
    def sentence(self) -> str:
        """Sentence about what is left, with the command to continue.

        It is empty if nothing is left or running.
        """
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
    """Returns stored records with the state that a user should see.

    Args:
        records: records of a study's trials.
        is_running: whether a process is working on the study. If not, a trial that is stored as
            running was interrupted.
    """
    return [
        replace(record, state="interrupted")
        if record.state == "running" and not is_running
        else record
        for record in records
    ]


def standing(study: Study, records: Sequence[TrialRecord], is_running: bool = False) -> Standing:
    """Counts the trials of a study by their state.

    Args:
        study: study to count.
        records: records of its trials, from ``as_they_stand``.
        is_running: whether a process is working on the study.
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
    """Writes which trials had ended when the study was concluded."""
    write_json(study.folder / CONCLUSION_FILE, {"trials": _names_of_done(records)})


def is_finished(study: Study) -> bool:
    """Returns True if every trial has ended and all of them were compared."""
    done, path = _names_of_done(study.records()), study.folder / CONCLUSION_FILE
    if len(done) < count_trials(study) or not path.exists():
        return False
    return set(done) <= set(read_json(path)["trials"])


def _names_of_done(records: Iterable[TrialRecord]) -> list[str]:
    return [record.trial.name for record in records if record.is_done]


def resume_words(study: Study, records: Sequence[TrialRecord], lacks: str = "") -> str:
    """Makes the words that resume a study, such as ``ablate --resume NAME budget.trials=8``.

    If a limit would prevent further trials, it is raised. Trials and steps are raised to the needs
    of the whole study. Hours are removed: the remaining time is a guess, and with a low guess
    nothing would run.

    Args:
        study: study to resume.
        records: records of its trials.
        lacks: limit that is known to prevent further trials, such as ``budget.hours=6``.
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
    """Computes the steps that the whole study takes.

    They are the steps of ended trials, plus the steps of the longest trial for each other trial.
    """
    done = [each.step for each in records if each.is_done]
    longest = max((each.total_steps for each in records), default=0)
    return sum(done) + longest * (_all_trials(study, records) - len(done))
