"""Draws video sequences with their masks, as a strip of frames and as an animation.

In: frames, true masks and predicted masks of one sequence. Out: a PNG and a WebP file. Next:
``poise.evaluation.video.report`` adds their names to the report.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from poise.data.dataset import ImageDataset
from poise.data.views.decode import decode_rgb
from poise.evaluation.mask_colors import grid, paint, thumbnail_size
from poise.evaluation.video.propagation import Mask

_STRIP_FRAMES = 6
_ANIMATED_FRAMES = 60  # longer sequences skip frames, evenly spaced
_LEAST_PX, _MOST_PX = 128, 256  # longer side of a frame
_FRAME_MS = 120


class SequencePictures:
    """Small frames of one sequence, with true and predicted masks painted over them."""

    def __init__(self, dataset: ImageDataset, sample_ids: Sequence[int]) -> None:
        """Chooses the frames that are drawn and reads none yet.

        Args:
            dataset: dataset to read.
            sample_ids: ids of the sequence's frames, in order.
        """
        self._dataset = dataset
        self._ids = sample_ids
        self._drawn = set(_spread(len(sample_ids), _ANIMATED_FRAMES))
        self._frames: list[tuple[Image.Image, Image.Image]] = []

    def add(self, position: int, truth: Mask, found: Mask) -> None:
        """Adds the frame at a position of the sequence, if the pictures show this frame."""
        if position not in self._drawn:
            return
        encoded = self._dataset.read(np.array([self._ids[position]]))
        image = decode_rgb(encoded.images[0], encoded.ranges)
        size = thumbnail_size(image.size, _LEAST_PX, _MOST_PX)
        enlarged = size[0] > image.width
        filter_ = Image.Resampling.NEAREST if enlarged else Image.Resampling.BICUBIC
        small = image.resize(size, filter_)
        painted = (
            paint(small, np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)))
            for mask in (truth, found)
        )
        self._frames.append((next(painted), next(painted)))

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """Writes the strip and the animation, and returns the names of their files."""
        shown = [self._frames[index] for index in _spread(len(self._frames), _STRIP_FRAMES)]
        truths, found = zip(*shown, strict=True)
        strip = grid([("truth", truths), ("predicted from the first frame", found)])
        strip.save(folder / f"{name}.png")
        first, *others = [grid([("truth | predicted", pair)]) for pair in self._frames]
        first.save(
            folder / f"{name}.webp",
            save_all=True,
            append_images=others,
            duration=_FRAME_MS,
            loop=0,
            quality=80,
        )
        return f"{name}.png", f"{name}.webp"


def _spread(count: int, most: int) -> list[int]:
    """Returns at most ``most`` of the positions 0 … count − 1, evenly spaced, with both ends."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]
