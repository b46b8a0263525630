"""Curves that are read at a step."""

import math


def cosine(
    step: int, total_steps: int, base: float, final: float, warmup_steps: int = 0, start: float = 0
) -> float:
    """A linear warm-up from ``start`` to ``base``, then half a cosine towards ``final``.

    As published, the warm-up includes both its ends, so ``base`` is met twice, and ``final`` is
    where the curve would be one step after the last.
    """
    if step < warmup_steps:
        return start + (base - start) * step / max(warmup_steps - 1, 1)
    done = (step - warmup_steps) / (total_steps - warmup_steps)
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * done))


def linear_then_constant(epoch: int, start: float, final: float, warmup_epochs: int) -> float:
    """Moves in equal steps from ``start`` to ``final``, met in the last warm-up epoch."""
    if epoch >= warmup_epochs:
        return final
    return start + (final - start) * epoch / max(warmup_epochs - 1, 1)
