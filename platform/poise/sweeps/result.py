"""Result of a study that ended by itself, and commands that the user may run next.

In: a study, its records and its report. Out: a ``StudyResult``. Next: the command line, which
prints it and computes nothing again.
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
    """Result of a study that ended by itself."""

    study: Study
    records: tuple[TrialRecord, ...]
    best: TrialRecord | None
    """Healthy trial with the best first metric that trained to its end; None if there is none."""

    registered: str | None
    """``models:/name/version`` of the best trial's backbone."""

    report: Report
    store_uri: str
    link: Link
    lacks: str = ""
    """Limit of the budget that prevented another trial: ``budget.trials=4``."""

    chosen: frozenset[str] | None = None
    """Names of the trials that ``--only`` chose; None if all trials should run."""

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials that should run and failed."""
        return [
            record
            for record in self.records
            if record.state == "failed"
            and (self.chosen is None or record.trial.name in self.chosen)
        ]

    @property
    def num_waiting(self) -> int:
        """Number of trials of the study that have not begun, or were interrupted."""
        ended = sum(record.is_done or record.state == "failed" for record in self.records)
        return count_trials(self.study) - ended

    @property
    def next_commands(self) -> list[str]:
        """Commands that the user may want to run now."""
        commands = [self.link.command] if self.link.command else []
        if self.registered is not None:
            name = self.registered.removeprefix("models:/")
            queries = self.study.recipe.evaluation.queries or self.study.recipe.data.dataset
            commands.append(f"{_program()} models show {name}")
            commands.append(f"{_program()} evaluate knn {self.registered} {_short(queries)}")
        if self.num_waiting or any(record.state == "failed" for record in self.records):
            commands.append(self.resume_command)
        return commands

    @property
    def resume_command(self) -> str:
        """Command that tries failed trials again and runs the remaining trials."""
        return f"{_program()} {resume_words(self.study, self.records, self.lacks)}"

    def check_failures(self) -> None:
        """Raises TrialsFailedError if a trial failed, so that the process ends with status 3."""
        failed = [record.trial.name for record in self.failed]
        if failed:
            num_trials = count_trials(self.study) if self.chosen is None else len(self.chosen)
            raise TrialsFailedError(
                f"{len(failed)} of {num_trials} trials failed ({first_few(failed)}); try again "
                f"with `{self.resume_command}`"
            )


class TrialsFailedError(PoiseError):
    """Error for a study that ended with some failed trials.

    Its exit status differs from that of wrong input. So a script or a cluster can distinguish a
    study that can be resumed from a study that never began.
    """

    exit_status = 3


def _program() -> str:
    """Returns the word that starts Poise here. If its environment is not active, it is a path."""
    return "poise" if shutil.which("poise") else _short(str(Path(sys.executable).parent / "poise"))


def _short(path: str) -> str:
    """Returns a path as a user would type it here."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
