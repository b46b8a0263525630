"""From images to the features that probes read.

In: a backbone and images. Out: features and labels. Next: ``poise.evaluation.knn``.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.evaluation.images import EvaluationImages
from poise.evaluation.passes import (
    Normalization,
    evaluation_mode,
    image_pass,
    no_progress,
)
from poise.models.readout import Readout, check_feature, default_feature


def features_of(
    backbone: nn.Module,
    images: EvaluationImages,
    normalization: Normalization,
    device: torch.device,
    batch_size: int | None = None,
    bf16: bool = False,
    on_images: Callable[[int], None] = no_progress,
    over_ray: bool = False,
) -> tuple[Tensor, Tensor]:
    """The backbone's features of whole images, in evaluation mode.

    Args:
        backbone: on ``device``; its modules get their modes back afterwards.
        images: what to look at.
        normalization: channel mean and std.
        device: where to compute.
        batch_size: images at once; none means what suits the device.
        bf16: computes under bfloat16 autocast; the published evaluation is float32.
        on_images: is told after each batch how many images it had.
        over_ray: spreads the images over the Ray cluster; the features are the same.

    Returns:
        features float32 [n, D] on ``device`` and labels int64 [n] (-1 unknown), by sample id.
    """
    found, all_labels = [], []
    reader = _Features(backbone)
    with evaluation_mode(backbone):
        for outputs, labels in image_pass(
            reader, images, normalization, device, batch_size, bf16, on_images, over_ray
        ):
            found.append(outputs["features"].float())
            all_labels.append(labels)
    return torch.cat(found), torch.cat(all_labels)


def one_feature(backbone: nn.Module, name: str, image_px: int) -> nn.Module:
    """A module that gives one feature [B, D] of images [B, 3, h, w], as ``features_of`` takes.

    Raises:
        PoiseError: the backbone has no such feature, or it is one that must learn first.
    """
    check_feature(backbone, name, image_px)
    if name == "abmilp":
        raise PoiseError(f"features={name}: a pooling that learns; use poise evaluate attentive")
    return backbone if name == default_feature(backbone) else _OneFeature(backbone, name, image_px)


class _OneFeature(nn.Module):
    def __init__(self, backbone: nn.Module, name: str, image_px: int) -> None:
        super().__init__()
        self.name = name
        self.readout = Readout(backbone, (name,), image_px)

    def forward(self, images: Tensor) -> Tensor:
        feature: Tensor = self.readout(images)[self.name]
        return feature


class _Features(nn.Module):
    """A backbone whose features have a name."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"features": self.backbone(images)}
