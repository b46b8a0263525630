"""Writes the files of a study's report. Any process can write them again from stored data.

In: a study and its run in MLflow. Out: ``report.html``, ``report.md`` and ``report.csv``, in the
study's folder and among the artifacts of its run. Next: the reader.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poise.config import PoiseError
from poise.config.redaction import redacted
from poise.diagnostics.history import History
from poise.reports.study.csv_table import render_csv
from poise.reports.study.markdown import render_markdown
from poise.reports.study.page import render_page
from poise.studies.analysis.curves import LABELS
from poise.studies.findings.findings import Findings, RunFacts, Winner, find
from poise.studies.outcomes import best_of
from poise.studies.records import TrialRecord
from poise.studies.study import Study, stored_study
from poise.studies.study_progress import as_they_stand
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
    """Findings of a study, and the files that contain them."""

    findings: Findings
    files: tuple[Path, ...]
    """Paths of the files: first the HTML page, then the Markdown file and the CSV file."""

    @property
    def page(self) -> Path:
        """Path of the HTML page."""
        return self.files[0]


def write_report(study: Study, run: Run, winner: Winner | None) -> Report:
    """Reads all stored data of a study, writes the files and logs them to its run.

    Args:
        study: study, which may be finished, running or interrupted.
        run: run of the study in MLflow.
        winner: best healthy trial, or None if no trial is healthy.
    """
    tags, is_running = read_tags(run), is_carried_out(run)
    records = as_they_stand(study.records(), is_running)
    facts = RunFacts(tags, read_json_file(run, "environment.json"), is_running)
    findings = find(study, records, _histories(run, records), winner, facts)
    return Report(findings, _write(study, run, findings))


def report_study(name: str) -> Report:
    """Writes the report of a stored study in its current state. The study may still be running.

    Raises:
        PoiseError: no study has this name, or the study has no run in MLflow.
    """
    study = stored_study(name, "report")
    store = open_store()
    run = find_study_run(store, study.name, study.folder)
    if run is None:
        raise PoiseError(
            f"report {name}: MLflow at {redacted(store.uri)} has no run of this study; begin it "
            f"with `poise {study.command} --resume {name}`, or set MLFLOW_TRACKING_URI to the "
            "store that has it"
        )
    return write_report(study, run, _stored_winner(study, read_tags(run)))


def _write(study: Study, run: Run, findings: Findings) -> tuple[Path, ...]:
    content = {
        REPORT_FILE: render_page(findings),
        "report.md": render_markdown(findings),
        "report.csv": render_csv(findings),
    }
    files = tuple(study.folder / name for name in content)
    for path, text in zip(files, content.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    log_files(run, files)
    return files


def _stored_winner(study: Study, tags: Mapping[str, str]) -> Winner | None:
    """Returns the trial that was registered. If none was registered, returns the best trial."""
    registered = tags.get("poise.registered", "")
    if registered.startswith("models:/"):
        return Winner(tags["poise.best_trial"], registered)
    best = best_of(study.records(), *study.space.goal)
    return Winner(best.trial.name) if best else None


def _histories(run: Run, records: Sequence[TrialRecord]) -> dict[str, History]:
    run_ids = {record.trial.name: record.run_id for record in records if record.run_id is not None}
    found = read_histories(run.store, list(run_ids.values()), LABELS)
    return {trial: found[run_id] for trial, run_id in run_ids.items()}
