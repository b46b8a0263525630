"""Cuts an image's views: decodes the image once, then crops, resizes and flips.

In: ``EncodedBatch``. Out: ``ViewBatch`` of uint8 views, and the photometric parameters that were
drawn for these views. Next: ``poise.data.stream.stream`` sends the batch to the training worker,
where ``poise.data.views.color_augmentation`` changes the colours.

A view is cropped before it is resized, so even very long images need little memory. Resizing uses
torch's antialiased bicubic filter on interleaved uint8. Pillow has the same filter (results differ
by at most one level) but needs four times as long. Decoding takes most of the time;
``docs/decisions/0002-views-and-stream.md`` has measurements.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.views import ViewsConfig
from poise.data.batch import ViewBatch
from poise.data.counter_random import uniforms
from poise.data.dataset import EncodedBatch
from poise.data.views.color_augmentation import DRAWS_PER_PHOTOMETRY, draw_parameters
from poise.data.views.crops import DRAWS_PER_BOX, random_boxes
from poise.data.views.decode import BadImageError, decode_rgb

_DECODED_AT_ONCE = 8  # enough to draw boxes together; few enough if photographs are large


def empty(shape: Sequence[int]) -> Tensor:
    """Allocates uint8 memory in this process, without setting its values."""
    return torch.empty(tuple(shape), dtype=torch.uint8)


@dataclass(frozen=True)
class _Kind:
    """Settings of the views of one size: scale of the crops, and each view's probabilities."""

    first: int  # number of the first of these views among the image's views
    px: int
    scale: tuple[float, float]
    blur: NDArray[np.float64]  # [V, 1]
    solarize: NDArray[np.float64]  # [V, 1]

    @property
    def count(self) -> int:
        return len(self.blur)


class ViewCutter:
    """Cuts the views of a batch of encoded images.

    The views of a sample depend only on seed, epoch, sample id and image.
    """

    def __init__(
        self, views: ViewsConfig, seed: int, allocate: Callable[[Sequence[int]], Tensor] = empty
    ) -> None:
        """Stores the settings, and draws nothing yet.

        Args:
            views: number and sizes of the views, and the distribution of their crops and colours.
            seed: seed of the run.
            allocate: function that returns uint8 memory of a given shape for the views.
        """
        self._config = views
        self._seed = seed
        self._allocate = allocate
        self._global = _Kind(
            0,
            views.global_px,
            views.global_scale,
            _first_and_others(
                views.global_count,
                views.first_global_blur_probability,
                views.other_global_blur_probability,
            ),
            _first_and_others(
                views.global_count,
                views.first_global_solarize_probability,
                views.other_global_solarize_probability,
            ),
        )
        self._local = _Kind(
            views.global_count,
            views.local_px,
            views.local_scale,
            np.full((views.local_count, 1), views.local_blur_probability),
            np.full((views.local_count, 1), views.local_solarize_probability),
        )

    def __call__(self, encoded: EncodedBatch, epoch: int) -> ViewBatch:
        """Cuts the views of one batch in one epoch, on the CPU.

        Views have the shape ``[V, B, 3, H, W]``. In memory the channels are the last axis.

        Raises:
            PoiseError: an image cannot be decoded; the message names its sample.
        """
        kinds = (self._global, self._local)
        drawn = [self._draw(kind, encoded.sample_ids, epoch) for kind in kinds]
        pixels = [self._allocate((kind.count, len(encoded), kind.px, kind.px, 3)) for kind in kinds]
        for start in range(0, len(encoded), _DECODED_AT_ONCE):
            part = slice(start, start + _DECODED_AT_ONCE)
            images = [_decode(encoded, index) for index in range(len(encoded))[part]]
            for kind, uniform, out in zip(kinds, drawn, pixels, strict=True):
                self._cut(images, kind, uniform[:, part], out[:, part])
        views = [out.permute(0, 1, 4, 2, 3) for out in pixels]
        photometry = [self._photometry(*pair) for pair in zip(kinds, drawn, strict=True)]
        return ViewBatch(
            global_views=views[0],
            global_photometry=photometry[0],
            local_views=views[1],
            local_photometry=photometry[1],
            sample_ids=torch.from_numpy(encoded.sample_ids),
            labels=torch.from_numpy(encoded.labels),
        )

    def _draw(self, kind: _Kind, sample_ids: NDArray[np.int64], epoch: int) -> NDArray[np.float64]:
        """Draws uniform numbers for every view of every sample: [V, B, numbers per view]."""
        views = kind.first + np.arange(kind.count)[:, None]
        count = DRAWS_PER_BOX + 1 + DRAWS_PER_PHOTOMETRY
        return uniforms(self._seed, epoch, sample_ids, views, count)

    def _cut(
        self, images: list[Tensor], kind: _Kind, uniform: NDArray[np.float64], out: Tensor
    ) -> None:
        """Cuts the views of some images into ``out``, uint8 [V, B, px, px, 3]."""
        heights, widths = np.array([image.shape[-2:] for image in images]).T
        boxes = random_boxes(
            uniform[..., :DRAWS_PER_BOX], widths, heights, kind.scale, self._config.aspect_ratio
        ).tolist()
        flips = (uniform[..., DRAWS_PER_BOX] < self._config.flip_probability).tolist()
        for view in range(kind.count):
            for index, image in enumerate(images):
                crop = _resized(image, boxes[view][index], kind.px)
                out[view, index] = crop.flip(1) if flips[view][index] else crop

    def _photometry(self, kind: _Kind, uniform: NDArray[np.float64]) -> Tensor:
        photometric = uniform[..., DRAWS_PER_BOX + 1 :]
        parameters = draw_parameters(photometric, self._config, kind.blur, kind.solarize)
        return torch.from_numpy(parameters)


def _first_and_others(count: int, first: float, other: float) -> NDArray[np.float64]:
    return np.array([first] + [other] * (count - 1))[:, None]


def _decode(encoded: EncodedBatch, index: int) -> Tensor:
    """Decodes one image as uint8 [1, 3, H, W]. In memory the channels are the last axis."""
    try:
        image = decode_rgb(encoded.images[index], encoded.ranges)
    except BadImageError as error:
        raise PoiseError(
            f"sample {encoded.sample_ids[index]} of the dataset cannot be decoded: {error}; "
            "the dataset is damaged, run `poise data prepare` again"
        ) from None
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


def _resized(image: Tensor, box: list[int], px: int) -> Tensor:
    """Cuts a box out of an image and resizes it to px × px pixels: uint8 [px, px, 3]."""
    left, top, width, height = box
    crop = image[:, :, top : top + height, left : left + width]
    resized = F.interpolate(crop, size=(px, px), mode="bicubic", antialias=True)
    return resized[0].permute(1, 2, 0)
