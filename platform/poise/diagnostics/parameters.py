"""Metrics of parameters and gradients.

In: parameters. Out: 0-dimensional tensors on their device. Next: the training loop, which calls
these functions before gradients are clipped, and after the optimiser's step.

These metrics are the same on every worker. In data-parallel training, workers need not exchange
data. If weights are sharded, all workers must call these functions.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from poise.cluster.sharded_tensors import distance, total_norm


@torch.no_grad()
def ema_gap(student: Iterable[Tensor], teacher: Iterable[Tensor]) -> Tensor:
    """Distance between student and teacher, as a share of the teacher's norm; 0 or above.

    Formula: ‖θ_s − θ_t‖₂ / ‖θ_t‖₂, for the parameters θ. Student and teacher must have their
    parameters in the same order.

    Source: none, the metric is our own; the teacher as a moving average is DINO's (arXiv
    2104.14294, section 3.1). Cost: O(parameters), two passes and one copy, fused; computed only at
    logged steps.

    Healthy: the distance is above 0, and late in training it shrinks with the learning rate.
    Broken: the distance is 0 early in training. Then teacher and student are equal (momentum 0, or
    both are the same object). Or the distance grows without end: the momentum is so high that the
    teacher does not follow the student.

    Raises:
        ValueError: student and teacher have different numbers of parameters.
    """
    students, teachers = list(student), list(teacher)
    if len(students) != len(teachers):
        raise ValueError(f"{len(students)} student parameters but {len(teachers)} of the teacher")
    return (distance(students, teachers) / total_norm(teachers)).float()


@torch.no_grad()
def update_size(before: Iterable[Tensor], after: Iterable[Tensor]) -> Tensor:
    """Distance that the teacher's parameters moved in one step, divided by their norm.

    Formula: ‖θ_t(n) − θ_t(n−1)‖₂ / ‖θ_t(n)‖₂, for optimiser step n; without unit, 0 or above.

    Source: none, the metric is our own. Cost: O(parameters), and a copy of the teacher during the
    step; computed only at logged steps.

    Healthy: the distance is above 0 and falls as the momentum rises to 1. Broken: the distance is 0
    from the first step on. Then the teacher never changes (a momentum of 1), and the saved backbone
    is untrained.

    Args:
        before: teacher's parameters before its update.
        after: same parameters after the update, in the same order.
    """
    return ema_gap(before, after)


BACKBONE = "backbone."
"""Prefix of the backbone's parameter names in a trained module."""


@torch.no_grad()
def gradient_norms(trained: nn.Module) -> dict[str, Tensor]:
    """Gradient norms of the backbone and of all other parameters (the head), as two metrics.

    Formula: ‖g‖₂ = √(Σ g_i²), over all parameters of the part. The norms are computed before
    clipping, in the units of the loss; 0 or above. If the backbone or the head has no gradients,
    its norm is left out.

    Source: none, the metric is our own; norms per module are common. Cost: O(parameters), one pass
    over the gradients, fused; computed only at logged steps.

    Healthy: both norms become steady during the warm-up, and neither is less than a thousandth of
    the other. Broken: the backbone's norm falls to 0 but the head's norm does not. Then no training
    signal reaches the backbone (saturated prototypes). Or a norm grows without end. Then the run
    will soon diverge.
    """
    parts: dict[str, list[Tensor]] = {"gradient/norm_backbone": [], "gradient/norm_head": []}
    for name, parameter in trained.named_parameters():
        if parameter.grad is not None:
            is_backbone = name.startswith(BACKBONE)
            part = "gradient/norm_backbone" if is_backbone else "gradient/norm_head"
            parts[part].append(parameter.grad)
    return {name: total_norm(found).float() for name, found in parts.items() if found}
