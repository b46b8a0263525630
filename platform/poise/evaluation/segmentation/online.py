"""Probe of dense features during training: is a patch an object or background?

In: a backbone and two sets of masks. Out: ``(name, value)`` pairs. Next:
``poise.evaluation.during_training``.

``segmentation/patches-poise-v1`` is a small twin of ``poise evaluate segmentation``. A linear
classifier learns from patches of 256 images of the bank and is scored on patches of 256 queries,
the same at every step and in every run on these datasets. A patch counts as object if half of its
pixels are marked.

``dense_miou``: the mean over object and background of the intersection over union of patches, in
percent. Healthy: above the value of the untrained backbone. Broken: below it. Then patches have
lost their position or their content, as in a long training without registers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from poise.data.annotations import AnnotationReader, annotation_kinds
from poise.data.dataset import ImageDataset
from poise.data.sources.base import NO_LABEL
from poise.evaluation.reading.bench import Bench
from poise.evaluation.reading.images import EvaluationImages, crop_mask
from poise.evaluation.reading.passes import image_pass
from poise.evaluation.segmentation.classes import PixelClasses
from poise.evaluation.segmentation.classifier import fit_classifier
from poise.evaluation.segmentation.patches import PatchReader, class_shares

PROTOCOL: Final = "segmentation/patches-poise-v1"

DENSE_IMAGES: Final = 256
"""Largest number of images of each set that the probe reads."""

_CLASSES = PixelClasses("object", ("background", "object"))


@dataclass(frozen=True)
class MaskedImages:
    """Images with masks."""

    dataset: ImageDataset
    images: EvaluationImages

    @classmethod
    def of(cls, dataset: ImageDataset, image_px: int) -> "MaskedImages | None":
        """Chooses images with seed 0; None if the dataset has no masks."""
        if "mask" not in annotation_kinds(dataset):
            return None
        return cls(dataset, EvaluationImages(dataset, image_px, DENSE_IMAGES))

    def shares(self, patch_px: int) -> Tensor:
        """Shares of background and object in every patch, [n, N, 2]; zeros if not counted."""
        reader = AnnotationReader(self.dataset, "mask")
        return torch.stack(
            [
                class_shares(
                    _CLASSES.of(crop_mask(mask, self.images.image_px), NO_LABEL),
                    patch_px,
                    len(_CLASSES),
                )
                for annotations in reader.by_group(self.images.sample_ids)
                for mask in annotations.masks
            ]
        )


def dense_probe(
    backbone: nn.Module, bank: MaskedImages, queries: MaskedImages, bench: Bench
) -> Iterator[tuple[str, float]]:
    """Yields ``dense_miou``; nothing for a backbone without whole patches.

    The modules keep their modes.

    Raises:
        NotFiniteError: a token is NaN or infinite.
    """
    patch_px = int(backbone.patch_px)  # type: ignore[arg-type]
    if not hasattr(backbone, "tokens") or bank.images.image_px % patch_px:
        return
    learned, shares = _patches(backbone, bank, patch_px, bench)
    layer, _ = fit_classifier(learned.flatten(0, 1), shares.flatten(0, 1), _numbers(learned))
    tested, truths = _patches(backbone, queries, patch_px, bench)
    counted = truths.sum(dim=2) > 0
    found, true = layer(tested).argmax(dim=2)[counted], truths.argmax(dim=2)[counted]
    unions = [
        ((found == number) & (true == number)).sum() / ((found == number) | (true == number)).sum()
        for number in range(len(_CLASSES))
        if bool(((found == number) | (true == number)).any())
    ]
    yield "dense_miou", 100 * torch.stack(unions).mean().item()


def _patches(
    backbone: nn.Module, masked: MaskedImages, patch_px: int, bench: Bench
) -> tuple[Tensor, Tensor]:
    """Patch tokens after the last norm [n, N, D] and their shares of each class [n, N, 2]."""
    passed = image_pass(PatchReader(backbone), masked.images, bench)
    tokens = torch.cat([outputs["model"].float() for outputs, _ in passed])
    return tokens, masked.shares(patch_px).to(tokens.device)


def _numbers(tokens: Tensor) -> Tensor:
    """Number of the image that each patch is from, [n·N]."""
    return torch.arange(len(tokens)).repeat_interleave(tokens.shape[1])
