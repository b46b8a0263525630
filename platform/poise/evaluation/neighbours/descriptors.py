"""Computes the descriptors of copy detection, and whitens them.

In: tokens of images. Out: descriptors, whitened or not. Next:
``poise.evaluation.neighbours.copy_detection``.

DINO (arXiv 2104.14294, section 4.2) describes an image by its [cls] token concatenated with the
generalised mean of its patch tokens (GeM, arXiv 1711.02512). Whitening follows the published
evaluation: it subtracts the mean of other images, but computes their covariance without centring.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from poise.evaluation.reading.pixels import shrunk
from poise.models.backbone import has_class_token

GEM_EXPONENT = 4.0
_LEAST = 1e-6  # smallest value of patches, because powers need positive numbers
_EIGENVALUE_FLOOR = 1e-5  # share of the largest eigenvalue


def gem(patches: Tensor, exponent: float = GEM_EXPONENT) -> Tensor:
    """Computes the generalised mean of the N patches of each image.

    Exponent 1 gives the mean of the positive parts. A large exponent approaches the maximum.

    Args:
        patches: tokens of patches, [B, N, D].
        exponent: exponent of the mean.

    Returns:
        Means [B, D], each at least 1e-6.
    """
    return patches.clamp(min=_LEAST).pow(exponent).mean(dim=1).pow(1 / exponent)


def descriptor(tokens: Tensor, num_prefix_tokens: int = 1, has_cls: bool = True) -> Tensor:
    """Computes descriptors: the [cls] token concatenated with GeM of the patches.

    Register tokens are not used. If there is no [cls] token, the mean of the patches replaces it.

    Args:
        tokens: tokens after the last norm layer, [B, prefix + N, D].
        num_prefix_tokens: number of tokens before the patches.
        has_cls: whether token 0 is [cls].

    Returns:
        Descriptors [B, 2·D].
    """
    patches = tokens[:, num_prefix_tokens:]
    whole = tokens[:, 0] if has_cls else patches.mean(dim=1)
    return torch.cat([whole, gem(patches)], dim=1)


class Descriptors(nn.Module):
    """Transformer that computes ``descriptors`` [B, 2·D] and ``pixels`` [B, 768] of images."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes descriptors and pixels of normalised images [B, 3, h, w]."""
        backbone: Any = self.backbone
        tokens = backbone.tokens(images).float()
        found = descriptor(tokens, backbone.num_prefix_tokens, has_class_token(backbone))
        return {"descriptors": found, "pixels": shrunk(images)}


@dataclass(frozen=True)
class Whitening:
    """Whitening: a linear map after which features vary equally in every direction."""

    mean: Tensor
    """Mean of the features, [D]."""

    axes: Tensor
    """Principal axes as columns, [D, D]. Each axis is divided by the standard deviation along it.
    """

    @classmethod
    def learned_on(cls, features: Tensor) -> "Whitening":
        """Learns a whitening from the features of n images that are not part of the search, [n, D].

        The number n should be well above D. A variance below 1e-5 of the largest variance is raised
        to this limit.
        """
        given = features.double()
        variances, axes = torch.linalg.eigh(given.T @ given / len(given))
        variances = variances.clamp(min=_EIGENVALUE_FLOOR * float(variances.max()))
        return cls(given.mean(dim=0), (axes / variances.sqrt()).flip(1))

    def __call__(self, features: Tensor) -> Tensor:
        """Whitens features [m, D], in float32."""
        return ((features.double() - self.mean) @ self.axes).float()


def unit(features: Tensor) -> Tensor:
    """Scales each of m features to an L2 norm of 1, [m, D]."""
    return normalize(features.float(), dim=1)
