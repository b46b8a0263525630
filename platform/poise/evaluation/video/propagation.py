"""Propagates the labels of a video's first frame to the next frames by the similarity of patches.

In: patch features of each frame, and the mask of the first frame. Out: a mask of every later frame.
Next: ``poise.evaluation.video.tracking``.

Source: DINO (arXiv 2104.14294, section 4.2.2), after A. Jabri et al. (arXiv 2006.14613). Nothing is
trained.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Mask = NDArray[np.uint8]
"""Object number of each pixel, uint8 [H, W]. 0 is the background, and 255 is ignored."""

_SIMILARITIES_AT_ONCE = 2**24  # in memory at once: 64 MiB of float32


@dataclass(frozen=True)
class Propagation:
    """Settings of label propagation. The defaults are the published values."""

    last_frames: int = 7
    """Number of earlier frames whose labels are used, in addition to the first frame."""

    neighbours: int = 5
    """Number of most similar patches, among all these frames, that give a patch its label."""

    reach: int = 12
    """Largest distance to a patch that gives its label, in patches along each axis."""

    temperature: float = 0.1
    """Temperature of the softmax: the weight of a neighbour is exp(cosine / temperature)."""


class LabelPropagation:
    """Propagates the labels of one sequence, frame by frame.

    Memory contains at most ``last_frames`` + 1 earlier frames.
    """

    def __init__(self, features: Tensor, labels: Tensor, settings: Propagation) -> None:
        """Starts with the first frame.

        Args:
            features: L2-normalised features of the patches in h rows and w columns, [h, w, D].
            labels: one-hot labels from ``first_labels`` for C classes, [C, h, w].
            settings: settings of label propagation.
        """
        self._settings = settings
        self._first = (features, labels)
        self._last: deque[tuple[Tensor, Tensor]] = deque(maxlen=settings.last_frames)

    def advance(self, features: Tensor) -> Tensor:
        """Computes the soft labels [C, h, w] of the next frame from its features [h, w, D]."""
        known = [self._first, *self._last]
        sources = torch.stack([frame for frame, _ in known])
        labels = torch.stack([each for _, each in known])
        found = propagate(features, sources, labels, self._settings)
        self._last.append((features, found))
        return found


def propagate(target: Tensor, sources: Tensor, labels: Tensor, settings: Propagation) -> Tensor:
    """Gives each patch the weighted mean label of its most similar patches in other frames.

    The rows of the frame are computed in parts. So memory does not grow with the square of the
    number of patches.

    Args:
        target: L2-normalised features of the frame, [h, w, D].
        sources: L2-normalised features of n other frames, [n, h, w, D].
        labels: labels of these n frames, [n, C, h, w].
        settings: settings of label propagation.

    Returns:
        Labels [C, h, w]. The labels of a patch add up to 1 if those of every source patch do.
    """
    num_frames, height, width, _ = sources.shape
    window = min(height, 2 * settings.reach + 1)
    per_row = num_frames * window * width * width
    rows = max(1, min(height, _SIMILARITIES_AT_ONCE // per_row))
    starts = range(0, height, rows)
    parts = [
        _rows_of(target, (sources, labels), settings, (top, min(height, top + rows)))
        for top in starts
    ]
    return torch.cat(parts, dim=1)


def _rows_of(
    target: Tensor, known: tuple[Tensor, Tensor], settings: Propagation, rows: tuple[int, int]
) -> Tensor:
    """Computes the labels [C, rows, w] of the target's rows from ``rows[0]`` to ``rows[1]`` − 1."""
    sources, labels = known
    (top, bottom), (height, width) = rows, target.shape[:2]
    first, last = max(0, top - settings.reach), min(height, bottom + settings.reach)
    near = sources[:, first:last].flatten(0, 2)  # [n · r · w, D]
    similarity = target[top:bottom].flatten(0, 1) @ near.T
    within = _within((top, bottom), (first, last), width, settings.reach).to(target.device)
    similarity.masked_fill_(~within.repeat(1, len(sources)), -torch.inf)
    best, places = similarity.topk(min(settings.neighbours, len(near)), dim=1)
    weights = (best / settings.temperature).softmax(dim=1)
    given = labels[:, :, first:last].transpose(0, 1).flatten(1)  # [C, n · r · w]
    mixed: Tensor = (given[:, places] * weights).sum(dim=2)
    return mixed.view(-1, bottom - top, width)


def _within(rows: tuple[int, int], source_rows: tuple[int, int], width: int, reach: int) -> Tensor:
    """Marks the source patches within reach of each target patch: [rows · w, source rows · w]."""
    down = (torch.arange(*rows)[:, None] - torch.arange(*source_rows)).abs() <= reach
    across = (torch.arange(width)[:, None] - torch.arange(width)).abs() <= reach
    both = down[:, None, :, None] & across[None, :, None, :]
    return both.flatten(2).flatten(0, 1)


def first_labels(mask: Mask, objects: Sequence[int], grid: tuple[int, int]) -> Tensor:
    """Computes one-hot labels of patches. Each patch gets the object at its centre pixel.

    Args:
        mask: object numbers [H, W].
        objects: numbers of the objects. Every other number is background.
        grid: numbers of rows and columns of patches.

    Returns:
        Labels float32 [1 + objects, rows, columns]. Channel 0 is the background.
    """
    rows, columns = grid
    small = np.asarray(Image.fromarray(mask).resize((columns, rows), Image.Resampling.NEAREST))
    of_objects = np.stack([small == number for number in objects])
    background = ~of_objects.any(axis=0, keepdims=True)
    return torch.from_numpy(np.concatenate([background, of_objects])).float()


def mask_of(labels: Tensor, objects: Sequence[int], patch_px: int, size: tuple[int, int]) -> Mask:
    """Turns soft labels of patches into a mask of object numbers.

    As published, labels are enlarged bilinearly, each channel is stretched to the range 0 to 1, and
    each pixel takes the highest channel. Then the mask is resized to the frame's own size.

    Args:
        labels: labels of patches from ``propagate``, [C, h, w].
        objects: numbers of the objects, in the order of the channels after the background.
        patch_px: side of a patch in pixels.
        size: height and width of the mask.

    Returns:
        Mask uint8 [H, W].
    """
    enlarged = F.interpolate(labels[None], scale_factor=patch_px, mode="bilinear")[0]
    lowest = enlarged.amin(dim=(1, 2), keepdim=True)
    span = enlarged.amax(dim=(1, 2), keepdim=True) - lowest
    # A channel with only one value is not stretched, which would divide by 0.
    stretched = torch.where(span > 0, (enlarged - lowest) / span, enlarged)
    numbers = np.array([0, *objects], dtype=np.uint8)
    found = numbers[stretched.argmax(dim=0).cpu().numpy()]
    height, width = size
    return np.asarray(Image.fromarray(found).resize((width, height), Image.Resampling.NEAREST))
