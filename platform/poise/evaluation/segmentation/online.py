"""Probe of patch tokens during training: does a linear classifier separate object and background?

In: a backbone and two datasets with masks. Out: ``(name, value)`` pairs. Next:
``poise.evaluation.during_training``.

``segmentation/patches-poise-v1`` is a small version of ``poise evaluate segmentation``. A linear
classifier learns from patches of 256 images of the bank (the reference images of k-NN). Its score
is measured on patches of 256 query images. These images are the same at every step and in every run
on these datasets. A patch is an object if more than half of its counted pixels are marked.

``dense_miou`` is the mean intersection over union of the classes object and background, in percent,
counted in patches. Healthy: above the value of the untrained backbone. Broken: below this value.
Then patches have lost their position or their content, as in a long training without registers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from poise.data.annotations import AnnotationReader, annotation_kinds
from poise.data.dataset import ImageDataset
from poise.data.sources.base import NO_LABEL
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.images import EvaluationImages, crop_mask
from poise.evaluation.reading.inference import Bench
from poise.evaluation.segmentation.classes import PixelClasses
from poise.evaluation.segmentation.classifier import fit_classifier
from poise.evaluation.segmentation.patches import PatchReader, class_shares
from poise.models.backbone import has_patches

PROTOCOL: Final = "segmentation/patches-poise-v1"

DENSE_IMAGES: Final = 256
"""Largest number of images that the probe reads from each dataset."""

_CLASSES = PixelClasses("object", ("background", "object"))


@dataclass(frozen=True)
class MaskedImages:
    """Images of a dataset that has masks."""

    dataset: ImageDataset
    images: EvaluationImages

    @classmethod
    def of(cls, dataset: ImageDataset, image_px: int) -> "MaskedImages | None":
        """Chooses images with seed 0. Returns None if the dataset has no masks."""
        if "mask" not in annotation_kinds(dataset):
            return None
        return cls(dataset, EvaluationImages(dataset, image_px, DENSE_IMAGES))

    def shares(self, patch_px: int) -> Tensor:
        """Computes the shares of background and object in every patch, [n, N, 2].

        A patch has two zeros if none of its pixels is counted.
        """
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
    """Yields ``dense_miou``.

    Yields nothing if the backbone cannot cut the images into whole patches, or if all pixels of a
    dataset are ignored. The modules keep their train or eval mode.

    Raises:
        NotFiniteError: a token is NaN or infinite.
    """
    patch_px = int(backbone.patch_px)  # type: ignore[arg-type]
    if not has_patches(backbone) or bank.images.image_px % patch_px:
        return
    learned, shares = _patches(backbone, bank, patch_px, bench)
    tested, truths = _patches(backbone, queries, patch_px, bench)
    if not (shares.any() and truths.any()):
        return
    layer, _ = fit_classifier(learned.flatten(0, 1), shares.flatten(0, 1), _numbers(learned))
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
    """Returns patch tokens after the last norm [n, N, D] and their class shares [n, N, 2]."""
    passed = image_pass(PatchReader(backbone), masked.images, bench)
    tokens = torch.cat([outputs["model"].float() for outputs, _ in passed])
    return tokens, masked.shares(patch_px).to(tokens.device)


def _numbers(tokens: Tensor) -> Tensor:
    """Returns the number of the image that each patch is from, [n·N]."""
    return torch.arange(len(tokens)).repeat_interleave(tokens.shape[1])
