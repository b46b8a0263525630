"""Result of a study that was not interrupted, and commands that the user may run next.

In: a study, its records and its report. Out: a ``StudyResult``. Next: the command line, which
prints the result.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from poise.config import PoiseError
from poise.config.errors import first_few
from poise.reports import Report
from poise.studies.records import TrialRecord
from poise.studies.study import Study, count_trials
from poise.studies.study_progress import resume_words
from poise.tracking.links import Link


@dataclass(frozen=True)
class StudyResult:
    """Result of a study that was not interrupted."""

    study: Study
    records: tuple[TrialRecord, ...]
    best: TrialRecord | None
    """Best of the healthy trials that trained to their end, by the study's first metric; None if
    there is no such trial.
    """

    registered: str | None
    """``models:/name/version`` of the best trial's backbone."""

    report: Report
    store_uri: str
    link: Link
    lacks: str = ""
    """Limit of the budget that prevented another trial, such as ``budget.trials=4``; else empty."""

    chosen: frozenset[str] | None = None
    """Names of the trials that the option ``--only`` selected; None without this option."""

    @property
    def failed(self) -> list[TrialRecord]:
        """Failed trials, among those that were selected to run."""
        return [
            record
            for record in self.records
            if record.state == "failed"
            and (self.chosen is None or record.trial.name in self.chosen)
        ]

    @property
    def num_waiting(self) -> int:
        """Number of trials that have not begun, or were interrupted."""
        ended = sum(record.is_done or record.state == "failed" for record in self.records)
        return count_trials(self.study) - ended

    @property
    def next_commands(self) -> list[tuple[str, str]]:
        """Suggestions for the user: pairs of a purpose and a command."""
        commands = []
        if self.link.command:
            commands.append(("start MLflow, then open the link to the charts", self.link.command))
        if self.registered is not None:
            name = self.registered.removeprefix("models:/")
            queries = self.study.recipe.evaluation.queries or self.study.recipe.data.dataset
            show = f"{_program()} models show {name}"
            measure = f"{_program()} evaluate knn {self.registered} {_short(queries)}"
            commands.append(("see where the backbone comes from", show))
            commands.append(("measure its k-NN accuracy again", measure))
        if self.num_waiting or any(record.state == "failed" for record in self.records):
            commands.append(("run the trials that are left", self.resume_command))
        return commands

    @property
    def resume_command(self) -> str:
        """Command that repeats the failed trials and runs the remaining trials."""
        return f"{_program()} {resume_words(self.study, self.records, self.lacks)}"

    @property
    def failure(self) -> "TrialsFailedError | None":
        """Error that names the failed trials; None if no trial failed."""
        failed = [record.trial.name for record in self.failed]
        if not failed:
            return None
        num_trials = count_trials(self.study) if self.chosen is None else len(self.chosen)
        return TrialsFailedError(
            f"{len(failed)} of {num_trials} trials ended with an error ({first_few(failed)}); "
            f"try again with `{self.resume_command}`"
        )

    def check_failures(self) -> None:
        """Raises TrialsFailedError if a trial failed, so that the process ends with status 3."""
        if (failure := self.failure) is not None:
            raise failure


class TrialsFailedError(PoiseError):
    """Error for a study that ended with some failed trials.

    The exit status is 3, which differs from the exit status after wrong input. So a script can
    distinguish a study that can be resumed from a study that never began.
    """

    exit_status = 3


def _program() -> str:
    """Returns the command that starts Poise: ``poise``, or its path if PATH does not contain it."""
    return "poise" if shutil.which("poise") else _short(str(Path(sys.executable).parent / "poise"))


def _short(path: str) -> str:
    """Returns a path relative to the current folder if it is inside, else the path itself."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
