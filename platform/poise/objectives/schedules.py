"""Curves that are read at a step."""

import math


def cosine(
    step: float,
    total_steps: float,
    base: float,
    final: float,
    warmup_steps: float = 0,
    start: float = 0,
    meets_peak: bool = True,
) -> float:
    """A linear warm-up from ``start`` to ``base``, then half a cosine towards ``final``.

    ``final`` is where the curve would be one step after the last. In DINO's publication the
    warm-up includes both its ends, so that ``base`` is met twice (``meets_peak``); in MAE's it
    reaches ``base`` where the cosine begins. There, steps may be any fractions, as of an epoch.
    """
    if step < warmup_steps:
        length = max(warmup_steps - 1, 1) if meets_peak else warmup_steps
        return start + (base - start) * step / length
    done = (step - warmup_steps) / (total_steps - warmup_steps)
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * done))


def linear_then_constant(epoch: int, start: float, final: float, warmup_epochs: int) -> float:
    """Moves in equal steps from ``start`` to ``final``, met in the last warm-up epoch."""
    if epoch >= warmup_epochs:
        return final
    return start + (final - start) * epoch / max(warmup_epochs - 1, 1)
