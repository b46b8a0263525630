"""The report's files, made of what is stored alone: any process can make them, at any time.

In: a study and its run in MLflow. Out: ``report.html`` and its twins in the study's folder and in
its run. Next: a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poise.config import PoiseError
from poise.diagnostics.history import History
from poise.reports.study.csv_table import render_csv
from poise.reports.study.markdown import render_markdown
from poise.reports.study.page import render_page
from poise.studies.analysis.curves import LABELS
from poise.studies.findings.findings import Findings, find
from poise.studies.outcomes import best_of
from poise.studies.records import TrialRecord
from poise.studies.standing import as_they_stand
from poise.studies.study import Study, stored_study
from poise.tracking.address import redacted
from poise.tracking.history import (
    find_study_run,
    is_carried_out,
    read_histories,
    read_json_file,
    read_tags,
)
from poise.tracking.run import Run, log_files
from poise.tracking.store import open_store

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Report:
    """What a study found, and the page that tells it."""

    findings: Findings
    files: tuple[Path, ...]
    """The page and its twins."""

    @property
    def page(self) -> Path:
        """The one to read."""
        return self.files[0]


def write_report(study: Study, run: Run) -> Report:
    """Looks at everything that a study has stored, writes the files and logs them to its run.

    Args:
        study: finished, running or interrupted.
        run: its own, in MLflow.
    """
    findings = find_stored(study, run)
    content = {
        REPORT_FILE: render_page(findings),
        "report.md": render_markdown(findings),
        "report.csv": render_csv(findings),
    }
    files = tuple(study.folder / name for name in content)
    for path, text in zip(files, content.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    log_files(run, files)
    return Report(findings, files)


def find_stored(study: Study, run: Run) -> Findings:
    """What a study found, of its records and its run."""
    is_running, tags = is_carried_out(run), read_tags(run)
    records = as_they_stand(study.records(), is_running)
    registered = tags.get("poise.registered", "")
    return find(
        study,
        records,
        _histories(run, records),
        best=_best(study, records, tags),
        registered=registered if registered.startswith("models:/") else None,
        tags=tags,
        environment=read_json_file(run, "environment.json"),
        is_running=is_running,
    )


def _best(
    study: Study, records: Sequence[TrialRecord], tags: Mapping[str, str]
) -> TrialRecord | None:
    """The trial that was registered, though another may be better since; else the best."""
    if tags.get("poise.registered", "").startswith("models:/"):
        return next((r for r in records if r.trial.name == tags.get("poise.best_trial")), None)
    return best_of(records, *study.space.goal)


def _histories(run: Run, records: Sequence[TrialRecord]) -> dict[str, History]:
    run_ids = {record.trial.name: record.run_id for record in records if record.run_id is not None}
    found = read_histories(run.store, list(run_ids.values()), LABELS)
    return {trial: found[run_id] for trial, run_id in run_ids.items()}


def report_study(name: str) -> Report:
    """Writes the report of a study as it stands, finished or not.

    Raises:
        PoiseError: there is no such study, or it has not begun.
    """
    study = stored_study(name, "report")
    store = open_store()
    run = find_study_run(store, study.name, study.folder)
    if run is None:
        raise PoiseError(
            f"report {name}: MLflow at {redacted(store.uri)} has no run of it; begin it with "
            f"`poise {study.command} --resume {name}`, or name the store that has it"
        )
    return write_report(study, run)
