"""Metrics of parameters and gradients.

In: parameters. Out: 0-dimensional tensors on their device. Next: the training loop, which calls
these functions at the right moment of a step: before gradients are clipped, and after the
optimiser.

In data-parallel training these metrics are the same on every worker, so no collective is needed.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm


@torch.no_grad()
def ema_gap(student: Iterable[Tensor], teacher: Iterable[Tensor]) -> Tensor:
    """Distance between student and teacher: ‖θ_s − θ_t‖₂ / ‖θ_t‖₂; without unit, 0 or above.

    Parameters are compared in pairs, in the same order.

    Source: none, the metric is our own; the teacher as a moving average is DINO's (arXiv
    2104.14294, section 3.1). Cost: O(parameters), two passes and one copy, fused; computed only at
    logged steps.

    Healthy: the distance is above 0, and late in training it shrinks with the learning rate.
    Broken: it is 0 early in training, so the teacher *is* the student (momentum 0, or both are the
    same object). Or it grows without end: the momentum is so high that the teacher stays behind.

    Raises:
        ValueError: the two have different numbers of parameters.
    """
    students, teachers = list(student), list(teacher)
    if len(students) != len(teachers):
        raise ValueError(f"{len(students)} student parameters but {len(teachers)} of the teacher")
    differences = torch._foreach_sub([parameter.detach() for parameter in students], teachers)
    return (get_total_norm(differences) / get_total_norm(teachers)).float()


@torch.no_grad()
def update_size(before: Iterable[Tensor], after: Iterable[Tensor]) -> Tensor:
    """Distance that the teacher's parameters moved in one step, divided by their norm.

    Formula: ‖θ_t(n) − θ_t(n−1)‖₂ / ‖θ_t(n)‖₂, for optimiser step n; without unit, 0 or above.

    Source: none, the metric is our own. Cost: O(parameters), and a copy of the teacher during the
    step; computed only at logged steps.

    Healthy: the distance is above 0 and falls as the momentum rises to 1. Broken: it is 0 from the
    first step on. Then the teacher never moves (a momentum of 1), and the saved backbone is
    untrained.

    Args:
        before: teacher's parameters before its update.
        after: same parameters after the update, in the same order.
    """
    return ema_gap(before, after)


BACKBONE = "backbone."
"""Prefix of the backbone's parameter names in a trained module."""


@torch.no_grad()
def gradient_norms(trained: nn.Module) -> dict[str, Tensor]:
    """Gradient norms ‖g‖₂ of the backbone and of all other parameters (the head), by metric name.

    They are computed before clipping, in the units of the loss; 0 or above. A part without
    gradients is left out.

    Source: none, the metric is our own; norms per module are common. Cost: O(parameters), one pass
    over the gradients, fused; computed only at logged steps.

    Healthy: both norms become steady during the warm-up, and neither is less than a thousandth of
    the other. Broken: the backbone's norm falls to 0 but the head's does not; then no signal
    reaches the backbone (saturated prototypes). Or one of them grows without end; then the run will
    soon diverge.
    """
    parts: dict[str, list[Tensor]] = {"gradient/norm_backbone": [], "gradient/norm_head": []}
    for name, parameter in trained.named_parameters():
        if parameter.grad is not None:
            is_backbone = name.startswith(BACKBONE)
            part = "gradient/norm_backbone" if is_backbone else "gradient/norm_head"
            parts[part].append(parameter.grad)
    return {name: get_total_norm(found).float() for name, found in parts.items() if found}
