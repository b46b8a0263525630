"""Reports how well the attention of [cls] covers the objects of images.

In: a model, a dataset with masks, and ``MaskSettings``. Out: an ``EvaluationReport`` and pictures.
Next: ``poise evaluate masks``.
"""

from collections.abc import Iterator
from typing import Final

from poise.config.wording import counted
from poise.data.annotations import AnnotationReader
from poise.evaluation.objects.attention_masks import head_names
from poise.evaluation.objects.figures import mean_figure
from poise.evaluation.objects.mask_pictures import draw_masks
from poise.evaluation.objects.overlap import (
    CENTRE_SHARE,
    AttentionMasks,
    MaskSettings,
    Overlaps,
    measure_overlaps,
)
from poise.evaluation.reading.native import NativeImages
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure

PROTOCOL: Final = "masks/attention-v1"
PUBLISHED: Final = MaskSettings()

_PICTURE = "masks.png"
_READING = (
    "Figures are mean overlaps (Jaccard index, IoU) of the mask that keeps the given share of "
    "attention with the mask of all objects. They mean something only above jaccard_centre_box, a "
    f"box with {CENTRE_SHARE:.0%} of the area, and jaccard_whole_image, which look at no image."
)


def measure_masks(task: EvaluationTask, settings: MaskSettings = PUBLISHED) -> EvaluationReport:
    """Measures how well a model's attention covers the objects of images.

    ``jaccard_best_head_per_image`` uses the best head of each image, as published. This choice
    needs the true mask. ``jaccard_best_head`` uses the head with the best mean over all images.
    ``jaccard_mean_head`` uses the mean attention of all heads and needs no true mask.

    Healthy: DINO is far above the two guesses (a box in the centre, the whole image) and above an
    untrained model. ViT-S/16 on VOC 2012 has 45.9 % against 22.0 %. Broken: heads agree with the
    guess in the centre, or are not better than the untrained model.

    Raises:
        PoiseError: the dataset has no masks, or the backbone has no attention.
    """
    reader = AnnotationReader(task.dataset, "mask")
    patch_px = int(getattr(task.backbone, "patch_px", 1))
    size = settings.native_size(patch_px, task.image_px)
    images = NativeImages(task.dataset, size, task.max_images)
    model = AttentionMasks(task.backbone, settings.kept_mass)
    overlaps = measure_overlaps(model, images, reader, task.bench)
    draw_masks(task, model, images, best_head=_best(overlaps), name=_PICTURE)
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=tuple(_changed(settings)),
        dataset=str(images.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=size.shorter_px or 0,
        num_images=len(overlaps.heads),
        figures_found=tuple(_figures(overlaps)),
        notes=(_READING, *_notes(overlaps, size.max_patches)),
        pictures=(_PICTURE,),
    )


def _figures(overlaps: Overlaps) -> Iterator[Figure]:
    heads = overlaps.heads[:, :-1]
    yield mean_figure("jaccard_best_head_per_image", heads.max(axis=1))
    yield mean_figure("jaccard_best_head", heads[:, _best(overlaps)])
    yield mean_figure("jaccard_mean_head", overlaps.heads[:, -1])
    yield mean_figure("jaccard_centre_box", overlaps.centre)
    yield mean_figure("jaccard_whole_image", overlaps.whole)
    for row, name in enumerate(head_names(overlaps.heads.shape[1])[:-1]):
        yield mean_figure(f"jaccard_{name}", heads[:, row])


def _best(overlaps: Overlaps) -> int:
    """Returns the index of the head whose masks overlap most with the true masks, on average."""
    return int(overlaps.heads[:, :-1].mean(axis=0).argmax())


def _notes(overlaps: Overlaps, max_patches: int) -> Iterator[str]:
    yield (
        f"The best head is number {1 + _best(overlaps)}. It was chosen by these images, so its "
        "figure is too high by the choice; that of the best head per image is so even more."
    )
    if overlaps.num_empty:
        yield f"Left out: {counted(overlaps.num_empty, 'image')} without an object in the mask."
    if overlaps.num_shrunk:
        yield f"Shrunk: {counted(overlaps.num_shrunk, 'image')} of more than {max_patches} patches."


def _changed(settings: MaskSettings) -> Iterator[str]:
    """Yields the settings that differ from the protocol."""
    for name in ("kept_mass", "shorter_px", "max_patches"):
        value = getattr(settings, name)
        if value != getattr(PUBLISHED, name):
            yield f"{name}={value}"
