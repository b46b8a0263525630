"""Counts the images that each head classifies correctly, and chooses a head.

A feature has one head for each learning rate.

In: scores and labels. Out: ``Hits`` by feature. Next: ``poise.evaluation.trained_probes.report``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SHOWN = 5


@dataclass(frozen=True)
class Hits:
    """Numbers of images that each head of one feature classifies correctly.

    There is one head per learning rate.
    """

    top1: tuple[int, ...]
    """Number of images whose class gets the highest score, for each head."""

    top5: tuple[int, ...]
    """Number of images whose class gets one of the five highest scores, for each head."""

    num_images: int

    @property
    def best(self) -> int:
        """Index of the head with the most correct top-1 answers.

        If several heads have equally many, it is the first of these.
        """
        return max(range(len(self.top1)), key=self.top1.__getitem__)


@dataclass(frozen=True)
class RightAnswers:
    """Whether the chosen head of each feature classifies each labelled image correctly."""

    _found: dict[str, list[Tensor]] = field(default_factory=dict)

    def seen(
        self, answers: Mapping[str, Tensor], labels: Tensor
    ) -> tuple[Mapping[str, Tensor], Tensor]:
        """Remembers one batch of the chosen heads, and returns the batch for ``count_hits``.

        Args:
            answers: ``best_answers`` by feature, with one head each, [B, 1, 5].
            labels: labels, [B]. Images without a label are left out.
        """
        known = labels >= 0
        for name, classes in answers.items():
            right = classes.cpu()[known][:, 0, 0] == labels[known]
            self._found.setdefault(name, []).append(right)
        return answers, labels

    def by_feature(self) -> dict[str, NDArray[np.bool_]]:
        """Returns the answers by feature, bool [n], in the order of the images."""
        return {name: torch.cat(found).numpy() for name, found in self._found.items()}


def best_answers(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ranks the classes of each head by score.

    Args:
        scores: scores by feature, [B, G, C] for G heads and C classes.

    Returns:
        The five best classes by feature, [B, G, 5], or [B, G, C] if C is below 5. A head that has
        diverged answers −1, which is never correct.
    """
    return {name: _ranked(score) for name, score in scores.items()}


def _ranked(score: Tensor) -> Tensor:
    best = score.topk(min(_SHOWN, score.shape[-1]), dim=-1).indices
    finite = score.isfinite().all(dim=-1, keepdim=True)
    return torch.where(finite, best, -1)


def count_hits(answered: Iterable[tuple[Mapping[str, Tensor], Tensor]]) -> dict[str, Hits]:
    """Counts the correct answers of each head.

    Images without a label are left out.

    Args:
        answered: batches of ``best_answers`` and of labels [B].
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
