"""Curves of learning rate, weight decay, momentum and temperature over the steps of a run."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Warmup:
    """The linear rise in front of a cosine."""

    steps: float = 0
    """Length in steps; fractions are allowed."""

    start: float = 0
    """Value at step 0."""

    meets_peak: bool = True
    """Whether the last step of the warm-up already has the peak value, as in DINO's code, so that
    two steps have it. In MAE's code the first step of the cosine is the only one."""


NO_WARMUP = Warmup()


def cosine(
    step: float, total_steps: float, base: float, final: float, warmup: Warmup = NO_WARMUP
) -> float:
    """The value at a step: a linear warm-up to ``base``, then half a cosine towards ``final``.

    Args:
        step: from 0; may be a fraction.
        total_steps: length of the whole curve, its warm-up included.
        base: the peak.
        final: the value that the curve would have one step after the last.
        warmup: the rise to ``base``.
    """
    if step < warmup.steps:
        length = max(warmup.steps - 1, 1) if warmup.meets_peak else warmup.steps
        return warmup.start + (base - warmup.start) * step / length
    done = (step - warmup.steps) / (total_steps - warmup.steps)
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * done))


def linear_then_constant(epoch: int, start: float, final: float, warmup_epochs: int) -> float:
    """The value in an epoch: from ``start`` in equal steps to ``final`` in the last warm-up epoch.

    Args:
        epoch: from 0.
        start: value in epoch 0.
        final: value from epoch ``warmup_epochs`` − 1 on.
        warmup_epochs: length of the warm-up; with 0 or 1 epochs every value is ``final`` from the
            epoch ``warmup_epochs`` on.
    """
    if epoch >= warmup_epochs:
        return final
    return start + (final - start) * epoch / max(warmup_epochs - 1, 1)
