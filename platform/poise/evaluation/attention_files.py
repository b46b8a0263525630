"""Attention statistics as files that other programs read.

In: an ``AttentionReport``. Out: JSON, with everything, and CSV, one row per block, statistic and
head. Next: a notebook; ``poise.tracking`` keeps them.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from poise.evaluation.attention import AttentionReport

ALL_HEADS = "all"

_COLUMNS = ("block", "statistic", "head", "mean", "standard_error")


def write_statistics(folder: str | Path, model: str, report: AttentionReport) -> list[Path]:
    """Writes ``statistics.json`` and ``statistics.csv``; blocks and heads count from 1.

    Args:
        folder: exists.
        model: what the report is of.
        report: of one model.

    Returns:
        The files.
    """
    as_json, as_csv = Path(folder) / "statistics.json", Path(folder) / "statistics.csv"
    content = {"model": model, **asdict(report)}
    as_json.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with as_csv.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        table.writerows(_rows(report))
    return [as_json, as_csv]


def points(report: AttentionReport, prefix: str) -> dict[str, list[tuple[int, float]]]:
    """Every statistic's mean over heads as ``(block, value)``, by ``prefix/statistic``."""
    return {
        f"{prefix}/{name}": [
            (number, block[name].mean) for number, block in enumerate(report.blocks, start=1)
        ]
        for name in report.blocks[0]
    }


def _rows(report: AttentionReport) -> Iterator[tuple[object, ...]]:
    for number, block in enumerate(report.blocks, start=1):
        for name, found in block.items():
            yield number, name, ALL_HEADS, found.mean, found.standard_error
            by_head = zip(found.head_means, found.head_standard_errors, strict=True)
            for head, (mean, error) in enumerate(by_head, start=1):
                yield number, name, head, mean, error
