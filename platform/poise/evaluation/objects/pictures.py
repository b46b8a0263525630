"""Draws pictures of object discovery.

In: a model and some images. Out: PNG files. Next: ``poise.cli.evaluate.measured`` logs them.

The pictures can be read without colours: lines also differ in their dashes, and maps in lightness.
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
from poise.evaluation.objects.components import Box, largest_component, patch_box
from poise.evaluation.objects.discovery import ObjectFinder
from poise.evaluation.objects.lost import Discovery, centred
from poise.evaluation.reading.inference import evaluation_mode, normalized
from poise.evaluation.reading.native import NativeImages
from poise.evaluation.report import EvaluationTask

DRAWN_IMAGES = 6
"""Largest number of images in a picture. They are evenly spaced, because neighbours are often
alike.
"""

_TRUTH, _LOST = ("#f0e442", "-"), ("#d55e00", "--")
_CENTRED, _ATTENTION = ("#009e73", "-."), ("#56b4e9", ":")


@dataclass(frozen=True)
class DrawnImage:
    """One image with its true boxes and the found boxes, in pixels of ``pixels``."""

    sample_id: int
    pixels: NDArray[np.uint8]  # [h, w, 3]
    truths: NDArray[np.float64]  # [m, 4]
    lost: Discovery
    centred: Discovery
    attended: Box

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Degree of each patch: its number of similar patches, [rows, columns]."""
        degrees: NDArray[np.int64] = self.lost.degrees[0].cpu().numpy()
        return degrees.reshape(self.lost.masks[0].shape)


def drawn_ids(images: NativeImages) -> NDArray[np.int64]:
    """Returns the sample ids of the images to draw."""
    places = np.linspace(0, len(images) - 1, min(DRAWN_IMAGES, len(images)))
    return images.sample_ids[np.unique(places.round().astype(np.int64))]


def draw_objects(
    task: EvaluationTask, finder: ObjectFinder, images: NativeImages, name: str
) -> None:
    """Draws the results of LOST, one image per row.

    The first column is the image with the true boxes and the found boxes. The second column shows
    the degree of each patch, its number of similar patches. Patches with a low degree are bright,
    on a scale from this image's lowest to its highest degree. A cross marks the seed. The third
    column shows the patches of LOST's object, and the fourth the object with centred features.

    Args:
        task: the model and the folder of the picture.
        finder: same model, wrapped to find objects.
        images: images that were measured.
        name: name of the PNG file in the folder.
    """
    rows = list(_found(task, finder, images))
    figure = Figure(figsize=(9, 2.3 * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    for places, row in zip(axes, rows, strict=True):
        _draw_boxes(places[0], row)
        _draw_degrees(places[1], row)
        places[2].imshow(row.lost.masks[0], cmap="gray", vmin=0, vmax=1)
        places[2].set_title("LOST's object", fontsize=8)
        places[3].imshow(row.centred.masks[0], cmap="gray", vmin=0, vmax=1)
        places[3].set_title("with centred features", fontsize=8)
        for axis in places:  # keeps the frames, because an object may make the whole map white
            axis.set(xticks=[], yticks=[])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, handlelength=4)
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
            yield DrawnImage(
                sample_id=int(sample_id),
                pixels=pixels[0].permute(1, 2, 0).numpy(),
                truths=truth * np.tile(scale, 2),
                lost=finder.lost(features, batch),
                centred=finder.lost(centred(features), batch),
                attended=_attended(finder, head_attention(last), batch),
            )


def _attended(finder: ObjectFinder, attention: Tensor, batch: Tensor) -> Box:
    """Finds the box around the largest part of the attention mask of the mean head."""
    mask = mass_masks(attention[0, -1], finder.settings.kept_mass).reshape(finder.grid(batch))
    height, width = batch.shape[2:]
    return patch_box(largest_component(mask.cpu().numpy()), finder.patch_px, (width, height))


def _draw_boxes(axis: Axes, row: DrawnImage) -> None:
    axis.imshow(row.pixels)
    axis.set_title(f"sample {row.sample_id}", fontsize=8)
    for number, box in enumerate(row.truths):
        _draw_box(axis, box, *_TRUTH, "" if number else "true box")
    _draw_box(axis, row.lost.boxes[0], *_LOST, "LOST")
    _draw_box(axis, row.centred.boxes[0], *_CENTRED, "with centred features")
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
    degrees = row.degrees
    axis.imshow(-degrees, cmap="cividis", interpolation="nearest")
    y, x = divmod(int(row.lost.seeds[0]), degrees.shape[1])
    axis.plot(x, y, "x", color="white", markeredgewidth=2)
    low, high = int(degrees.min()), int(degrees.max())
    axis.set_title(f"bright: resembles few patches\n{low} to {high}, seed ×", fontsize=8)
