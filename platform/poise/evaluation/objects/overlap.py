"""Compares attention masks with true masks: their overlap (Jaccard index), for each head.

In: attention over patches, and true masks. Out: ``Overlaps``. Next:
``poise.evaluation.objects.mask_report``.

The true mask keeps its own size. Each of its pixels belongs to the patch that covers the pixel's
centre. So an overlap is a sum over patches. No mask must be enlarged, and one matrix product gives
the overlaps of all heads.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.data.annotations import IGNORED, AnnotationReader
from poise.evaluation.objects.attention_masks import KEPT_MASS, head_attention, mass_masks
from poise.evaluation.objects.padding import pad_to_patches
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.inference import Bench
from poise.evaluation.reading.native import MAX_PATCHES, NativeImages, NativeSize, Size
from poise.models.last_block import LastBlock

CENTRE_SHARE: Final = 0.5
"""Area of the box in the centre, as a share of the image's area.

This box is a guess that does not look at the image.
"""


@dataclass(frozen=True)
class MaskSettings:
    """Settings of attention masks."""

    kept_mass: float = KEPT_MASS
    """Share of a head's attention that the patches of its mask receive together."""

    shorter_px: int | None = None
    """Length to which the shorter side is resized. None uses the model's image size."""

    max_patches: int = MAX_PATCHES
    """Largest number of patches of an image. Larger images are shrunk."""

    def native_size(self, patch_px: int, image_px: int) -> NativeSize:
        """Returns the rule for the size at which images are read.

        Args:
            patch_px: side of a patch in pixels.
            image_px: image size of the model in pixels.
        """
        return NativeSize(patch_px, self.max_patches, self.shorter_px or image_px)


class AttentionMasks(nn.Module):
    """Backbone that returns attention masks in place of features."""

    def __init__(self, backbone: nn.Module, kept_mass: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.kept_mass = kept_mass
        self.patch_px = int(getattr(backbone, "patch_px", 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes the attention masks of normalised images.

        Args:
            images: B normalised images, [B, 3, h, w].

        Returns:
            ``masks``, bool [B, heads + 1, N]: a mask over the N patches for each head, and then a
            mask for the mean attention of all heads. ``attention``, [B]: the mean attention of each
            image. It is not finite if any attention in the image is not finite.
        """
        attention = self.attention(images)
        masks = mass_masks(attention, self.kept_mass)
        return {"masks": masks, "attention": attention.mean(dim=(1, 2))}

    def attention(self, images: Tensor) -> Tensor:
        """Computes the attention to N patches: of each head, then the mean: [B, heads + 1, N]."""
        return head_attention(LastBlock(self.backbone, pad_to_patches(images, self.patch_px)))


@dataclass(frozen=True)
class Overlaps:
    """Overlaps (intersection over union) with the true masks of n images."""

    heads: NDArray[np.float64]
    """Overlaps of the mask of each head, then of the mask of the mean head: [n, heads + 1]."""

    centre: NDArray[np.float64]
    """Overlap of the box in the centre, [n]."""

    whole: NDArray[np.float64]
    """Overlap of the whole image, [n]. This is the object's share of the image."""

    num_empty: int
    """Number of images that were left out because their mask has no object."""

    num_shrunk: int


def measure_overlaps(
    model: AttentionMasks, images: NativeImages, reader: AnnotationReader, bench: Bench
) -> Overlaps:
    """Compares the attention masks of all images with their true masks.

    Args:
        model: model on the device of the bench.
        images: images to measure.
        reader: reader of the true masks.
        bench: settings for passing the images through the model.

    Raises:
        UntraceableError: the backbone has no blocks with attention.
        NotFiniteError: the attention is NaN or infinite.
        PoiseError: no image has an object in its mask.
    """
    rows: list[NDArray[np.float64]] = []
    start = num_shrunk = 0
    for outputs, sizes in image_pass(model, images, bench):
        truths = reader.read(images.sample_ids[start : start + len(sizes)]).masks
        masks = outputs["masks"].cpu().numpy()
        for found, truth in zip(masks, truths, strict=True):
            counts = patch_counts(truth, images.native_size)
            rows.append(_overlaps(found, counts))
            num_shrunk += images.native_size.is_shrunk(_size(truth))
        start += len(sizes)
    table = np.stack(rows)
    known = ~np.isnan(table[:, 0])
    if not known.any():
        raise PoiseError(f"{images.folder}: no image has an object in its mask")
    heads, centre, whole = table[known, :-2], table[known, -2], table[known, -1]
    return Overlaps(heads, centre, whole, int((~known).sum()), num_shrunk)


@dataclass(frozen=True)
class PatchCounts:
    """Numbers of pixels of a true mask in each patch of the image, [N] each, in row-major order."""

    object: NDArray[np.float64]
    """Number of pixels of objects in each patch."""

    valid: NDArray[np.float64]
    """Number of pixels in each patch that the mask does not mark as ignored."""

    centre: NDArray[np.bool_]
    """Whether the centre of each patch is inside the box in the image's centre."""


def patch_counts(truth: NDArray[np.uint8], native_size: NativeSize) -> PatchCounts:
    """Counts the pixels of a true mask [h, w] that each patch covers.

    Args:
        truth: true mask. 0 is background, ``IGNORED`` is not counted, every other value is an
            object.
        native_size: rule for the size at which the image is read.
    """
    rows, columns, grid = _patches_of_pixels(_size(truth), native_size)
    places = (rows[:, None] * grid[1] + columns).ravel()
    valid = (truth != IGNORED).ravel()
    is_object = valid & (truth != 0).ravel()
    per_patch = grid[0] * grid[1]
    return PatchCounts(
        object=_sums(places, is_object, per_patch),
        valid=_sums(places, valid, per_patch),
        centre=_centre(_size(truth), native_size, grid).ravel(),
    )


def _sums(
    places: NDArray[np.int64], pixels: NDArray[np.bool_], num_patches: int
) -> NDArray[np.float64]:
    return np.bincount(places, pixels, num_patches).astype(np.float64)


def _size(truth: NDArray[np.uint8]) -> Size:
    return truth.shape[1], truth.shape[0]


def _patches_of_pixels(
    size: Size, native_size: NativeSize
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]:
    """Finds the patch that covers each pixel.

    Returns:
        The row of patches for each row of pixels, the column of patches for each column of pixels,
        and the numbers of rows and columns of patches.
    """
    read_at = native_size.of(size)
    columns, rows = (
        ((np.arange(side) + 0.5) * (read / side) / native_size.patch_px).astype(np.int64)
        for side, read in zip(size, read_at, strict=True)
    )
    return rows, columns, native_size.grid(read_at)


def _centre(size: Size, native_size: NativeSize, grid: tuple[int, int]) -> NDArray[np.bool_]:
    inside = []
    for side, count in zip(reversed(native_size.of(size)), grid, strict=True):
        middles = (np.arange(count) + 0.5) * native_size.patch_px
        inside.append(np.abs(middles - side / 2) <= side / 2 * CENTRE_SHARE**0.5)
    found: NDArray[np.bool_] = inside[0][:, None] & inside[1]
    return found


def _overlaps(masks: NDArray[np.bool_], counts: PatchCounts) -> NDArray[np.float64]:
    """Computes overlaps of the masks [heads + 1, N], the centre box and the whole image.

    All overlaps are NaN if the true mask has no object.
    """
    total = counts.object.sum()
    guesses = np.stack([counts.centre, np.ones_like(counts.centre)])
    tried = np.concatenate([masks, guesses]).astype(np.float64)
    shared = tried @ counts.object
    united = tried @ counts.valid + total - shared
    overlaps: NDArray[np.float64] = shared / united if total else np.full(len(tried), np.nan)
    return overlaps
