"""What settings did, as Markdown.

In: findings. Out: the sections on settings. Next: ``poise.reports.study.markdown``.
"""

from collections.abc import Iterator, Sequence

from poise.reports.page.markup import beside, inline, table
from poise.reports.study.sentences import COURSE, HOW_SURE, advised, label
from poise.studies.analysis.curves import BandCurve
from poise.studies.analysis.dose_response import DoseResponse
from poise.studies.analysis.phase_diagram import PhaseCell, PhaseDiagram
from poise.studies.estimates import Difference, Estimate
from poise.studies.findings.findings import Findings, SettingCurves
from poise.studies.findings.table import SettingRow
from poise.studies.number_format import (
    NOTHING,
    certainty,
    chance,
    counted,
    p_value,
    shown,
    signed,
)


def comparison(findings: Findings) -> Iterator[str]:
    """Every setting beside the baseline."""
    found = findings.comparison
    others = list(dict.fromkeys(name for row in found.rows for name in row.others))
    yield from ("## Settings compared", "")
    yield from table(
        [
            *("setting", label(findings, found.metric), "difference to the baseline", "p (Holm)"),
            found.condemned_as,
            *(label(findings, name) for name in others),
            *("verdicts", "onset"),
        ],
        (_setting(findings, row, others) for row in found.rows),
    )
    yield from (HOW_SURE, "")
    for note in findings.notes:
        yield f"- {inline(note)}"
    yield ""
    if findings.advice:
        yield from ("**Advice.**", "", *(f"- {inline(advised(a))}" for a in findings.advice), "")


def _setting(findings: Findings, row: SettingRow, others: Sequence[str]) -> list[str]:
    found, of = findings.comparison, len(row.trials)
    return [
        beside(row.label, row.mark),
        _sure(row.mean, of, found.decimals),
        NOTHING if row.difference is None else _sure(row.difference, of, found.decimals),
        NOTHING if row.difference is None else p_value(row.difference.p_holm),
        beside(counted(row.condemned), chance(row.condemned)),
        *(_sure(row.others[name], of, found.decimals_of(name)) for name in others),
        _counts(row.verdicts),
        shown(row.onset_step, 0),
    ]


def phase(findings: Findings) -> Iterator[str]:
    """Outcomes over two settings."""
    diagram = findings.phase
    if diagram is None:
        return
    yield from ("## Phase diagram", "")
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
        f"In a cell: the most frequent verdict, how many of the decided trials "
        f"{found.failed}, and the mean of {label(findings, found.metric)}."
    )
    if diagram.chosen_because:
        text += f" Shown: {diagram.chosen_because}."
    return inline(text + _pooled(diagram.pooled))


def _cell(cell: PhaseCell | None, decimals: int) -> str:
    if cell is None:
        return ""
    n = "" if cell.metric.n in (0, len(cell.trials)) else f"n = {cell.metric.n}"
    figure = beside(shown(cell.metric.value, decimals), n)
    return f"{cell.outcome}, {counted(cell.condemned)}, {figure}"


def training(findings: Findings) -> Iterator[str]:
    """Curves over time, at four points."""
    drawn = [setting for setting in findings.settings if setting.curves]
    metrics = list(dict.fromkeys(curve.metric for each in drawn for curve in each.curves))
    if not metrics:
        return
    yield from ("## Over time", "", COURSE, "")
    yield from table(
        ["setting", "seeds", *(label(findings, metric) for metric in metrics)],
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
    """The outcome over each setting."""
    if findings.doses:
        yield from ("## Dose–response", "")
    for response in findings.doses:
        yield from _dose_table(findings, response)


def _dose_table(findings: Findings, response: DoseResponse) -> Iterator[str]:
    found = findings.comparison
    yield from table(
        [response.name, label(findings, found.metric), found.condemned_as],
        (
            [
                dose.label,
                _sure(dose.metric, len(dose.trials), found.decimals),
                beside(counted(dose.condemned), chance(dose.condemned)),
            ]
            for dose in response.doses
        ),
    )
    if note := _pooled(response.pooled) + _held(response.held):
        yield from (inline(note.strip()), "")


def _sure(found: Estimate | Difference, of: int, decimals: int) -> str:
    show = signed if isinstance(found, Difference) else shown
    return beside(show(found.value, decimals), certainty(found, of, decimals))


def _counts(verdicts: dict[str, int]) -> str:
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return ", ".join(f"{count} × {outcome}" for outcome, count in verdicts.items())


def _pooled(names: Sequence[str]) -> str:
    return f" Pooled over {', '.join(names)}." if names else ""


def _held(names: Sequence[str]) -> str:
    return f" As in the baseline: {', '.join(names)}." if names else ""
