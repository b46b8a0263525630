"""Writes the metrics of every object into a table for other programs.

In: scores of objects. Out: a CSV file, one row for each object. Next: the user's notebook.
``poise.tracking`` stores the file in MLflow.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from poise.evaluation.video.scores import NAMES, ObjectScore

_DIGITS = 4


def write_objects(
    path: Path, found: Sequence[ObjectScore], first_mask: Sequence[ObjectScore]
) -> None:
    """Writes the metrics of each object in percent, for the model and for the baseline.

    The baseline repeats the first mask in every frame.

    Args:
        path: path of the CSV file.
        found: scores of the model.
        first_mask: scores of the baseline, for the same objects in the same order.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        baseline = [f"first_mask_{name}" for name in NAMES]
        table.writerow(("sequence", "object", "frames", *NAMES, *baseline))
        for score, still in zip(found, first_mask, strict=True):
            values = (*score.statistics, *still.statistics)
            rounded = (round(value, _DIGITS) for value in values)
            table.writerow((score.sequence, score.number, len(score.regions), *rounded))
