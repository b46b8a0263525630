"""Reports object discovery: CorLoc of LOST, of attention masks, and of guesses.

In: a model, a dataset with boxes, and ``DiscoverySettings``. Out: an ``EvaluationReport`` and
pictures. Next: ``poise evaluate objects``.
"""

from dataclasses import fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.data.annotations import AnnotationReader, Annotations
from poise.evaluation.objects.attention_masks import head_names
from poise.evaluation.objects.corloc import best_overlaps, reference_boxes
from poise.evaluation.objects.discovery import (
    PUBLISHED,
    DiscoverySettings,
    FoundBoxes,
    ObjectFinder,
    find_boxes,
)
from poise.evaluation.objects.figures import mean_figure, share_figure
from poise.evaluation.objects.pictures import draw_objects
from poise.evaluation.reading.native import NativeImages
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure

PROTOCOL: Final = "objects/lost-corloc-v1"

_FOUND = 0.5
_ALIKE = 0.9  # share of positive similarities above which LOST finds nothing
_PICTURE = "objects.png"
_READING = (
    "CorLoc is the share of images in which the box overlaps an object by half (IoU ≥ 0.5). "
    "corloc is LOST's as published; corloc_centred subtracts the mean feature of the image first. "
    "Both mean something only above corloc_centre_box and corloc_whole_image, which look at no "
    "image. The centre box has the mean size of the true boxes."
)


def measure_objects(
    task: EvaluationTask, settings: DiscoverySettings = PUBLISHED
) -> EvaluationReport:
    """Measures how well a model's features find objects without training.

    LOST finds one box in each image from the keys of the last block. ``corloc`` is the share of
    images whose box overlaps a true box by at least half (IoU). For ``corloc_centred``, the mean
    key of the image is first subtracted from each key. ``corloc_attention_…`` uses the largest
    connected part of a head's attention mask. ``iou`` is the mean overlap of LOST's box with the
    best true box. ``resembling_patches`` is the share of pairs of patches with a positive
    similarity.

    Healthy: with DINO's keys, CorLoc is far above that of two simple guesses, a box in the centre
    and the whole image. Published for ViT-S/16 on VOC 2007: 61.9 %. Broken: almost all patches are
    similar to each other, and LOST's box is the whole image.

    Raises:
        PoiseError: the dataset has no boxes, or the backbone has no blocks with keys and attention.
    """
    size = settings.native_size(int(getattr(task.backbone, "patch_px", 1)))
    images = NativeImages(task.dataset, size, task.max_images)
    tally = _Tally(AnnotationReader(task.dataset, "boxes"), settings.with_hard)
    for found in find_boxes(task.backbone, images, task.bench, settings):
        tally.add(found)
    if not tally.overlaps:
        raise PoiseError(f"{images.folder}: none of the images has a box, so nothing can be found")
    draw_objects(task, ObjectFinder(task.backbone, settings), images, _PICTURE)
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=_changed(settings),
        dataset=str(images.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=settings.shorter_px or 0,
        num_images=len(tally.overlaps),
        figures_found=tuple(tally.figures()),
        notes=(_READING, *tally.notes(images)),
        pictures=(_PICTURE,),
    )


class _Tally:
    """Collects the overlaps of the found boxes with the true boxes, image by image."""

    def __init__(self, reader: AnnotationReader, with_hard: bool) -> None:
        self.overlaps: list[NDArray[np.float64]] = []  # [3 + heads] each
        self._reader, self._with_hard = reader, with_hard
        self._sizes: list[NDArray[np.int64]] = []
        self._truths: list[NDArray[np.float64]] = []
        self._resembling: list[float] = []
        self._num_empty = 0

    def add(self, found: FoundBoxes) -> None:
        """Compares the found boxes of some images with the true boxes."""
        truths = self._truths_of(self._reader.read(found.sample_ids))
        rows = zip(found.sizes, found.boxes, found.resembling, truths, strict=True)
        for size, boxes, resembling, truth in rows:
            if not len(truth):
                self._num_empty += 1
                continue
            self.overlaps.append(best_overlaps(boxes, truth))
            self._sizes.append(size)
            self._truths.append(truth)
            self._resembling.append(float(resembling))

    def figures(self) -> list[Figure]:
        """Computes the metrics over all images that have true boxes."""
        overlaps = np.stack(self.overlaps)
        names = ["corloc", "corloc_centred"]
        names += [f"corloc_attention_{each}" for each in head_names(overlaps.shape[1] - 2)]
        shares = [share_figure(name, overlaps[:, row] >= _FOUND) for row, name in enumerate(names)]
        best = 1 + self.best_head  # columns 0 and 1 are LOST's
        guesses = zip(reference_boxes(self._sizes, self._truths), self._truths, strict=True)
        blind = np.stack([best_overlaps(guess, truth) for guess, truth in guesses])
        return [
            *shares[:2],
            mean_figure("iou", overlaps[:, 0]),
            mean_figure("iou_centred", overlaps[:, 1]),
            mean_figure("resembling_patches", np.array(self._resembling)),
            share_figure("corloc_centre_box", blind[:, 0] >= _FOUND),
            share_figure("corloc_whole_image", blind[:, 1] >= _FOUND),
            shares[-1],
            share_figure("corloc_attention_best_head", overlaps[:, best] >= _FOUND),
            *shares[2:-1],
        ]

    @property
    def best_head(self) -> int:
        """Number (from 1) of the head whose boxes find an object in the most images."""
        return 1 + int((np.stack(self.overlaps)[:, 2:-1] >= _FOUND).sum(axis=0).argmax())

    def notes(self, images: NativeImages) -> list[str]:
        """Returns sentences about the chosen head, omitted images and shrunk images."""
        notes = [
            f"The best head is number {self.best_head}. It was chosen by these images, so its "
            "figure is too high by the choice."
        ]
        if np.mean(self._resembling) > _ALIKE:
            notes.append(
                f"A patch resembles {np.mean(self._resembling):.0%} of the others, so LOST as "
                "published hardly tells objects from background here. DINOv2's keys are of this "
                "kind. See corloc_centred, or --bias."
            )
        if self._num_empty:
            empty = counted(self._num_empty, "image")
            notes.append(f"Left out: {empty} without a box that counts.")
        sizes = [tuple(size.tolist()) for size in self._sizes]
        shrunk = sum(images.native_size.is_shrunk((w, h)) for w, h in sizes)
        if shrunk:
            notes.append(
                f"Shrunk: {counted(shrunk, 'image')} of more than "
                f"{images.native_size.max_patches} patches. The boxes were scaled back."
            )
        return notes

    def _truths_of(self, read: Annotations) -> list[NDArray[np.float64]]:
        if self._with_hard:
            return [boxes.astype(np.float64) for boxes in read.boxes]
        rows = zip(read.boxes, read.box_difficult, read.box_truncated, strict=True)
        return [boxes[~(first | second)].astype(np.float64) for boxes, first, second in rows]


def _changed(settings: DiscoverySettings) -> tuple[str, ...]:
    """Returns the settings that differ from the protocol."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return tuple(
        f"{name}={value}" for name, value in values.items() if value != getattr(PUBLISHED, name)
    )
