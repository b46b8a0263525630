"""Draws attention masks over images.

In: a model and some images. Out: a PNG file. Next: ``poise.cli.evaluate.measured`` logs it.
"""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from poise.data.annotations import IGNORED, AnnotationReader
from poise.evaluation.objects.attention_masks import mass_masks
from poise.evaluation.objects.overlap import AttentionMasks
from poise.evaluation.objects.padding import enlarged, faded
from poise.evaluation.objects.pictures import drawn_ids
from poise.evaluation.reading.inference import evaluation_mode, normalized
from poise.evaluation.reading.native import NativeImages
from poise.evaluation.report import EvaluationTask

_OUTLINE = "#f0e442"


@torch.no_grad()
def draw_masks(
    task: EvaluationTask, model: AttentionMasks, images: NativeImages, best_head: int, name: str
) -> None:
    """Draws attention and attention masks, one image per row.

    The first column is the image. Then the best head has two columns: its attention, and the image
    faded outside its mask. The mean of all heads has the same two columns. A line shows the edge of
    the true mask. The colours of each attention map range from 0 to its maximum.

    Args:
        task: the model, the dataset and the folder of the picture.
        model: same model, wrapped to return attention masks.
        images: images that were measured.
        best_head: index of the head to draw.
        name: name of the PNG file in the folder.
    """
    ids = drawn_ids(images)
    truths = AnnotationReader(task.dataset, "mask").read(ids).masks
    shown = NativeImages(task.dataset, images.native_size, sample_ids=ids)
    figure = Figure(figsize=(10, 2.1 * len(ids)), layout="constrained")
    rows = figure.subplots(len(ids), 5, squeeze=False)
    with evaluation_mode(model):
        for axes, sample_id, truth, (pixels, _) in zip(
            rows, ids, truths, shown.batches(1), strict=True
        ):
            batch = normalized(pixels.to(task.bench.device), task.bench.normalization)
            attention = model.attention(batch)[0]
            panel = _Panel(pixels[0].permute(1, 2, 0).numpy(), truth, model)
            panel.draw(axes[0], panel.image, f"sample {sample_id}")
            panel.draw_head(axes[1], axes[2], attention[best_head], f"head {best_head + 1} (best)")
            panel.draw_head(axes[3], axes[4], attention[-1], "mean head")
    figure.savefig(task.folder / name, dpi=110)


class _Panel:
    """Draws the pictures of one image."""

    def __init__(
        self, image: NDArray[np.uint8], truth: NDArray[np.uint8], model: AttentionMasks
    ) -> None:
        """Stores an image [h, w, 3] and its true mask of any size."""
        self.image = image
        self._size = (image.shape[1], image.shape[0])
        is_object = Image.fromarray((truth != 0) & (truth != IGNORED))
        self._object = np.asarray(is_object.resize(self._size, Image.Resampling.NEAREST))
        self._model = model

    def draw(self, axis: Axes, picture: NDArray[np.generic], title: str) -> None:
        """Draws a map or an image with the outline of the true mask."""
        axis.imshow(picture, vmin=0 if picture.ndim == 2 else None, interpolation="nearest")
        if self._object.any() and not self._object.all():
            axis.contour(self._object, levels=[0.5], colors=_OUTLINE, linewidths=1)
        axis.set_title(title, fontsize=8)
        axis.set_axis_off()

    def draw_head(self, left: Axes, right: Axes, attention: Tensor, title: str) -> None:
        """Draws the attention [N] of a head, and the image faded outside the head's mask."""
        patch_px, kept_mass = self._model.patch_px, self._model.kept_mass
        attended, mask = (
            enlarged(each.cpu().numpy(), patch_px, self._size)
            for each in (attention, mass_masks(attention, kept_mass))
        )
        self.draw(left, attended, title)
        self.draw(right, faded(self.image, mask), f"its mask ({kept_mass:.0%})")
