"""Metrics of the teacher's targets and of the student's predictions.

In: the targets and the student's logits of one step. Out: 0-dimensional tensors on the same device,
in nats. ``batch_averages`` returns the metrics that are averaged over workers. Next:
``poise.diagnostics.observe``.

Letters: G global views, V views (the G global views first), B images, K prototypes. P_t are the
teacher's targets, P_s is the student's softmax, h is the entropy.

One identity connects the metrics (DINO, arXiv 2104.14294, section 5.3 and Fig. 7): the loss is
h(P_t) + KL(P_t‖P_s). The loss alone cannot distinguish learning from collapse. There are two kinds
of collapse. In the uniform collapse h → ln K. In the collapse to a single prototype h → 0. In both,
KL → 0 and the mutual information between image and prototype → 0.
"""

import torch
from torch import Tensor


def entropy(probs: Tensor) -> Tensor:
    """Mean entropy of the distributions ``probs`` [..., K], in nats: from 0 to ln K.

    Formula: h(P) = −Σ_k P_k ln P_k, averaged over all leading axes.

    Source: DINO (arXiv 2104.14294, section 5.3, figure 7, left). Cost: one pass over the tensor.

    Healthy: the teacher's entropy starts near ln K, falls slowly, and stays above 0. Broken: the
    entropy stays at ln K (uniform collapse) or at 0 (single prototype).
    """
    mean: Tensor = torch.special.entr(probs.float()).sum(-1).mean()
    return mean


def entropies_of(logits: Tensor) -> Tensor:
    """Mean entropy of the softmax of each view's logits s [V, B, K], in nats: [V].

    Formula: h(P_s) = −Σ_k P_s,k ln P_s,k, with P_s = softmax(s), averaged over images.

    Source: none, the metric is our own; DINO shows only the teacher's entropy. Cost: four passes
    over the logits, O(V·B·K); temporary tensors have the size of one view.

    Healthy: the entropy is above the teacher's entropy, because the teacher is sharpened. Both fall
    together. Local views have a higher entropy than global views, because they show less of the
    image. Broken: the entropies of student and teacher are both ln K or both 0.
    """
    return torch.stack([_entropy_of(view.float().log_softmax(-1)) for view in logits])


def _entropy_of(log_probs: Tensor) -> Tensor:
    return -(log_probs.exp() * log_probs).sum(-1).mean()


def cross_entropies(teacher_probs: Tensor, student_logits: Tensor) -> Tensor:
    """Cross-entropy of each student view, summed over the other teacher views.

    Formula: −Σ_i≠v Σ_k P_t^i,k ln P_s^v,k, for student view v. The result is averaged over images.
    The code needs no loop over pairs (i, v). With logits s and Z_v = logsumexp(s_v), the sum of
    view v is n_v Z_v − (Σ_i P_t^i)·s_v + P_t^v·s_v. Here n_v is the number of teacher views that v
    is compared with. The last term is used only if v is also a view of the teacher.

    Args:
        teacher_probs: [G, B, K].
        student_logits: [V, B, K], divided by the student's temperature. View i of the teacher and
            view i of the student are the same crop.

    Returns:
        [V]; the value is 0 for a view that is compared with no teacher view.

    Source: the mean over all pairs is the loss of DINO (arXiv 2104.14294, equation 3). Cost: three
    passes over the student's logits and two over the targets, O(V·B·K) instead of O(G·V·B·K) for
    pairs; temporary tensors have the size of one view.

    Healthy: the mean falls below ln K, perhaps after a rise when the last layer is released.
    Broken: the mean stays at ln K or drops to 0. Read this metric only together with ``entropy``
    and the mutual information.
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
    """KL divergence of student and teacher, averaged over DINO's pairs, in nats; 0 or above.

    Formula: KL(P_t‖P_s) = H(P_t, P_s) − h(P_t), the cross-entropy minus the teacher's entropy. Each
    teacher view is paired with V − 1 of the V views of the student. So the mean entropy over pairs
    is the mean over the teacher's views. Values below 0 are rounding errors and become 0.

    Source: DINO (arXiv 2104.14294, section 5.3, figure 7, right). Cost: O(1) in addition to
    ``cross_entropies`` and ``entropy``.

    Healthy: the divergence is clearly above 0, because the student always differs from the teacher.
    Broken: the divergence goes to 0, because the outputs of teacher and student depend less and
    less on the image.
    """
    return (cross_entropy - entropy).clamp(min=0)


def marginal_entropy(mean_probs: Tensor) -> Tensor:
    """Entropy of the mean assignment ``mean_probs`` [K], in nats: from 0 to ln K.

    Formula: H̄ = h(p̄) = −Σ_k p̄_k ln p̄_k, with p̄ the mean of P_t over *all* workers. Source:
    none, the metric is our own; it completes DINO's figure. Cost: O(K), and O(G·B·K) for the mean.

    Healthy: H̄ is high, so many prototypes are used. In a finite batch, H̄ is at most ln(targets) +
    h. Broken: H̄ is 0, so the whole batch is assigned to one prototype. If both H̄ and h are ln K,
    this is the uniform collapse.
    """
    total: Tensor = torch.special.entr(mean_probs.float()).sum()
    return total


def mutual_information(marginal_entropy: Tensor, entropy: Tensor) -> Tensor:
    """Mutual information between view and prototype, in nats; 0 or above.

    Formula: I = H̄ − mean h, the marginal entropy minus the mean entropy. I is at most ln of the
    number of targets in the batch. Different targets for two views of one image also increase I.
    ``teacher/kl`` shows whether student and teacher agree on these targets. Values below 0 are
    rounding errors and become 0.

    Source: none, the metric is our own; it uses the same entropies. Cost: O(1) in addition to
    ``marginal_entropy`` and ``entropy``.

    Healthy: I rises from nearly 0 to a large part of ln K or of ln(batch). Broken: I is 0, so every
    image gets the same target. No other single metric shows both kinds of collapse.
    """
    return (marginal_entropy - entropy).clamp(min=0)


def center_norm(center: Tensor) -> Tensor:
    """Norm of the centre [K], in units of the teacher's logits.

    Formula: ‖c‖₂ = √(Σ_k c_k²).

    Source: none, the metric is our own; c is DINO's (arXiv 2104.14294, equation 4). Cost: O(K).

    Healthy: the norm rises from 0 within some tens of steps and becomes steady. Broken: the norm
    grows without end, because the logits grow and the centre follows the logits. A norm of exactly
    0 means that there is no centering.
    """
    norm: Tensor = torch.linalg.vector_norm(center.float())
    return norm


def batch_averages(teacher_probs: Tensor, student_logits: Tensor | None) -> dict[str, Tensor]:
    """Computes every metric of this module that is a mean over images, as a dict.

    The functions of this module explain the metrics. Metrics with ``_global`` and ``_local`` in
    their names use only student views of this kind. These metrics are missing if there are no such
    views.

    Args:
        teacher_probs: [G, B, K].
        student_logits: [V, B, K], as in ``cross_entropies``. None leaves out metrics of the
            student.
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
