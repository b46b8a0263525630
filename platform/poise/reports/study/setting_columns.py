"""Columns of the table of settings, for the page and for Markdown.

In: the comparison of settings. Out: the columns that have content. Next: the page's first section
and ``poise.reports.study.markdown_settings``.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from poise.reports.page.page_elements import Cell
from poise.reports.study.sentences import label, since
from poise.studies.analysis.intervals import Estimate
from poise.studies.analysis.p_values import Difference
from poise.studies.findings.findings import Findings
from poise.studies.findings.table import SettingRow
from poise.studies.labels import UNCHANGED, plain
from poise.studies.number_format import NOTHING, certainty, chance, out_of, p_value, shown, signed


class Column(NamedTuple):
    """Column of a table: header, whether its cells are numbers, and one cell for each setting."""

    header: str
    is_number: bool
    cells: tuple[Cell, ...]


def setting_columns(findings: Findings, verdicts: Callable[[dict[str, int]], str]) -> list[Column]:
    """Returns every column in which at least one cell has a value.

    Args:
        findings: findings of the study.
        verdicts: function that gets how many trials ended with each verdict, and returns the text
            of a cell.
    """
    columns = [*_values(findings), *_figures(findings), *_outcomes(findings, verdicts)]
    return [c for c in columns if any(cell.text not in (NOTHING, "") for cell in c.cells)]


def _values(findings: Findings) -> Iterator[Column]:
    """Yields a column with the settings' names, then columns with the values of hyperparameters."""
    found = findings.comparison
    yield Column("setting", False, tuple(Cell(row.name, row.mark) for row in found.rows))
    if any(row.label == UNCHANGED for row in found.rows):
        yield Column("change", False, tuple(Cell(row.label) for row in found.rows))
        return
    for key, name in found.names.items():
        yield Column(name, False, tuple(Cell(plain(row.settings.get(key))) for row in found.rows))


def _figures(findings: Findings) -> Iterator[Column]:
    found = findings.comparison
    means = [row.mean for row in found.rows]
    differences = [row.difference for row in found.rows]
    yield _measured(findings, label(findings, found.metric), means, found.decimals)
    yield _measured(findings, "difference", differences, found.decimals)
    yield Column("p", True, tuple(_p(row) for row in found.rows))
    for name in dict.fromkeys(name for row in found.rows for name in row.others):
        others = [row.others[name] for row in found.rows]
        yield _measured(findings, label(findings, name), others, found.decimals_of(name))


def _measured(
    findings: Findings,
    header: str,
    figures: Sequence[Estimate | Difference | None],
    decimals: int,
) -> Column:
    rows = zip(figures, findings.comparison.rows, strict=True)
    return Column(header, True, tuple(_sure(each, len(r.trials), decimals) for each, r in rows))


def _outcomes(findings: Findings, verdicts: Callable[[dict[str, int]], str]) -> Iterator[Column]:
    found = findings.comparison
    counts = (Cell(out_of(row.condemned), chance(row.condemned)) for row in found.rows)
    yield Column(found.condemned_as, False, tuple(counts))
    told = (
        Cell(verdicts(row.verdicts), since(row.onset_step, row.condemned.count, len(row.trials)))
        for row in found.rows
    )
    yield Column("verdict", False, tuple(told))


def _sure(found: Estimate | Difference | None, of: int, decimals: int) -> Cell:
    if found is None:
        return Cell(NOTHING)
    show = signed if isinstance(found, Difference) else shown
    return Cell(show(found.value, decimals), certainty(found, of, decimals))


def _p(row: SettingRow) -> Cell:
    return Cell(NOTHING if row.difference is None else p_value(row.difference.p_holm))
