"""Curves of learning rate, weight decay, momentum and temperature over the steps of a run."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Warmup:
    """Linear warm-up before a cosine schedule."""

    steps: float = 0
    """Length in steps; fractions are allowed."""

    start: float = 0
    """Value at step 0."""

    meets_peak: bool = True
    """Whether the last step of the warm-up already has the peak value. In DINO's code this is so,
    and two steps have the peak value. In MAE's code only the first step of the cosine has the peak
    value.
    """


NO_WARMUP = Warmup()


def cosine(
    step: float, total_steps: float, base: float, final: float, warmup: Warmup = NO_WARMUP
) -> float:
    """Computes the value of a cosine schedule with warm-up at a step.

    The value rises linearly to ``base`` during warm-up. Then it follows half a cosine period
    towards ``final``.

    Args:
        step: step from 0; may be a fraction.
        total_steps: number of steps of the schedule, including warm-up.
        base: peak value.
        final: value that the curve would have one step after the last.
        warmup: warm-up to ``base``.
    """
    if step < warmup.steps:
        length = max(warmup.steps - 1, 1) if warmup.meets_peak else warmup.steps
        return warmup.start + (base - warmup.start) * step / length
    done = (step - warmup.steps) / (total_steps - warmup.steps)
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * done))


def linear_then_constant(epoch: int, start: float, final: float, warmup_epochs: int) -> float:
    """Computes the value of a linear warm-up in an epoch. After the warm-up it is ``final``.

    Args:
        epoch: epoch from 0.
        start: value in epoch 0.
        final: value from epoch ``warmup_epochs`` − 1 on.
        warmup_epochs: length of the warm-up. With 0 or 1 warm-up epochs, the value is ``final``
            from epoch ``warmup_epochs`` on.
    """
    if epoch >= warmup_epochs:
        return final
    return start + (final - start) * epoch / max(warmup_epochs - 1, 1)
