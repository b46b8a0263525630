"""Compares a backbone before and after a register token was added.

In: both backbones and images. Out: metrics of both. Next: ``poise.cli.models.add_register``.

Protocol ``added-register/poise-v1``: outliers are patches whose norm after the last block is above
a limit. The limit is found in the original backbone and used for both.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.evaluation.outliers.threshold import Threshold, outlier_mask
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.models.test_time_registers import AddedRegister

PROTOCOL: Final = "added-register/poise-v1"


@dataclass(frozen=True)
class BeforeAndAfter:
    """Measurements before and after a register was added to a model.

    Norms are those of tokens before the last norm layer.
    """

    outliers_before: float
    """Share of outlier patches in the original, 0 to 1."""

    outliers_after: float
    """Share of patches above the same limit with the register, 0 to 1.

    Healthy: 0. Broken: almost the share before, so other neurons write the large norms.
    """

    longest_before: float
    """Largest norm of a patch in the original."""

    longest_after: float
    """Largest norm of a patch with the register. Healthy: a few times the median norm."""

    register_norm: float
    """Mean norm of the added register. Healthy: similar to the norms of the former outliers."""

    feature_cosine: float
    """Mean cosine between an image's feature with the register and the original feature, over all
    images.

    Healthy: near 1.
    """

    clean_feature_cosine: float | None
    """Mean cosine as in ``feature_cosine``, but over images without outliers only.

    Healthy: nearly 1, because these images have no outliers to move. The added token still takes a
    small share of attention. The value is None if every image has outliers.
    """

    clean_images: int


def compare_with_original(
    original: nn.Module,
    changed: AddedRegister,
    images: EvaluationImages,
    limits: Threshold,
    bench: Bench,
) -> BeforeAndAfter:
    """Compares both backbones on the same images.

    Each backbone reads each image once. Memory contains a few numbers per image.

    Args:
        original: backbone before the change, on the device of the bench.
        changed: backbone with its added register, on the same device.
        images: images to read.
        limits: threshold of the original.
        bench: settings for passing the images through the backbones.
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
    """Backbone that returns the feature, outlier share and norms of each image."""

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
