"""What the parameters show.

In: parameters. Out: 0-dimensional tensors on their device. Next: the training loop, which knows
when in a step to ask (after the optimiser).

With data-parallel training they are the same on every worker: no collective is needed.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm


@torch.no_grad()
def ema_gap(student: Iterable[Tensor], teacher: Iterable[Tensor]) -> Tensor:
    """‖θ_s − θ_t‖₂ / ‖θ_t‖₂ over pairs of parameters in the same order.

    Cost: two passes and one copy of the parameters, fused; for log intervals, not for every step.

    Healthy: above 0 and shrinking late, as the learning rate falls. Broken: 0 early on, the
    teacher *is* the student (momentum 0, or both are one object) and nothing holds the training
    up; or growing without end, the momentum is so high that the teacher stays behind.

    Raises:
        ValueError: the two have different numbers of parameters.
    """
    students, teachers = list(student), list(teacher)
    if len(students) != len(teachers):
        raise ValueError(f"{len(students)} student parameters but {len(teachers)} of the teacher")
    differences = torch._foreach_sub([parameter.detach() for parameter in students], teachers)
    return (get_total_norm(differences) / get_total_norm(teachers)).float()
