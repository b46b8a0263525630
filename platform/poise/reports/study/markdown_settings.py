"""Writes the sections about settings as Markdown.

In: findings. Out: lines of Markdown. Next: ``poise.reports.study.markdown``.
"""

from collections.abc import Iterator

from poise.reports.page.markup import beside, inline, table
from poise.reports.study.course_sentences import COURSE_CELLS, dashes
from poise.reports.study.sentences import (
    NAMES_ARE,
    OUTLIERS_ARE,
    advised,
    as_in_baseline,
    how_sure,
    label,
    pooled,
)
from poise.reports.study.setting_columns import setting_columns
from poise.studies.analysis.curves import BandCurve
from poise.studies.analysis.dose_response import DoseResponse
from poise.studies.analysis.intervals import Estimate
from poise.studies.analysis.phase_diagram import PhaseCell, PhaseDiagram
from poise.studies.findings.findings import Findings, SettingCurves
from poise.studies.number_format import NOTHING, certainty, chance, out_of, shown


def comparison(findings: Findings) -> Iterator[str]:
    """Yields the table of settings, with notes and advice."""
    columns = setting_columns(findings, _counts)
    yield from ("## Settings compared", "")
    yield from table(
        [column.header for column in columns],
        (
            [beside(cell.text, cell.note) for cell in row]
            for row in zip(*(column.cells for column in columns), strict=True)
        ),
    )
    if explained := how_sure(findings.comparison, "in brackets"):
        yield from (inline(explained), "")
    for note in findings.notes:
        yield f"- {inline(note)}"
    yield ""
    if findings.advice:
        yield from ("**Advice.**", "", *(f"- {inline(advised(a))}" for a in findings.advice), "")


def phase(findings: Findings) -> Iterator[str]:
    """Yields the table of outcomes for two hyperparameters (phase diagram)."""
    diagram = findings.phase
    if diagram is None:
        return
    yield from ("## Where training collapses", "")
    rows = diagram.y.labels if diagram.y else ("",)
    cells = {(cell.x, cell.y): cell for cell in diagram.cells}
    corner = f"{diagram.y.name} ↓ " if diagram.y else ""
    yield from table(
        [f"{corner}{diagram.x.name} →", *diagram.x.labels],
        (
            [
                row,
                *(
                    _cell(cells.get((x, y)), findings.comparison.decimals)
                    for x in range(len(diagram.x.labels))
                ),
            ]
            for y, row in enumerate(rows)
        ),
    )
    yield from (_phase_note(findings, diagram), "")


def _phase_note(findings: Findings, diagram: PhaseDiagram) -> str:
    found = findings.comparison
    text = (
        "Each cell shows the most frequent verdict and the number of trials that "
        f"{found.condemned_as}. The last number is the mean of {label(findings, found.metric)}."
    )
    if diagram.chosen_because:
        text += f" {diagram.chosen_because}"
    return inline(text + pooled(diagram.pooled, "Each cell"))


def _cell(cell: PhaseCell | None, decimals: int) -> str:
    if cell is None:
        return ""
    n = "" if cell.metric.n in (0, len(cell.trials)) else f"n = {cell.metric.n}"
    figure = beside(shown(cell.metric.value, decimals), n)
    return f"{cell.outcome}, {out_of(cell.condemned)}, {figure}"


def training(findings: Findings) -> Iterator[str]:
    """Yields the metrics of each setting at four points of training."""
    drawn = [setting for setting in findings.settings if setting.curves]
    metrics = list(dict.fromkeys(curve.metric for each in drawn for curve in each.curves))
    if not metrics:
        return
    labels = [label(findings, metric) for metric in metrics]
    names = "" if findings.comparison.fits else f" {NAMES_ARE}"
    dash = dashes(drawn, metrics, findings.comparison.standing.is_over)
    yield from ("## Training over time", "", f"{COURSE_CELLS}{dash}{names}", "")
    yield from table(
        ["setting", "seeds", *labels],
        (
            [
                each.label,
                str(max(curve.n for curve in each.curves)),
                *(_course(each, metric) for metric in metrics),
            ]
            for each in drawn
        ),
    )


def _course(setting: SettingCurves, metric: str) -> str:
    curve = next((curve for curve in setting.curves if curve.metric == metric), None)
    return NOTHING if curve is None else _points(curve)


def _points(curve: BandCurve) -> str:
    return " → ".join(NOTHING if at is None else shown(at.mean) for at in curve.course)


def doses(findings: Findings) -> Iterator[str]:
    """Yields a table with the outcome at each value of each hyperparameter."""
    if findings.doses:
        yield from ("## Effect of each hyperparameter", "")
        yield from ("The range in brackets is the 95 % interval.", "")
    for response in findings.doses:
        yield from _dose_table(findings, response)


def outliers(findings: Findings) -> Iterator[str]:
    """Yields the table that shows when patches become outliers, and in how many trials."""
    found = findings.outliers
    if found is None:
        return
    labels = {each.setting: each.label for each in findings.settings}
    yield from ("## Outlier patches", "", OUTLIERS_ARE, "")
    yield from table(
        [
            "setting",
            "trials with outliers",
            "median of the first step",
            "share of outlier patches at the end",
        ],
        (
            [
                labels[each.setting],
                beside(out_of(each.appeared), chance(each.appeared)),
                shown(each.onset_step, 0),
                _sure(each.latest, each.latest.n, 4),
            ]
            for each in found.settings
        ),
    )


def _dose_table(findings: Findings, response: DoseResponse) -> Iterator[str]:
    found = findings.comparison
    if note := pooled(response.pooled, "Each row") + as_in_baseline(response, "table"):
        yield from (inline(note.strip()), "")
    yield from table(
        [response.name, label(findings, found.metric), found.condemned_as],
        (
            [
                dose.label,
                _sure(dose.metric, len(dose.trials), found.decimals),
                beside(out_of(dose.condemned), chance(dose.condemned)),
            ]
            for dose in response.doses
        ),
    )


def _sure(found: Estimate, of: int, decimals: int) -> str:
    return beside(shown(found.value, decimals), certainty(found, of, decimals))


def _counts(verdicts: dict[str, int]) -> str:
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return ", ".join(f"{count} × {outcome}" for outcome, count in verdicts.items())
