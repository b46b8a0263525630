"""A study's trials side by side.

In: the records of all trials. Out: ``report.md``, ``curves.png``, ``trials.csv`` and
``trials.json`` in the study's folder and in its MLflow run. Next: a person.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from poise.evaluation.pictures import draw_curves
from poise.sweeps.records import Study, TrialRecord, write_json
from poise.sweeps.referee import ending
from poise.sweeps.report.rows import Row, seeds_of_settings, table
from poise.tracking.runs import Run, log_files
from poise.training.checkpoint import History

REPORT_FILE = "report.md"


def write_report(
    study: Study,
    run: Run,
    records: Sequence[TrialRecord],
    histories: Mapping[str, History],
    best: TrialRecord | None,
    registered: str | None,
) -> Path:
    """Writes the files, logs them to the study's run and returns the report's path."""
    headers, rows = table(study, records)
    with (study.folder / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([headers, *rows])
    write_json(study.folder / "trials.json", [asdict(record) for record in records])
    picture = _draw(study, records, histories)
    lines = _opening(study, records, best, registered)
    lines += _as_markdown(headers, rows)
    lines += ["", "## Verdicts", ""]
    lines += [f"- **{record.trial.name}**: {ending(record)}" for record in records]
    advice = {r.verdict.advice for r in records if r.verdict is not None and r.verdict.advice}
    lines += ["", *[f"Advice: {each}." for each in sorted(advice)]]
    if picture is not None:
        lines += ["", "## Curves", "", f"![curves of all trials]({picture.name})"]
        lines += ["", "A dotted line marks the step at which a collapse began."]
    report = study.folder / REPORT_FILE
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = [report, study.folder / "trials.csv", study.folder / "trials.json"]
    log_files(run, [*files, *([picture] if picture else [])])
    return report


def _opening(
    study: Study, records: Sequence[TrialRecord], best: TrialRecord | None, registered: str | None
) -> list[str]:
    metric, mode = study.space.goal
    goal = "largest" if mode == "max" else "smallest"
    outcome = (
        f"**Best healthy trial: {best.trial.name}**, {metric} {best.metrics[metric]:.4g} (the "
        f"{goal} wins), registered as `{registered}`."
        if best is not None
        else "**No trial is healthy to its end; nothing was registered.**"
    )
    changed = " ".join(study.overrides)
    lines = [
        f"# Study {study.name}",
        "",
        outcome,
        "",
        f"Space `{study.source}`{f' with `{changed}`' if changed else ''}, recipe "
        f"`{study.recipe.name}`, dataset `{study.recipe.data.dataset}`.",
    ]
    for name, mean, spread, count in seeds_of_settings(records, metric):
        lines += ["", f"The setting of {name}: {metric} {mean:.4g} ± {spread:.2g} ({count} seeds)."]
    return [*lines, "", "## Trials", ""]


def _draw(
    study: Study, records: Sequence[TrialRecord], histories: Mapping[str, History]
) -> Path | None:
    """The curves of all trials; none where not one has logged anything."""
    labels = {record.trial.name: f"{record.trial.name} {record.outcome}" for record in records}
    runs = {labels[name]: history for name, history in histories.items() if history}
    onsets = {
        labels[record.trial.name]: record.verdict.onset_step
        for record in records
        if record.verdict is not None
    }
    path = study.folder / "curves.png"
    try:
        draw_curves(path, runs, onsets)
    except ValueError:
        return None
    return path


def _as_markdown(headers: Sequence[str], rows: Sequence[Row]) -> list[str]:
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (list(headers), ["---"] * len(headers), *cells)]
