"""Writes attention statistics to files for other programs.

In: an ``AttentionReport``. Out: a JSON file with all statistics, and a CSV file with one row per
block, statistic and head. The norms of tokens have no heads, so they have a separate CSV file.
Next: the user's notebook. ``poise.tracking`` stores the files in MLflow.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from poise.evaluation.tokens.attention import AttentionReport

ALL_HEADS = "all"

_COLUMNS = ("block", "statistic", "head", "mean", "standard_error")
_NORM_COLUMNS = ("block", "statistic", "value")


def write_statistics(folder: str | Path, model: str, report: AttentionReport) -> list[Path]:
    """Writes ``statistics.json``, ``statistics.csv`` and ``norms.csv``.

    Blocks and heads are numbered from 1.

    Args:
        folder: existing folder.
        model: name of the model.
        report: report on the model.

    Returns:
        Paths of the files.
    """
    names = ("statistics.json", "statistics.csv", "norms.csv")
    as_json, as_csv, norms = (Path(folder) / name for name in names)
    content = {"model": model, **asdict(report)}
    as_json.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    _write_table(as_csv, _COLUMNS, _rows(report))
    _write_table(norms, _NORM_COLUMNS, _norm_rows(report))
    return [as_json, as_csv, norms]


def points(report: AttentionReport, prefix: str) -> dict[str, list[tuple[int, float]]]:
    """Returns ``(block, value)`` pairs of each statistic, averaged over heads, and of each norm.

    The keys are ``prefix/statistic``.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for number, (block, norms) in enumerate(zip(report.blocks, report.norms, strict=True), start=1):
        values = {name: statistic.mean for name, statistic in block.items()} | dict(norms)
        for name, value in values.items():
            found.setdefault(f"{prefix}/{name}", []).append((number, value))
    return found


def _write_table(path: Path, columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)


def _rows(report: AttentionReport) -> Iterator[tuple[object, ...]]:
    for number, block in enumerate(report.blocks, start=1):
        for name, found in block.items():
            yield number, name, ALL_HEADS, found.mean, found.standard_error
            by_head = zip(found.head_means, found.head_standard_errors, strict=True)
            for head, (mean, error) in enumerate(by_head, start=1):
                yield number, name, head, mean, error


def _norm_rows(report: AttentionReport) -> Iterator[tuple[object, ...]]:
    for number, norms in enumerate(report.norms, start=1):
        yield from ((number, name, value) for name, value in norms.items())
