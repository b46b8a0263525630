"""Every setting beside the baseline.

In: the comparison. Out: its table. Next: the page.
"""

from poise.sweeps.comparison import SettingRow
from poise.sweeps.findings import Findings
from poise.sweeps.report.digits import (
    NOTHING,
    chance,
    common_decimals,
    counted,
    interval,
    p_value,
    shown,
    signed,
)
from poise.sweeps.report.looks import marked
from poise.sweeps.report.pieces import Cell, Section, Table, table


def comparison(findings: Findings) -> Section:
    """The section."""
    return Section(
        "settings",
        "Settings compared",
        table=_table(findings),
        notes=findings.comparison.notes,
    )


def _table(findings: Findings) -> Table:
    found = findings.comparison
    others = tuple(dict.fromkeys(name for row in found.rows for name in row.others))
    label = findings.labels.get(found.metric, found.metric)
    headers = ["setting", label, "difference", "p", found.condemned_as]
    headers += [findings.labels.get(name, name) for name in others]
    caption = (
        f"Mean over seeds of {label} with its 95 % interval; the difference to the baseline is "
        "taken seed by seed, its p-value corrected for all comparisons (Holm); beside the count "
        f"of {found.condemned_as} seeds is the exact 95 % interval of the chance behind it."
    )
    numbers = (1, 2, 3, *range(5, len(headers) + 1))
    decimals = common_decimals(row.mean for row in found.rows)
    rows = [_row(row, decimals, others) for row in found.rows]
    baselines = [index for index, row in enumerate(found.rows) if row.is_baseline]
    return table(caption, [*headers, "verdicts"], rows, numbers[:-1], baselines)


def _row(row: SettingRow, decimals: int, others: tuple[str, ...]) -> list[str | Cell]:
    return [
        Cell(row.label, "baseline" if row.is_baseline else ""),
        Cell(shown(row.mean.value, decimals), interval(row.mean, decimals)),
        _difference(row, decimals),
        NOTHING if row.difference is None else p_value(row.difference.p_holm),
        Cell(counted(row.condemned), chance(row.condemned)),
        *(
            Cell(shown(row.others[name].value), interval(row.others[name]))
            if name in row.others
            else NOTHING
            for name in others
        ),
        Cell(_verdicts(row.verdicts), _onset(row.onset_step)),
    ]


def _difference(row: SettingRow, decimals: int) -> Cell:
    if row.difference is None or row.difference.value is None:
        return Cell(NOTHING)
    return Cell(signed(row.difference.value, decimals), interval(row.difference, decimals))


def _verdicts(verdicts: dict[str, int]) -> str:
    if len(verdicts) == 1:
        return marked(next(iter(verdicts)))
    return ", ".join(f"{count} × {marked(outcome)}" for outcome, count in verdicts.items())


def _onset(step: float | None) -> str:
    return "" if step is None else f"since step {shown(step, 0)}"
