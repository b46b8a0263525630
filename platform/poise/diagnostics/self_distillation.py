"""What the teacher tells the student, and whether it still says anything.

In: the targets and the student's logits of one step. Out: 0-dimensional tensors on the same
device, in nats. Next: ``poise.diagnostics.observe``.

Letters: G global views, V views (the G global ones first), B images, K prototypes. P_t are the
teacher's targets, P_s the student's softmax, h the entropy.

Everything is in one identity (DINO, arXiv 2104.14294, section 5.3 and Fig. 7): the loss is
h(P_t) + KL(P_t‖P_s). The loss alone cannot tell learning from collapse. Both collapses have
KL → 0, with h → ln K (uniform) or h → 0 (one prototype); the mutual information between image and
prototype goes to 0 in both.
"""

import torch
from torch import Tensor


def entropy(probs: Tensor) -> Tensor:
    """Mean of h(P) = −Σ_k P_k ln P_k over all leading axes of ``probs`` [..., K].

    Cost: one pass over the tensor.

    Healthy: for the teacher, between the two ends and falling slowly once the model leaves its
    start near ln K. Broken: resting on ln K (uniform) or on 0 (one prototype).
    """
    mean: Tensor = torch.special.entr(probs.float()).sum(-1).mean()
    return mean


def cross_entropy(teacher_probs: Tensor, student_logits: Tensor) -> Tensor:
    """Mean over images and DINO's pairs (i, v), i ≠ v, of −Σ_k P_t^i,k ln P_s^v,k.

    The pairs are never formed. With s the logits, Z_v = logsumexp(s_v) and S = Σ_v s_v, the sum
    over pairs is Σ_v n_v Z_v − (Σ_i P_t^i)·S + Σ_i P_t^i·s_i, where n_v counts the teacher views
    that view v is compared with.

    Args:
        teacher_probs: [G, B, K].
        student_logits: [V, B, K] with V ≥ 2, divided by the student's temperature; view i of the
            teacher and view i of the student are the same picture.

    Cost: two passes over the student's logits and two over the targets; temporaries of the
    targets' size. It equals DINO's loss.

    Healthy: falls below ln K, perhaps after a bump when the last layer is released. Broken: rests
    on ln K or drops to 0; read it with ``entropy`` and the mutual information, never alone.
    """
    teacher, student = teacher_probs.float(), student_logits.float()
    num_teacher, num_student = len(teacher), len(student)
    same_view = torch.linalg.vecdot(teacher, student[:num_teacher])  # [G, B]
    all_views = torch.linalg.vecdot(teacher.sum(0), student.sum(0))  # [B]
    compared_with = torch.full((num_student, 1), float(num_teacher), device=student.device)
    compared_with[:num_teacher] -= 1
    # View by view: logsumexp holds a temporary as large as what it is given.
    normalizers = torch.stack([view.logsumexp(-1) for view in student])  # [V, B]
    normalizers = (compared_with * normalizers).sum(0)  # [B]
    num_pairs = num_teacher * (num_student - 1)
    total: Tensor = (normalizers - all_views + same_view.sum(0)).mean()
    return total / num_pairs


def kl_divergence(cross_entropy: Tensor, entropy: Tensor) -> Tensor:
    """KL(P_t‖P_s) averaged over DINO's pairs: the cross-entropy less the teacher's entropy.

    Every teacher view is in V − 1 pairs, so the plain mean entropy is the pairs' too. Rounding
    below 0 is cut off. Cost: none.

    Healthy: clearly above 0, the student always has something to learn. Broken: 0, teacher and
    student agree because neither looks at the image.
    """
    return (cross_entropy - entropy).clamp(min=0)


def marginal_entropy(mean_probs: Tensor) -> Tensor:
    """H̄ = h(mean over the batch of P_t), from ``mean_probs`` [K], the mean over *all* workers.

    Cost: one pass over K.

    Healthy: high, many prototypes are in use; at most ln(targets) + h for a finite batch.
    Broken: 0, the whole batch shares one prototype. At ln K with h at ln K too: uniform.
    """
    total: Tensor = torch.special.entr(mean_probs.float()).sum()
    return total


def mutual_information(marginal_entropy: Tensor, entropy: Tensor) -> Tensor:
    """I(image; prototype) = H̄ − mean h: what the prototype tells about the image, in nats.

    At most ln of the number of targets in the batch. Rounding below 0 is cut off. Cost: none.

    Healthy: rises from nearly 0 at the start to a good part of ln K or of ln(batch). Broken: 0,
    every image gets the same assignment, whatever that is. The one number that sees any collapse.
    """
    return (marginal_entropy - entropy).clamp(min=0)


def center_norm(center: Tensor) -> Tensor:
    """‖c‖₂ of the centre [K], in units of the teacher's logits.

    Healthy: leaves 0 within some tens of steps and settles. Broken: growing without end (the
    logits run away and the centre follows); exactly 0 means that there is no centering.
    """
    norm: Tensor = torch.linalg.vector_norm(center.float())
    return norm
