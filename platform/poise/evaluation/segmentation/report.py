"""Evaluates semantic segmentation with a backbone's patch tokens.

In: an ``EvaluationTask`` whose dataset has masks, and a training set. Out: an ``EvaluationReport``
with mIoU, and pictures. Next: ``poise evaluate segmentation``.

Protocol ``segmentation/linear-poise-v1``: images are resized and cropped as for k-NN, to the size
that the model was trained with. The backbone is frozen. A linear classifier learns from at most
32,768 patches of the training set. Its input is the patch tokens after the last norm layer. A fifth
of the training images is held out to choose the penalty. On the test set, the logits are enlarged
bilinearly to pixels.

The linear protocol of DINOv2 (arXiv 2304.07193, section 7.4) trains a layer by SGD on larger crops.
So its published values cannot be compared with these values.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.data.annotations import AnnotationReader, check_annotations
from poise.data.dataset import ImageDataset
from poise.data.manifest import check_same_ranges
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.images import EvaluationImages, crop_mask
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationReport, EvaluationTask
from poise.evaluation.segmentation.classes import ClassMap, Meaning, PixelClasses, pixel_classes
from poise.evaluation.segmentation.classifier import fit_classifier
from poise.evaluation.segmentation.patches import (
    KINDS,
    NUM_PATCHES,
    PatchReader,
    TrainingPatches,
    read_patches,
)
from poise.evaluation.segmentation.pictures import draw_segmentation
from poise.evaluation.segmentation.scores import (
    constant_counts,
    count_pixels,
    segmentation_figures,
)

PROTOCOL = "segmentation/linear-poise-v1"

PICTURE = "segmentation.png"

_DRAWN_IMAGES = 6


@dataclass(frozen=True)
class TrainingSet:
    """Dataset that the classifier learns from, and the rule for the class of a pixel."""

    dataset: ImageDataset
    meaning: Meaning | None = None
    """Rule for the class of a pixel. None uses the masks' values, if the values have names."""


def report_segmentation(task: EvaluationTask, train: TrainingSet) -> EvaluationReport:
    """Measures how well a linear classifier of patch tokens predicts the classes of pixels.

    For each image, memory keeps only the counts of pixels per class.

    Args:
        task: task with a transformer and a test set with masks. ``max_images`` limits the training
            set and the test set.
        train: training set.

    Raises:
        PoiseError: a dataset lacks masks or has only ignored pixels, both datasets are the same,
            their classes differ, or the patch size does not divide the image size.
    """
    for dataset in (train.dataset, task.dataset):
        check_annotations(dataset, "mask")
    learned, tested = train.dataset.manifest, task.dataset.manifest
    if learned.fingerprint == tested.fingerprint:
        raise PoiseError(
            f"{task.dataset.folder}: is the training set too, so the classifier would be tested on "
            "what it learned; name another with --train"
        )
    check_same_ranges(train.dataset.folder, task.dataset.folder)
    classes = pixel_classes(learned, tested, train.meaning)
    patches, layers, penalties = _learn(task, train.dataset, classes)
    commonest = int(patches.shares.sum(dim=0).argmax())
    tables = _test(task, layers, classes)
    tables["majority"] = constant_counts(tables["model"], commonest)
    num_images = len(tables["model"])
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=_changed(task, train),
        dataset=str(task.dataset.folder),
        dataset_name=tested.name,
        image_px=task.image_px,
        num_images=num_images,
        figures_found=segmentation_figures(tables, classes.names),
        notes=(
            f"Trained on {counted(len(patches.shares), 'patch', 'patches')} of "
            f"{counted(int(patches.images[-1]) + 1, 'image')} of "
            f"{train.dataset.folder}, with penalty {penalties['model']:g} "
            f"(pixels: {penalties['pixels']:g}).",
            f"pixels_… classifies the colours of each patch in the same way; majority_… is always "
            f"'{classes.names[commonest]}'. Healthy: the gain over pixels is above 0.",
        ),
        pictures=(PICTURE,),
    )


def _changed(task: EvaluationTask, train: TrainingSet) -> tuple[str, ...]:
    meaning = () if train.meaning is None else (f"--classes={train.meaning}",)
    num_learned = min(len(train.dataset), NUM_PATCHES)
    return (*meaning, *task.changed_by_limit(len(task.dataset), num_learned))


def _learn(
    task: EvaluationTask, dataset: ImageDataset, classes: PixelClasses
) -> tuple[TrainingPatches, dict[str, nn.Linear], dict[str, float]]:
    """Fits a classifier to the model's patch tokens and one to the patches' pixels."""
    _check_whole_patches(task)
    most = min(task.max_images or NUM_PATCHES, NUM_PATCHES)
    images = EvaluationImages.for_one_pass(dataset, task.image_px, most)
    maps = _ClassMapReader(dataset, classes, task.image_px)
    patches = read_patches(task.backbone, images, maps, len(classes), task.bench)
    _check_counted(dataset, len(patches.shares))
    fit = partial(fit_classifier, shares=patches.shares, images=patches.images)
    fitted = {kind: fit(patches.features[kind]) for kind in KINDS}
    layers = {kind: layer for kind, (layer, _) in fitted.items()}
    return patches, layers, {kind: penalty for kind, (_, penalty) in fitted.items()}


def _test(
    task: EvaluationTask, layers: dict[str, nn.Linear], classes: PixelClasses
) -> dict[str, NDArray[np.int64]]:
    """Counts the pixels of every test image by class, and draws a few images."""
    images = EvaluationImages.for_one_pass(task.dataset, task.image_px, task.max_images)
    maps = _ClassMapReader(task.dataset, classes, task.image_px)
    counts: dict[str, list[NDArray[np.int64]]] = {kind: [] for kind in KINDS}
    drawn: list[tuple[int, ClassMap, dict[str, NDArray[np.int64]]]] = []
    every, done = -(-len(images) // _DRAWN_IMAGES), 0
    for found in _predictions(task.backbone, layers, images, task.bench):
        ids = images.sample_ids[done : done + len(found["model"])]
        for row, (sample_id, truth) in enumerate(zip(ids, maps(ids), strict=True)):
            own = {kind: found[kind][row] for kind in KINDS}
            for kind in KINDS:
                counts[kind].append(count_pixels(truth, own[kind], len(classes)))
            if (done + row) % every == 0:
                drawn.append((int(sample_id), truth, own))
        done += len(ids)
    _check_counted(task.dataset, sum(int(each.sum()) for each in counts["model"]))
    draw_segmentation(task.folder / PICTURE, task.dataset, task.image_px, drawn)
    return {kind: np.stack(each) for kind, each in counts.items()}


def _predictions(
    backbone: nn.Module, layers: dict[str, nn.Linear], images: EvaluationImages, bench: Bench
) -> "map[dict[str, NDArray[np.int64]]]":
    """Yields predicted class indices [b, px, px] of each batch, by the kind of features."""
    module = _Segmenter(backbone, layers).to(bench.device)
    enlarge = partial(_enlarged, image_px=images.image_px)
    return map(enlarge, image_pass(module, images, bench))


def _enlarged(answer: tuple[object, Tensor], image_px: int) -> dict[str, NDArray[np.int64]]:
    """Enlarges logits to pixels, one image at a time, because a batch would fill the memory."""
    outputs: dict[str, Tensor] = answer[0]  # type: ignore[assignment]
    size = (image_px, image_px)
    return {
        kind: np.concatenate(
            [
                F.interpolate(each[None], size, mode="bilinear").argmax(1).cpu().numpy()
                for each in logits
            ]
        )
        for kind, logits in outputs.items()
    }


class _Segmenter(nn.Module):
    """Backbone that returns class logits of its patches as maps, for each kind of features."""

    def __init__(self, backbone: nn.Module, layers: dict[str, nn.Linear]) -> None:
        super().__init__()
        self.reader = PatchReader(backbone)
        self.layers = nn.ModuleDict(layers)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        side = images.shape[2] // int(self.reader.backbone.patch_px)  # type: ignore[arg-type]
        return {
            kind: self.layers[kind](patches).transpose(1, 2).unflatten(2, (side, side))
            for kind, patches in self.reader(images).items()
        }


class _ClassMapReader:
    """Reads the class maps of images. The maps are resized and cropped like the images."""

    def __init__(self, dataset: ImageDataset, classes: PixelClasses, image_px: int) -> None:
        self._dataset, self._classes, self._image_px = dataset, classes, image_px
        self._masks = AnnotationReader(dataset, "mask")

    def __call__(self, sample_ids: NDArray[np.int64]) -> list[ClassMap]:
        labels = self._dataset.read(sample_ids).labels
        masks = self._masks.read(sample_ids).masks
        return [
            self._classes.of(crop_mask(mask, self._image_px), int(label))
            for mask, label in zip(masks, labels, strict=True)
        ]


def _check_counted(dataset: ImageDataset, num_counted: int) -> None:
    """Raises an error if no pixel or patch of a dataset was counted."""
    if not num_counted:
        raise PoiseError(
            f"{dataset.folder}: all pixels of its images are ignored in its masks, so no class can "
            "be learned or scored; use a dataset whose masks mark classes"
        )


def _check_whole_patches(task: EvaluationTask) -> None:
    patch_px = int(task.backbone.patch_px)  # type: ignore[arg-type]
    if task.image_px % patch_px:
        raise PoiseError(
            f"images of {task.image_px} px are no whole number of patches of {patch_px} px, so "
            "pixels have no patch; use a model made for another size"
        )
