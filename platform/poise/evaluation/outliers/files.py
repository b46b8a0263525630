"""Makes a table of blocks: norms of tokens and the share of outliers after each block.

In: a ``Reading``. Out: rows, and a CSV file. Next: ``poise.evaluation.outliers.measure`` and
``poise.evaluation.outliers.pictures``.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poise.evaluation.outliers.threshold import Threshold, find_threshold, quantile_of
from poise.evaluation.outliers.token_pass import Reading

QUANTILES = {"q50": 0.5, "q90": 0.9, "q99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class BlockRow:
    """Statistics of the norms of all images' tokens after one block."""

    number: int
    """Number of the block, from 1."""

    threshold: Threshold
    outlier_share: float
    """Share of patches that are outliers, 0 to 1."""

    quantiles: dict[str, float]
    """Maps each name in ``QUANTILES`` to this quantile of the patches' norms, with 2 % precision.
    """

    prefix: dict[str, float]
    """Maps ``cls``, ``register_1`` … to the mean norm of this token over all images."""


def block_rows(reading: Reading) -> list[BlockRow]:
    """Computes the statistics of norms after each block, from the first block to the last."""
    counts, sample = reading.norms.counts, reading.sample
    rows = []
    for index, of_block in enumerate(counts.blocks):
        threshold = find_threshold(of_block)
        quantiles = {name: quantile_of(of_block, level) for name, level in QUANTILES.items()}
        prefix = reading.norms.prefix.mean[index].tolist() if sample.num_prefix else []
        rows.append(
            BlockRow(
                number=index + 1,
                threshold=threshold,
                outlier_share=counts.share_in_block(index, threshold),
                quantiles=quantiles,
                prefix=dict(zip(sample.prefix_names, prefix, strict=True)),
            )
        )
    return rows


def first_block(rows: Sequence[BlockRow]) -> int:
    """Returns the smallest number b (from 1) such that all blocks from b on have outliers.

    The last block must have outliers.
    """
    without = [row.number for row in rows if not row.threshold.found]
    return max(without, default=0) + 1


def write_blocks(path: Path, rows: Sequence[BlockRow]) -> None:
    """Writes a CSV line for each block.

    The column of the limit is empty for a block without outliers.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        names = [*rows[0].quantiles, "limit", *rows[0].prefix]
        table.writerow(["block", "outlier_share", *(f"norm_{name}" for name in names)])
        for row in rows:
            limit = row.threshold.limit if row.threshold.found else ""
            norms = [*row.quantiles.values(), limit, *row.prefix.values()]
            table.writerow([row.number, row.outlier_share, *norms])
