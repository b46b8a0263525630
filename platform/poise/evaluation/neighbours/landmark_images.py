"""Reads photographs of landmarks at their own proportions, one by one.

In: a retrieval benchmark. Out: one uint8 image at a time. Next:
``poise.evaluation.neighbours.landmark_retrieval``.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from poise.config.errors import PoiseError
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.views.decode import BadImageError, decode_rgb
from poise.evaluation.neighbours.landmarks import Box
from poise.evaluation.reading.image_sets import Batch
from poise.evaluation.reading.images import EvaluationImages

_SCALES = (1.0, 2**-0.5, 0.5)


class OwnShapeImages(EvaluationImages):
    """Images whose longer side is at most ``image_px``, at their own proportions.

    Each image is a separate batch, because the shapes differ.
    """

    def __init__(self, dataset: ImageDataset, image_px: int, boxes: Mapping[int, Box]) -> None:
        """Stores the settings and reads no image yet.

        Args:
            dataset: dataset whose images are all used.
            image_px: largest length of the longer side. A larger image is shrunk by Lanczos
                resampling.
            boxes: parts of images that are cropped before resizing, by sample id.
        """
        super().__init__(dataset, image_px, cache_bytes=0)
        self._boxes = dict(boxes)

    def _prepare(self, encoded: EncodedBatch) -> Batch:
        if len(encoded) != 1:
            raise ValueError("images of their own shapes need a batch size of 1")
        sample_id = int(encoded.sample_ids[0])
        try:
            image = decode_rgb(encoded.images[0], encoded.ranges)
        except BadImageError as error:
            raise PoiseError(
                f"{self.folder}: image {sample_id} cannot be decoded: {error}; unpack the "
                "benchmark again"
            ) from None
        pixels: NDArray[np.uint8] = np.array(self._view(image, sample_id))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None], torch.from_numpy(encoded.labels)

    def _view(self, image: Image.Image, sample_id: int) -> Image.Image:
        if sample_id in self._boxes:
            left, top, right, bottom = (round(edge) for edge in self._boxes[sample_id])
            image = image.crop((left, top, right, bottom))
        else:
            image = image.copy()
        image.thumbnail((self.image_px, self.image_px), Image.Resampling.LANCZOS)
        return image


class WholePatches(nn.Module):
    """Backbone for images of any shape.

    Rows and columns beyond the last whole patch are cut off.
    """

    def __init__(self, backbone: nn.Module, multiscale: bool = False) -> None:
        """Wraps a backbone.

        Args:
            backbone: module that computes features [B, D].
            multiscale: whether features at scales 1, 1/√2 and 1/2 are averaged, as published.
                Smaller images are made by bilinear interpolation.
        """
        super().__init__()
        self.backbone = backbone
        self._patch_px = int(getattr(backbone, "patch_px", 1))
        self._scales = _SCALES if multiscale else _SCALES[:1]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes L2-normalised features [B, D] from normalised images [B, 3, h, w]."""
        found = [self.backbone(self._whole(self._scaled(images, each))) for each in self._scales]
        mean = torch.stack(found).mean(dim=0)
        return {"features": nn.functional.normalize(mean.float(), dim=1)}

    def _scaled(self, images: Tensor, scale: float) -> Tensor:
        if scale == 1:
            return images
        return interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)

    def _whole(self, images: Tensor) -> Tensor:
        rows, columns = (side // self._patch_px * self._patch_px for side in images.shape[-2:])
        if not rows or not columns:  # narrower than a patch
            larger = [max(side, self._patch_px) for side in images.shape[-2:]]
            return self._whole(interpolate(images, size=larger, mode="bilinear"))
        return images[..., :rows, :columns]
