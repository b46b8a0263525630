"""Raw pixels as features: the baseline for every metric of a backbone.

In: the batches that a backbone sees. Out: its features and the shrunk images. Next:
``poise.evaluation.neighbours.retrieval`` and ``poise.evaluation.embedding.embed``.

Raw pixels solve a part of any simple dataset: on CIFAR-10 they classify better than a backbone that
has trained briefly. A metric cannot be judged without this baseline.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

GRID = 16
"""Side of the shrunk images."""


class WithPixels(nn.Module):
    """Backbone that returns its ``features`` [B, D] and the ``pixels`` [B, 3 · 16 · 16]."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes both of normalised images [B, 3, h, w]."""
        return {"features": self.backbone(images), "pixels": shrunk(images)}


def shrunk(images: Tensor) -> Tensor:
    """Shrinks normalised images [B, 3, h, w] to float32 [B, 3 · 16 · 16] by averaging areas."""
    return adaptive_avg_pool2d(images.float(), GRID).flatten(1)


def centred(features: Tensor) -> Tensor:
    """Subtracts the mean from features [n, D].

    Otherwise cosines of raw pixels would mostly compare brightness.
    """
    return features - torch.mean(features, dim=0)
