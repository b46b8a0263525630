"""Backbone with an added register, measured against itself as it was.

In: both backbones and images. Out: metrics from before and after. Next:
``poise.cli.models_add_register``.

Protocol ``added-register/poise-v1``: outliers are patches whose norm after the last block is above
the limit that was found in the original. The same limit counts them afterwards.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.evaluation.outliers.threshold import Threshold, outlier_mask
from poise.evaluation.reading.bench import Bench
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.passes import image_pass
from poise.models.added_register import AddedRegister

PROTOCOL: Final = "added-register/poise-v1"


@dataclass(frozen=True)
class BeforeAndAfter:
    """What an added register changed. Norms are of raw tokens after the last block."""

    outliers_before: float
    """Share of outlier patches in the original, 0 to 1."""

    outliers_after: float
    """Share of patches above the same limit. Healthy: 0. Broken: almost the share before, so other
    neurons write the norms."""

    longest_before: float
    """Largest norm of a patch in the original."""

    longest_after: float
    """Largest norm of a patch afterwards. Healthy: a few times the median norm."""

    register_norm: float
    """Mean norm of the added register. Healthy: of the order of the former outliers."""

    feature_cosine: float
    """Mean cosine of an image's feature before and after, over all images. Healthy: near 1."""

    clean_feature_cosine: float | None
    """Same over images without outliers; None if there are none. Healthy: nearly 1, because
    there is nothing to move. The added token still takes a small share of attention."""

    clean_images: int


def compare_with_original(
    original: nn.Module,
    changed: AddedRegister,
    images: EvaluationImages,
    limits: Threshold,
    bench: Bench,
) -> BeforeAndAfter:
    """Passes images through both backbones, once each. Memory holds a few numbers per image.

    Args:
        original: the backbone as it was, on the bench's device.
        changed: the backbone with its added register, on the same device.
        images: images to read.
        limits: threshold of the original.
        bench: how images are passed.
    """
    before = _summaries(original, images, limits, bench)
    after = _summaries(changed, images, limits, bench)
    cosines = F.cosine_similarity(before["features"], after["features"], dim=1)
    clean = before["outliers"] == 0
    return BeforeAndAfter(
        outliers_before=float(before["outliers"].mean()),
        outliers_after=float(after["outliers"].mean()),
        longest_before=float(before["longest"].max()),
        longest_after=float(after["longest"].max()),
        register_norm=float(after["register"].mean()),
        feature_cosine=float(cosines.mean()),
        clean_feature_cosine=float(cosines[clean].mean()) if clean.any() else None,
        clean_images=int(clean.sum()),
    )


def _summaries(
    backbone: nn.Module, images: EvaluationImages, limits: Threshold, bench: Bench
) -> dict[str, Tensor]:
    found: dict[str, list[Tensor]] = {}
    for outputs, _ in image_pass(_Summaries(backbone, limits), images, bench):
        for name, values in outputs.items():
            found.setdefault(name, []).append(values.cpu())
    return {name: torch.cat(values) for name, values in found.items()}


class _Summaries(nn.Module):
    """Backbone that returns a few numbers of each image's tokens."""

    def __init__(self, backbone: nn.Module, limits: Threshold) -> None:
        super().__init__()
        self.backbone, self.limits = backbone, limits

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        backbone: Any = self.backbone
        norms = torch.linalg.vector_norm(backbone.block_outputs(images, 1)[0].float(), dim=-1)
        start = backbone.num_prefix_tokens
        patches = norms[:, start:]
        return {
            "features": backbone(images),
            "outliers": outlier_mask(patches, self.limits).float().mean(dim=1),
            "longest": patches.amax(dim=1),
            "register": norms[:, start - 1] if start else patches.amin(dim=1),
        }
