"""Metrics of what the teacher teaches the student, and of whether it still does.

In: the targets and the student's logits of one step. Out: 0-dimensional tensors on the same
device, in nats; ``batch_averages`` names those that workers average. Next:
``poise.diagnostics.observe``.

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

    Source: DINO (arXiv 2104.14294, section 5.3, figure 7, left). Cost: one pass over the tensor.

    Healthy: for the teacher, between the two ends and falling slowly once the model leaves its
    start near ln K. Broken: resting on ln K (uniform) or on 0 (one prototype).
    """
    mean: Tensor = torch.special.entr(probs.float()).sum(-1).mean()
    return mean


def entropies_of(logits: Tensor) -> Tensor:
    """Mean of h(softmax(s)) of each view's logits s [V, B, K], in nats: [V].

    Source: none: ours; DINO shows the teacher's alone. Cost: four passes over the logits, O(V·B·K);
    temporaries of one view's size.

    Healthy: above the teacher's, as it is sharpened, and falling with it; of local views above
    that of global ones, as they show less. Broken: ln K or 0 together with the teacher's.
    """
    return torch.stack([_entropy_of(view.float().log_softmax(-1)) for view in logits])


def _entropy_of(log_probs: Tensor) -> Tensor:
    return -(log_probs.exp() * log_probs).sum(-1).mean()


def cross_entropies(teacher_probs: Tensor, student_logits: Tensor) -> Tensor:
    """For each student view v, −Σ_k P_t^i,k ln P_s^v,k, averaged over images, summed over i ≠ v.

    The pairs (i, v) are never formed. With s the logits and Z_v = logsumexp(s_v), view v's sum is
    n_v Z_v − (Σ_i P_t^i)·s_v + P_t^v·s_v, where n_v counts the teacher views that it is compared
    with, and the last term is there if v itself is one of the teacher's views.

    Args:
        teacher_probs: [G, B, K].
        student_logits: [V, B, K] divided by the student's temperature; view i of the teacher and
            view i of the student are the same picture.

    Returns:
        [V]; 0 of a view that is compared with none.

    Source: over all pairs the mean of these is the loss of DINO (arXiv 2104.14294, equation 3).
    Cost: three passes over the student's logits and two over the targets, O(V·B·K) in place of the
    pairs' O(G·V·B·K); temporaries of one view's size.

    Healthy: the mean falls below ln K, perhaps after a bump when the last layer is released.
    Broken: rests on ln K or drops to 0; read it with ``entropy`` and the mutual information, never
    alone.
    """
    everything = teacher_probs.sum(0, dtype=torch.float32)  # [B, K]
    sums = []
    for index, view in enumerate(student_logits):
        view, is_own = view.float(), index < len(teacher_probs)
        total = (len(teacher_probs) - is_own) * view.logsumexp(-1)
        total = total - torch.linalg.vecdot(everything, view)
        if is_own:
            total = total + torch.linalg.vecdot(teacher_probs[index].float(), view)
        sums.append(total.mean())
    return torch.stack(sums)


def kl_divergence(cross_entropy: Tensor, entropy: Tensor) -> Tensor:
    """KL(P_t‖P_s) averaged over DINO's pairs: the cross-entropy less the teacher's entropy.

    Every teacher view is in V − 1 pairs, as many of each kind as any other teacher view, so the
    plain mean entropy is the pairs' too. Rounding below 0 is cut off.

    Source: DINO (arXiv 2104.14294, section 5.3, figure 7, right). Cost: O(1) beyond
    ``cross_entropies`` and ``entropy``.

    Healthy: clearly above 0, the student always has something to learn. Broken: 0, teacher and
    student agree because neither looks at the image.
    """
    return (cross_entropy - entropy).clamp(min=0)


def marginal_entropy(mean_probs: Tensor) -> Tensor:
    """H̄ = h(mean over the batch of P_t), from ``mean_probs`` [K], the mean over *all* workers.

    Source: none: ours, beside what DINO shows. Cost: O(K), and O(G·B·K) for the mean.

    Healthy: high, many prototypes are in use; at most ln(targets) + h for a finite batch.
    Broken: 0, the whole batch shares one prototype. At ln K with h at ln K too: uniform.
    """
    total: Tensor = torch.special.entr(mean_probs.float()).sum()
    return total


def mutual_information(marginal_entropy: Tensor, entropy: Tensor) -> Tensor:
    """H̄ − mean h: what the prototype tells about the view of an image that it is of, in nats.

    At most ln of the number of targets in the batch. Targets that differ between the views of one
    image count as well: ``teacher/kl`` is what tells that student and teacher agree on them.
    Rounding below 0 is cut off.

    Source: none: ours, from the same entropies. Cost: O(1) beyond ``marginal_entropy`` and
    ``entropy``.

    Healthy: rises from nearly 0 at the start to a good part of ln K or of ln(batch). Broken: 0,
    every image gets the same assignment, whatever that is: the one number that sees either collapse
    of the teacher.
    """
    return (marginal_entropy - entropy).clamp(min=0)


def center_norm(center: Tensor) -> Tensor:
    """‖c‖₂ of the centre [K], in units of the teacher's logits.

    Source: none: ours; c is that of DINO (arXiv 2104.14294, equation 4). Cost: O(K).

    Healthy: leaves 0 within some tens of steps and settles. Broken: growing without end (the
    logits run away and the centre follows); exactly 0 means that there is no centering.
    """
    norm: Tensor = torch.linalg.vector_norm(center.float())
    return norm


def batch_averages(teacher_probs: Tensor, student_logits: Tensor | None) -> dict[str, Tensor]:
    """Every number of this module that is a mean over images, by name; see each one's function.

    ``_global`` and ``_local`` are of student views of that kind, of the pairs they are in, and
    missing where there are none.

    Args:
        teacher_probs: [G, B, K].
        student_logits: [V, B, K] as of ``cross_entropies``, or none.
    """
    teacher_entropy = entropy(teacher_probs)
    averages = {"teacher/entropy": teacher_entropy}
    if student_logits is None:
        return averages
    num_global, num_views = len(teacher_probs), len(student_logits)
    entropies = entropies_of(student_logits)
    averages["student/entropy_global"] = entropies[:num_global].mean()
    if num_views > num_global:
        averages["student/entropy_local"] = entropies[num_global:].mean()
    sums = cross_entropies(teacher_probs, student_logits)
    kinds = {
        "": (sums, num_views - 1),
        "_global": (sums[:num_global], num_global - 1),
        "_local": (sums[num_global:], num_views - num_global),
    }  # and how many of the student's views each of the teacher's is compared with
    for kind, (of_kind, num_compared) in kinds.items():
        if num_compared:
            crossed = of_kind.sum() / (num_global * num_compared)
            averages[f"teacher/cross_entropy{kind}"] = crossed
            averages[f"teacher/kl{kind}"] = kl_divergence(crossed, teacher_entropy)
    return averages
