"""Descriptor of copy detection, and its whitening.

In: tokens of images. Out: descriptors, whitened or not. Next:
``poise.evaluation.neighbours.copy_detection``.

DINO (arXiv 2104.14294, section 4.2) describes an image by its [cls] token beside the generalised
mean of its patches (GeM, arXiv 1711.02512). Whitening follows the published evaluation: it
subtracts the mean of other images, but computes their covariance without centring.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from poise.config.errors import PoiseError
from poise.evaluation.reading.pixels import shrunk
from poise.models.backbone import VitBackbone, has_class_token
from poise.models.relative import RelativeBackbone

GEM_EXPONENT = 4.0
_LEAST = 1e-6  # patches are clamped to it, since a power of a negative number has no meaning here
_EIGENVALUE_FLOOR = 1e-5  # share of the largest eigenvalue


def gem(patches: Tensor, exponent: float = GEM_EXPONENT) -> Tensor:
    """Computes the generalised mean of patches [B, N, D] over N: [B, D], each at least 1e-6.

    Exponent 1 is the mean of the positive parts; a large exponent comes near their maximum.
    """
    return patches.clamp(min=_LEAST).pow(exponent).mean(dim=1).pow(1 / exponent)


def descriptor(tokens: Tensor, num_prefix_tokens: int = 1, has_cls: bool = True) -> Tensor:
    """Computes descriptors [B, 2·D] of normed tokens [B, prefix + N, D], [cls] first.

    Registers do not take part. Without a [cls] token the mean patch is in its place.
    """
    patches = tokens[:, num_prefix_tokens:]
    whole = tokens[:, 0] if has_cls else patches.mean(dim=1)
    return torch.cat([whole, gem(patches)], dim=1)


class Descriptors(nn.Module):
    """Transformer that gives ``descriptors`` [B, 2·D] and ``pixels`` [B, 768] of images."""

    def __init__(self, backbone: nn.Module) -> None:
        """Wraps a backbone.

        Raises:
            PoiseError: it has no patch tokens.
        """
        super().__init__()
        if not isinstance(backbone, VitBackbone | RelativeBackbone):
            raise PoiseError(
                f"{type(backbone).__name__}: copy detection pools patch tokens, and this backbone "
                "has none; use a vision transformer"
            )
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes both of normalised images [B, 3, h, w]."""
        tokens = self.backbone.tokens(images).float()
        prefix, has_cls = self.backbone.num_prefix_tokens, has_class_token(self.backbone)
        found = descriptor(tokens, prefix, has_cls)
        return {"descriptors": found, "pixels": shrunk(images)}


@dataclass(frozen=True)
class Whitening:
    """Change of axes that gives features the same spread in every direction."""

    mean: Tensor
    """[D]."""

    axes: Tensor
    """Columns are principal axes, each divided by its spread: [D, D]."""

    @classmethod
    def learned_on(cls, features: Tensor) -> "Whitening":
        """Learns it on features [n, D] of other images than those that are searched.

        n should be well above D. A variance below 1e-5 of the largest variance is replaced by this
        limit.
        """
        given = features.double()
        variances, axes = torch.linalg.eigh(given.T @ given / len(given))
        variances = variances.clamp(min=_EIGENVALUE_FLOOR * float(variances.max()))
        return cls(given.mean(dim=0), (axes / variances.sqrt()).flip(1))

    def __call__(self, features: Tensor) -> Tensor:
        """Whitens features [m, D], in float32."""
        return ((features.double() - self.mean) @ self.axes).float()


def unit(features: Tensor) -> Tensor:
    """Scales features [m, D] to length 1."""
    return normalize(features.float(), dim=1)
