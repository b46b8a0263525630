"""Counts the images that each head of a grid classifies correctly, and chooses a head.

In: scores and labels. Out: ``Hits`` by feature. Next: ``poise.evaluation.trained_probes.report``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_SHOWN = 5


@dataclass(frozen=True)
class Hits:
    """Numbers of correct answers of one feature's heads, in the order of the grid."""

    top1: tuple[int, ...]
    """For each head, the number of images whose best answer is correct."""

    top5: tuple[int, ...]
    """For each head, the number of images whose class is among the five best answers."""

    num_images: int

    @property
    def best(self) -> int:
        """Index of the head with the most correct best answers; if several are equal, the first."""
        return max(range(len(self.top1)), key=self.top1.__getitem__)


def best_answers(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ranks the classes of each head by score.

    Args:
        scores: [B, G, C] by feature, for G heads.

    Returns:
        The five best classes [B, G, 5], or C classes if C is less than 5. A head that has diverged
        answers -1, which is never correct.
    """
    return {name: _ranked(score) for name, score in scores.items()}


def _ranked(score: Tensor) -> Tensor:
    best = score.topk(min(_SHOWN, score.shape[-1]), dim=-1).indices
    finite = score.isfinite().all(dim=-1, keepdim=True)
    return torch.where(finite, best, -1)


def count_hits(answered: Iterable[tuple[Mapping[str, Tensor], Tensor]]) -> dict[str, Hits]:
    """Counts correct answers over batches of ``best_answers`` and labels [B].

    Images without a label are left out.
    """
    first: dict[str, Tensor] = {}
    among: dict[str, Tensor] = {}
    num_images = 0
    for answers, labels in answered:
        known = labels >= 0
        num_images += int(known.sum())
        for name, classes in answers.items():
            right = classes.cpu()[known] == labels[known][:, None, None]  # [b, G, 5]
            first[name] = first.get(name, torch.zeros(())) + right[..., 0].sum(0)
            among[name] = among.get(name, torch.zeros(())) + right.any(-1).sum(0)
    return {
        name: Hits(_ints(first[name]), _ints(among[name]), num_images) for name in first
    }  # fmt: skip


def _ints(counts: Tensor) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)
