"""Computes a mean and its standard error over rows that arrive in batches.

In: rows, batch by batch. Out: their mean and its standard error. Next:
``poise.evaluation.tokens.attention``.

Memory does not grow with the number of rows.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class RunningMean:
    """Running mean and standard error, updated as in Chan, Golub and LeVeque (1979)."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    """Sum of squared distances from the mean."""

    def add(self, rows: Tensor) -> None:
        """Adds rows [B, …]."""
        rows = rows.double()
        total = self.count + len(rows)
        mean = rows.mean(dim=0)
        gap = mean - self.mean
        self.squares = (
            self.squares
            + (rows - mean).square().sum(dim=0)
            + gap.square() * (self.count * len(rows) / total)
        )
        self.mean = self.mean + gap * (len(rows) / total)
        self.count = total

    def standard_error(self) -> Tensor | None:
        """Computes the standard error of the mean, or None for fewer than two rows."""
        if self.count < 2:
            return None
        return (self.squares / (self.count - 1) / self.count).sqrt()
