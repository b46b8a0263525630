"""Pictures of object discovery and of attention masks over images.

In: a model and some images. Out: PNG files. Next: ``poise.cli.evaluate.measured`` logs them.

Lines differ in dash as well as in colour, and maps in lightness, so no picture needs colour.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from poise.data.annotations import AnnotationReader
from poise.evaluation.objects.attention_masks import head_attention, mass_masks
from poise.evaluation.objects.components import largest_component, patch_box
from poise.evaluation.objects.discovery import ObjectFinder
from poise.evaluation.reading.bench import evaluation_mode, normalized
from poise.evaluation.reading.native import NativeImages
from poise.evaluation.report import EvaluationTask

DRAWN_IMAGES = 6
"""Most images in a picture, evenly spread over the dataset, because neighbours often look alike."""

_TRUTH, _LOST, _ATTENTION = ("#f0e442", "-"), ("#d55e00", "--"), ("#56b4e9", ":")


@dataclass(frozen=True)
class DrawnImage:
    """One image and what was found in it, with boxes in pixels of ``pixels``."""

    sample_id: int
    pixels: NDArray[np.uint8]  # [h, w, 3]
    truths: NDArray[np.float64]  # [m, 4]
    lost: NDArray[np.int64]  # [4]
    attended: tuple[int, int, int, int]
    degrees: NDArray[np.int64]  # [rows, columns]
    mask: NDArray[np.bool_]  # [rows, columns]


def drawn_ids(images: NativeImages) -> NDArray[np.int64]:
    """Chooses the images of a picture."""
    places = np.linspace(0, len(images) - 1, min(DRAWN_IMAGES, len(images)))
    return images.sample_ids[np.unique(places.round().astype(np.int64))]


def draw_objects(
    task: EvaluationTask, finder: ObjectFinder, images: NativeImages, name: str
) -> None:
    """Draws what LOST found, one image per row.

    The columns are the image with the true boxes, LOST's box and the box of the mean head's
    attention; how few patches each patch resembles, on a scale of the image's own, with the seed;
    and the patches of LOST's object.

    Args:
        task: the model and the folder of the picture.
        finder: the same model, as the pass used it.
        images: the images that were measured.
        name: name of the PNG in the folder.
    """
    rows = list(_found(task, finder, images))
    figure = Figure(figsize=(7.5, 2.3 * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for (left, middle, right), row in zip(axes, rows, strict=True):
        _draw_boxes(left, row)
        _draw_degrees(middle, row)
        right.imshow(row.mask, cmap="gray", vmin=0, vmax=1)
        right.set_title("LOST's object", fontsize=8)
        for axis in (left, middle, right):
            axis.set_axis_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8, handlelength=4)
    figure.savefig(task.folder / name, dpi=110)


@torch.no_grad()
def _found(
    task: EvaluationTask, finder: ObjectFinder, images: NativeImages
) -> Iterator[DrawnImage]:
    ids = drawn_ids(images)
    truths = AnnotationReader(task.dataset, "boxes").read(ids).boxes
    shown = NativeImages(task.dataset, images.native_size, sample_ids=ids)
    with evaluation_mode(finder):
        for sample_id, truth, (pixels, sizes) in zip(ids, truths, shown.batches(1), strict=True):
            scale = np.array(pixels.shape[:1:-1]) / sizes[0].numpy()  # width, then height
            batch = normalized(pixels.to(task.bench.device), task.bench.normalization)
            last, features = finder.last_block(batch)
            lost = finder.lost(features, batch)
            yield DrawnImage(
                sample_id=int(sample_id),
                pixels=pixels[0].permute(1, 2, 0).numpy(),
                truths=truth * np.tile(scale, 2),
                lost=lost.boxes[0],
                attended=_attended(finder, head_attention(last), batch),
                degrees=lost.degrees[0].reshape(finder.grid(batch)).cpu().numpy(),
                mask=lost.masks[0],
            )


def _attended(finder: ObjectFinder, attention: Tensor, batch: Tensor) -> tuple[int, int, int, int]:
    """The box of the mean head's attention."""
    mask = mass_masks(attention[0, -1], finder.settings.kept_mass).reshape(finder.grid(batch))
    height, width = batch.shape[2:]
    return patch_box(largest_component(mask.cpu().numpy()), finder.patch_px, (width, height))


def _draw_boxes(axis: Axes, row: DrawnImage) -> None:
    axis.imshow(row.pixels)
    axis.set_title(f"sample {row.sample_id}", fontsize=8)
    for number, box in enumerate(row.truths):
        _draw_box(axis, box, *_TRUTH, "" if number else "true box")
    _draw_box(axis, row.lost, *_LOST, "LOST")
    _draw_box(axis, np.array(row.attended), *_ATTENTION, "mean head's attention")


def _draw_box(axis: Axes, box: NDArray[np.generic], color: str, dashes: str, label: str) -> None:
    x0, y0, x1, y1 = (float(edge) for edge in box)
    axis.add_patch(
        Rectangle(
            (x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0,
            fill=False, edgecolor=color, linestyle=dashes, linewidth=2, label=label or None,
        )
    )  # fmt: skip


def _draw_degrees(axis: Axes, row: DrawnImage) -> None:
    axis.imshow(-row.degrees, cmap="cividis", interpolation="nearest")
    seed = np.unravel_index(row.degrees.argmin(), row.degrees.shape)
    axis.plot(seed[1], seed[0], "x", color="white", markeredgewidth=2)
    low, high = int(row.degrees.min()), int(row.degrees.max())
    axis.set_title(f"bright: resembles few patches\n{low} to {high}, seed ×", fontsize=8)
