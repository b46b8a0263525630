"""Computes the features of images for the probes.

In: a backbone and images. Out: features and labels. Next: ``poise.evaluation.neighbours.knn``.
"""

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.models.readout import Readout, check_feature, default_feature


def features_of(
    backbone: nn.Module, images: EvaluationImages, bench: Bench
) -> tuple[Tensor, Tensor]:
    """Computes the features of whole images, with the backbone in evaluation mode.

    Args:
        backbone: backbone on the device of the bench. Its modules get their train or eval mode
            back.
        images: images to pass through the backbone.
        bench: device and batch size for the pass.

    Returns:
        Features float32 [n, D] on the device and labels int64 [n], by sample id. −1 means that the
        label is unknown.

    Raises:
        NotFiniteError: a feature is NaN or infinite.
    """
    found, all_labels = [], []
    for outputs, labels in image_pass(NamedFeatures(backbone), images, bench):
        found.append(outputs["features"].float())
        all_labels.append(labels)
    return torch.cat(found), torch.cat(all_labels)


def one_feature(backbone: nn.Module, name: str, image_px: int) -> nn.Module:
    """Makes a module that computes one kind of feature [B, D] of images [B, 3, h, w].

    Args:
        backbone: backbone that computes the tokens.
        name: name of the feature.
        image_px: side of the images in pixels.

    Raises:
        PoiseError: the backbone has no such feature, or the feature must be trained first.
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


class NamedFeatures(nn.Module):
    """Backbone that returns its features [B, D] under the name ``features``."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes features of normalised images [B, 3, h, w]."""
        return {"features": self.backbone(images)}
