"""Curves of learning rate, weight decay, momentum and temperature over the steps of a run."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Warmup:
    """Linear rise before a cosine."""

    steps: float = 0
    """Length in steps; fractions are allowed."""

    start: float = 0
    """Value at step 0."""

    meets_peak: bool = True
    """Whether the last step of the warm-up already has the peak value. In DINO's code it has, so
    two steps have the peak. In MAE's code only the first step of the cosine has it.
    """


NO_WARMUP = Warmup()


def cosine(
    step: float, total_steps: float, base: float, final: float, warmup: Warmup = NO_WARMUP
) -> float:
    """Computes the value at a step of a cosine with warm-up.

    The warm-up rises linearly to ``base``. Then half a cosine goes towards ``final``.

    Args:
        step: step from 0; may be a fraction.
        total_steps: length of the whole curve, including its warm-up.
        base: peak value.
        final: value that the curve would have one step after the last.
        warmup: rise to ``base``.
    """
    if step < warmup.steps:
        length = max(warmup.steps - 1, 1) if warmup.meets_peak else warmup.steps
        return warmup.start + (base - warmup.start) * step / length
    done = (step - warmup.steps) / (total_steps - warmup.steps)
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * done))


def linear_then_constant(epoch: int, start: float, final: float, warmup_epochs: int) -> float:
    """Computes the value in an epoch. It rises in equal steps from ``start`` to ``final``.

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
