"""Makes the section about single trials: a table of all trials, and the curves of chosen trials.

In: trials. Out: a table, and curves as compact JSON. The page's script draws the curves of the
trial that a reader chooses. Next: the page.
"""

from itertools import groupby
from typing import Any

from poise.reports.page.figure_layout import frame, rounded
from poise.reports.page.outcome_styles import marked, stroke
from poise.reports.page.page_elements import Cell, Section, Table, embedded, table
from poise.reports.study.figures import REFERENCE_LINE
from poise.reports.study.sections.training import REFERENCES
from poise.reports.study.sentences import label
from poise.studies.findings.findings import Findings, TrialFinding
from poise.studies.number_format import NOTHING, shown
from poise.studies.records import TrialRecord

PANEL_HEIGHT = 240
MOST_PRINTED = 100
"""Largest number of trials for which the table is printed. It takes about seven pages."""


def trials(findings: Findings) -> Section | None:
    """Makes the section with the table of trials, or returns None if no trial has begun."""
    if not findings.trials:
        return None
    drawable = [trial for trial in findings.trials if trial.curves]
    metrics = list(dict.fromkeys(curve.metric for trial in drawable for curve in trial.curves))
    return Section(
        "trials",
        "Every trial",
        table=_table(findings),
        template="trials.html",
        content={
            "groups": _groups(drawable, findings),
            "first": findings.best or next((t.record.trial.name for t in drawable), ""),
            "curves": {t.record.trial.name: embedded(_curves(t, metrics)) for t in drawable},
            "most_printed": MOST_PRINTED,
            "panels": embedded([_panel(metric, findings) for metric in metrics]),
        },
    )


def _groups(drawable: list[TrialFinding], findings: Findings) -> list[dict[str, Any]]:
    """Groups the trials by setting, for the list from which a reader chooses a trial."""
    found = findings.comparison
    return [
        {
            "label": label,
            "trials": [
                (
                    trial.record.trial.name,
                    f"{trial.record.trial.name} {marked(trial.record.outcome)}"
                    + _figure_of(trial, found.metric, found.decimals),
                )
                for trial in members
            ],
        }
        for label, members in groupby(drawable, key=lambda trial: trial.values)
    ]


def _figure_of(trial: TrialFinding, metric: str, decimals: int) -> str:
    value = trial.metrics.get(metric)
    return "" if value is None else f" {shown(value, decimals)}"


def _curves(trial: TrialFinding, metrics: list[str]) -> dict[str, Any]:
    """Returns the curves of a trial. Steps that several metrics share are stored only once."""
    steps = list(dict.fromkeys(curve.steps for curve in trial.curves))
    return {
        "label": f"{trial.record.trial.name} {marked(trial.record.outcome)}",
        "onset": trial.onset_step,
        "steps": steps,
        "curves": [
            [metrics.index(curve.metric), steps.index(curve.steps), [*map(rounded, curve.values)]]
            for curve in trial.curves
        ],
    }


def _panel(metric: str, findings: Findings) -> dict[str, Any]:
    """Makes a panel without curves, and two line styles.

    One style is for the chosen trial, the other style is for a second trial to compare.
    """
    figure = frame(PANEL_HEIGHT)
    figure.update_layout(margin={"t": 10, "b": 34})
    figure.update_yaxes(rangemode="tozero")
    for value, _ in REFERENCES.get(metric, ()):
        figure.add_hline(y=value, line=REFERENCE_LINE)
    return {
        "title": label(findings, metric),
        "layout": figure.to_plotly_json()["layout"],
        "looks": [
            {"line": {"color": s.color, "dash": s.dash}, "marker": {"symbol": s.symbol}}
            for s in (stroke(0), stroke(1))
        ],
    }


def _table(findings: Findings) -> Table:
    found = findings.comparison
    title = label(findings, found.metric)
    return table(
        "The table shows how every trial ended. The row below each trial has the evidence for its "
        "verdict.",
        ["trial", "setting", "seed", "verdict", "failed since step", title, "steps"],
        [_row(trial, found.metric, found.decimals) for trial in findings.trials],
        numbers=[2, 4, 5, 6],
        below=[_evidence(trial.record) for trial in findings.trials],
    )


def _row(trial: TrialFinding, metric: str, decimals: int) -> list[str | Cell]:
    record = trial.record
    stopped = f"stopped by {record.stopped_by}" if record.stopped_by else ""
    return [
        record.trial.name,
        trial.label,
        str(record.trial.seed),
        Cell(marked(record.outcome), stopped),
        NOTHING if trial.onset_step is None else shown(trial.onset_step, 0),
        shown(trial.metrics.get(metric), decimals),
        shown(record.step, 0),
    ]


def _evidence(record: TrialRecord) -> str:
    return record.reason if record.verdict is None else record.verdict.evidence
