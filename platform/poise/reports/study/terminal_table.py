"""Makes the table of settings for the terminal, with plain numbers for ``grep`` and ``cut``.

In: the comparison of settings. Out: headers and rows of plain values. Next: the command line.
"""

from collections.abc import Sequence
from typing import TypeVar

from poise.config.wording import metric_name, unit
from poise.studies.findings.table import Comparison, SettingRow
from poise.studies.labels import plain
from poise.studies.number_format import bare, certainty, out_of, p_value

Row = list[str | int | float | None]
CellT = TypeVar("CellT")


def comparison_table(comparison: Comparison) -> tuple[list[str], list[Row]]:
    """Makes the headers, and a row for each setting. Columns without any value are left out."""
    metric = comparison.metric
    headers = ["setting", *comparison.names.values(), "seeds"]
    headers += [f"{metric_name(metric)}{unit(metric)}", "95 % interval"]
    headers += [metric_name(name) for name in _others(comparison)]
    headers += ["difference", "95 % interval", "p (Holm)", comparison.condemned_as, "verdict"]
    rows = [_row(comparison, row) for row in comparison.rows]
    known = [any(row[column] is not None for row in rows) for column in range(len(headers))]
    return _kept(headers, known), [_kept(row, known) for row in rows]


def _row(comparison: Comparison, row: SettingRow) -> Row:
    difference, decimals, of = row.difference, comparison.decimals, len(row.trials)
    return [
        f"{row.trials[0].partition('-')[0]}{' (baseline)' if row.is_baseline else ''}",
        *(plain(row.settings[key]) for key in comparison.names),
        of,
        _rounded(row.mean.value, decimals),
        certainty(row.mean, of, decimals, bare) or None,
        *(
            _rounded(row.others[name].value, comparison.decimals_of(name))
            for name in _others(comparison)
        ),
        _rounded(difference.value, decimals) if difference else None,
        (certainty(difference, of, decimals, bare) or None) if difference else None,
        None if difference is None or difference.p_holm is None else p_value(difference.p_holm),
        out_of(row.condemned) if row.condemned.n else None,
        ", ".join(
            outcome if len(row.verdicts) == 1 else f"{count} {outcome}"
            for outcome, count in row.verdicts.items()
        ),
    ]


def _others(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(name for row in comparison.rows for name in row.others))


def _kept(cells: Sequence[CellT], known: Sequence[bool]) -> list[CellT]:
    return [cell for cell, is_known in zip(cells, known, strict=True) if is_known]


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else float(bare(value, decimals))
