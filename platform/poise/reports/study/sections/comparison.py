"""Every setting beside the baseline.

In: the comparison. Out: its table. Next: the page.
"""

from poise.reports.page.looks import marked
from poise.reports.page.pieces import Cell, Section, Table, table
from poise.reports.study.sentences import HOW_SURE, label
from poise.studies.estimates import Difference, Estimate
from poise.studies.findings.findings import Findings
from poise.studies.findings.table import Comparison, SettingRow
from poise.studies.number_format import NOTHING, certainty, chance, counted, p_value, shown, signed


def comparison(findings: Findings) -> Section:
    """The section."""
    return Section(
        "settings",
        "Settings compared",
        table=_table(findings),
        notes=findings.notes,
    )


def _table(findings: Findings) -> Table:
    found = findings.comparison
    others = tuple(dict.fromkeys(name for row in found.rows for name in row.others))
    headers = ["setting", label(findings, found.metric), "difference", "p", found.condemned_as]
    headers += [label(findings, name) for name in others]
    numbers = (1, 2, 3, *range(5, len(headers)))
    rows = [_row(found, row, others) for row in found.rows]
    baselines = [index for index, row in enumerate(found.rows) if row.is_baseline]
    return table(HOW_SURE, [*headers, "verdicts"], rows, numbers, baselines)


def _row(found: Comparison, row: SettingRow, others: tuple[str, ...]) -> list[str | Cell]:
    of = len(row.trials)
    return [
        Cell(row.label, row.mark),
        _sure(row.mean, of, found.decimals),
        NOTHING if row.difference is None else _sure(row.difference, of, found.decimals),
        NOTHING if row.difference is None else p_value(row.difference.p_holm),
        Cell(counted(row.condemned), chance(row.condemned)),
        *(_sure(row.others[name], of, found.decimals_of(name)) for name in others),
        Cell(_verdicts(row.verdicts), _onset(row.onset_step)),
    ]


def _sure(figure: Estimate | Difference, of: int, decimals: int) -> Cell:
    show = signed if isinstance(figure, Difference) else shown
    return Cell(show(figure.value, decimals), certainty(figure, of, decimals))


def _verdicts(verdicts: dict[str, int]) -> str:
    if len(verdicts) == 1:
        return marked(next(iter(verdicts)))
    return ", ".join(f"{count} × {marked(outcome)}" for outcome, count in verdicts.items())


def _onset(step: float | None) -> str:
    return "" if step is None else f"since step {shown(step, 0)}"
