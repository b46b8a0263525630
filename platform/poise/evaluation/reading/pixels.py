"""Uses raw pixels as features, a baseline for every metric of a backbone.

In: the batches that a backbone gets. Out: its features and the shrunk images. Next:
``poise.evaluation.neighbours.retrieval`` and ``poise.evaluation.embedding_map.embed``.

Raw pixels are enough to classify many images of a simple dataset. On CIFAR-10 they classify better
than a backbone after a short training. So no metric can be judged without this baseline.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

GRID = 16
"""Side of the shrunk images in pixels."""


class WithPixels(nn.Module):
    """Backbone that returns its ``features`` [B, D] and the shrunk ``pixels`` [B, 3 · 16 · 16]."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes features and pixels of normalised images [B, 3, h, w]."""
        return {"features": self.backbone(images), "pixels": shrunk(images)}


def shrunk(images: Tensor) -> Tensor:
    """Shrinks normalised images [B, 3, h, w] to float32 [B, 3 · 16 · 16] by averaging areas."""
    return adaptive_avg_pool2d(images.float(), GRID).flatten(1)


def centred(features: Tensor) -> Tensor:
    """Subtracts the mean over all images from features [n, D].

    Without this, cosines of raw pixels would mostly compare brightness.
    """
    return features - torch.mean(features, dim=0)
