"""DINO's cross-entropy between views, computed without a loop over pairs of views.

Shapes: G teacher (global) views; V student views (the first G are the same global views); B images;
K prototypes.
"""

from typing import Any

import torch
from torch import Tensor


def dino_loss(student_logits: Tensor, teacher_probs: Tensor, student_temp: float) -> Tensor:
    """Computes the mean cross-entropy of teacher and student over all pairs of different views.

    The loop version (arXiv 2104.14294, equations 2 and 3) is::

        terms = [
            -(teacher_probs[i] * log_softmax(student_logits[v] / student_temp, -1)).sum(-1).mean()
            for i in range(G) for v in range(V) if v != i
        ]
        loss = sum(terms) / len(terms)

    This version multiplies each teacher view once, with the sum over student views. The gradient is
    explicit: ``(n_v · softmax(s_v) − Σ_{i≠v} q_i) / (student_temp · pairs · B)``. ``s_v`` are the
    student's logits of view v divided by the temperature. ``q_i`` are the teacher's probabilities
    of view i. ``n_v`` is the number of teacher views that view v is compared with. The only memory
    allocated is one float32 buffer of the logits' size.

    Args:
        student_logits: [V, B, K], of any floating type.
        teacher_probs: [G, B, K]; each row sums to 1. No gradient is computed for it.
        student_temp: temperature above 0.

    Returns:
        The loss, a scalar. The loss is ln K if teacher and student are both uniform.
    """
    loss: Tensor = _CrossViewEntropy.apply(student_logits, teacher_probs, student_temp)
    return loss


class _CrossViewEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student_logits: Tensor, teacher_probs: Tensor, temp: float) -> Tensor:
        num_views, batch, _ = student_logits.shape
        num_teachers = len(teacher_probs)
        pairs = num_teachers * (num_views - 1)
        scores = student_logits.detach().float() / temp  # [V, B, K], the one buffer
        scores -= scores.amax(dim=-1, keepdim=True)

        # Σ_i q_i · Σ_{v≠i} s_v: subtracts view i from the sum over all views
        with torch.autocast(scores.device.type, enabled=False):  # products in float32
            agreement = torch.einsum("gbk,bk->", teacher_probs, scores.sum(dim=0))
            agreement -= torch.einsum("gbk,gbk->", teacher_probs, scores[:num_teachers])

        teachers_of_view = scores.new_full((num_views, 1, 1), num_teachers)
        teachers_of_view[:num_teachers] -= 1
        exponentials = scores.exp_()
        partition = exponentials.sum(dim=-1, keepdim=True)  # [V, B, 1]
        loss = ((teachers_of_view * partition.log()).sum() - agreement) / (pairs * batch)

        if ctx.needs_input_grad[0]:
            gradient = exponentials.mul_(teachers_of_view / partition)
            gradient -= teacher_probs.sum(dim=0)
            gradient[:num_teachers] += teacher_probs
            ctx.save_for_backward(gradient)
            ctx.scale = 1 / (temp * pairs * batch)
            ctx.dtype = student_logits.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        # The product is in place, because autograd does not allow a second backward pass.
        return gradient.mul_(gradients[0] * ctx.scale).to(ctx.dtype), None, None
