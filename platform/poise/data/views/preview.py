"""Draws images next to the views that training cuts from them.

In: a prepared dataset and a ``ViewsConfig``. Out: a PNG file with a row for each image. If the
dataset has masks or boxes, a second column shows them over the image. Views are cut and coloured by
the same code as in training. Only their normalisation is undone for the picture.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.locations import AnyLocation
from poise.config.views import ViewsConfig
from poise.data.annotations import AnnotationReader, annotation_kinds
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.manifest import Manifest
from poise.data.views.annotation_overlay import overlay
from poise.data.views.color_augmentation import Photometry
from poise.data.views.cutter import ViewCutter
from poise.data.views.decode import decode_rgb
from poise.data.views.normalization import normalization

_CELL_INCHES = 1.15
_DOTS_PER_INCH = 120
_MOST_SHOWN_PX = round(2 * _CELL_INCHES * _DOTS_PER_INCH)  # larger images are shrunk
_LONGEST_LABEL = 22

Picture = NDArray[np.float32] | NDArray[np.uint8]  # [H, W, 3]; floats are in [0, 1]


def draw_preview(
    dataset: AnyLocation, views: ViewsConfig, output: str | Path, num_images: int = 8, seed: int = 0
) -> Path:
    """Draws random images of a dataset with their views of the first epoch.

    Args:
        dataset: folder of a prepared dataset.
        views: number, sizes and distribution of the views.
        output: path of the PNG file.
        num_images: number of rows; a smaller dataset gives fewer rows.
        seed: seed of the choice of images and of their views. A run with this seed has the same
            views.

    Returns:
        The path of the picture.

    Raises:
        PoiseError: the dataset does not exist, or the picture cannot be written.
    """
    opened = ImageDataset.open(dataset)
    count = min(num_images, len(opened))
    chosen = np.random.default_rng(seed).choice(len(opened), count, replace=False)
    encoded = opened.read(np.sort(chosen).astype(np.int64))
    columns: dict[str, list[Picture]] = {
        "image\nas stored": [np.asarray(image) for image in _images(encoded)]
    }
    columns |= _annotated(opened, encoded)
    for title, view in _views(encoded, views, opened.manifest, seed).items():
        columns[title] = list(view.permute(0, 2, 3, 1).numpy())
    figure = _figure(encoded, columns, opened.manifest)
    path = Path(output)
    try:
        figure.savefig(path, format="png", dpi=_DOTS_PER_INCH)
    except OSError as error:
        raise PoiseError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def _views(
    encoded: EncodedBatch, config: ViewsConfig, manifest: Manifest, seed: int
) -> dict[str, Tensor]:
    """Maps the title of each column of the preview to its views, float32 [B, 3, H, W] in [0, 1]."""
    mean, std = normalization(config, manifest)
    photometry = Photometry(config, mean, std)
    batch = ViewCutter(config, seed)(encoded, epoch=0)
    channel_mean, channel_std = (torch.tensor(value).view(3, 1, 1) for value in (mean, std))
    shown: dict[str, Tensor] = {}
    for kind, views, parameters in (
        ("global", batch.global_views, batch.global_photometry),
        ("local", batch.local_views, batch.local_photometry),
    ):
        if not len(views):
            continue
        for number, view in enumerate(photometry(views, parameters), start=1):
            title = f"{kind} {number}\n{view.shape[-1]} px"
            shown[title] = (view.float().cpu() * channel_std + channel_mean).clamp(0, 1)
    return shown


def _images(encoded: EncodedBatch) -> Iterator[Image.Image]:
    for data in encoded.images:
        image = decode_rgb(data, encoded.ranges)
        image.thumbnail((_MOST_SHOWN_PX, _MOST_SHOWN_PX), Image.Resampling.BICUBIC)
        yield image


def _annotated(dataset: ImageDataset, encoded: EncodedBatch) -> dict[str, list[Picture]]:
    """Maps a column's title to the images with their masks and boxes; empty without annotations."""
    found = annotation_kinds(dataset)
    kinds = [kind for kind in ("mask", "boxes") if kind in found]
    if not kinds:
        return {}
    annotations = AnnotationReader(dataset, *kinds).read(encoded.sample_ids)
    pictures: list[Picture] = [
        np.asarray(overlay(decode_rgb(data, encoded.ranges), annotations, place, _MOST_SHOWN_PX))
        for place, data in enumerate(encoded.images)
    ]
    return {f"{' and '.join(kinds)}\n": pictures}


def _figure(
    encoded: EncodedBatch, columns: Mapping[str, Sequence[Picture]], manifest: Manifest
) -> Figure:
    rows = len(encoded)
    size = (_CELL_INCHES * (len(columns) + 1.2), _CELL_INCHES * rows + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{manifest.name}: images, and their views as the model sees them", fontsize=9)
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for row in range(rows):
        grid[row, 0].set_ylabel(
            _row_label(encoded, row, manifest), rotation=0, ha="right", va="center", fontsize=7
        )
        for axes, pictures in zip(grid[row], columns.values(), strict=True):
            _show(axes, pictures[row])
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(title, fontsize=7)
    return figure


def _show(axes: Axes, picture: Picture) -> None:
    height, width = picture.shape[:2]
    side = max(height, width)
    above, left = (side - height) // 2, (side - width) // 2
    margins = ((above, side - height - above), (left, side - width - left), (0, 0))
    white = 255 if picture.dtype == np.uint8 else 1
    smooth = side * 1.5 > _CELL_INCHES * _DOTS_PER_INCH
    square = np.pad(picture, margins, constant_values=white)
    axes.imshow(square, interpolation="antialiased" if smooth else "nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _row_label(encoded: EncodedBatch, row: int, manifest: Manifest) -> str:
    label = int(encoded.labels[row])
    known = 0 <= label < len(manifest.classes)
    name = manifest.classes[label] if known else "no label"
    if len(name) > _LONGEST_LABEL:
        name = name[: _LONGEST_LABEL - 1] + "…"
    return f"{name}\nsample {encoded.sample_ids[row]}"
