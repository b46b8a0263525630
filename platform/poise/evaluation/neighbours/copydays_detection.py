"""Copy detection on Copydays, as published for DINO (arXiv 2104.14294, table 4).

In: a backbone and Copydays in its published layout. Out: an ``EvaluationReport`` and a picture of
copies with their nearest images. Next: ``poise evaluate copies``.

Protocol ``copies/copydays-v1``: images are resized to squares of 320 px (or the nearest multiple of
the patch size). A descriptor is [cls] concatenated with GeM of exponent 4, L2-normalised. The
database consists of the 157 originals. Published values add 10,000 photographs as distractors, and
learn the whitening on 20,000 other photographs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.neighbours.copy_reading import describe, some_of
from poise.evaluation.neighbours.copy_scores import (
    BlockResult,
    CopyBlock,
    CopySearch,
    all_results,
    figures_of,
)
from poise.evaluation.neighbours.copydays import Copydays
from poise.evaluation.neighbours.ranking_pictures import Mark, Ranked, Ranking, draw_rankings
from poise.evaluation.reading.thumbnails import thumbnails
from poise.evaluation.report import EvaluationReport, EvaluationTask

PROTOCOL = "copies/copydays-v1"
PICTURE = "copies.png"
PUBLISHED_PX = 320

_DRAWN_NEAREST = 7
_THUMBNAIL_PX = 96


@dataclass(frozen=True)
class OtherImages:
    """Images of other datasets that the evaluation uses."""

    distractors: ImageDataset | None = None
    """Images that are added to the database. They are originals of no copy."""

    whitening: ImageDataset | None = None
    """Images for learning the whitening. None skips whitening."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Options that change the protocol, such as ``--distractors`` with the dataset's name."""
        named = {"--distractors": self.distractors, "--whitening": self.whitening}
        return tuple(
            f"{option}={dataset.manifest.name}" for option, dataset in named.items() if dataset
        )

    def __len__(self) -> int:
        return sum(len(each) for each in (self.distractors, self.whitening) if each is not None)


def measure_copydays(
    task: EvaluationTask, copydays: Copydays, others: OtherImages
) -> EvaluationReport:
    """Measures how well a backbone finds the originals of the copies in Copydays.

    Healthy: ``map_strong`` is at least 80 % with distractors. The published DINO ViT-B/8 reaches
    85.5 %. Broken: below ``pixels_map_strong``.

    Args:
        task: task with a model that has patch tokens. Its dataset is ``copydays.files``.
        copydays: benchmark to measure.
        others: distractors, and images for learning the whitening.

    Raises:
        PoiseError: ``max_images`` is set, although the benchmark has a fixed list of images.
    """
    if task.max_images is not None:
        raise PoiseError(
            f"--max-images {task.max_images}: {task.dataset.folder} is a benchmark with a fixed "
            "list of images; leave the option out"
        )
    task = replace(task, image_px=published_px(task.backbone.patch_px))  # type: ignore[arg-type]
    search = _search(task, copydays, others)
    results = all_results(search)
    draw_rankings(task.folder / PICTURE, list(_rankings(copydays, others, results[""])))
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=others.changed,
        dataset=str(task.dataset.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=task.image_px,
        num_images=len(copydays.files),
        figures_found=tuple(figures_of(results)),
        notes=(*_notes(copydays, others), *search.whitening_notes),
        pictures=(PICTURE,),
    )


def published_px(patch_px: int) -> int:
    """Returns the multiple of the patch size that is nearest to 320 px."""
    return max(1, round(PUBLISHED_PX / patch_px)) * patch_px


def _search(task: EvaluationTask, copydays: Copydays, others: OtherImages) -> CopySearch:
    database = describe(task, copydays.files, np.arange(copydays.num_originals))
    if others.distractors is not None:
        more = describe(task, others.distractors, some_of(others.distractors, None))
        database = {name: torch.cat([found, more[name]]) for name, found in database.items()}
    blocks = [
        CopyBlock(name, describe(task, copydays.files, pairs[:, 0]), pairs[:, 1])
        for name, pairs in _pairs(copydays)
    ]
    whitening = None
    if others.whitening is not None:
        chosen = some_of(others.whitening, None)
        whitening = describe(task, others.whitening, chosen)["descriptors"]
    return CopySearch(database, blocks, whitening)


def _pairs(copydays: Copydays) -> Iterator[tuple[str, NDArray[np.int64]]]:
    for name, pairs in copydays.blocks.items():
        yield name, np.array(pairs, dtype=np.int64)


def _notes(copydays: Copydays, others: OtherImages) -> Iterator[str]:
    total = copydays.num_originals + (len(others.distractors) if others.distractors else 0)
    yield f"Copies are looked up among {total} images."
    if others.distractors is None:
        yield (
            "Without --distractors the task is easier than the published one, which adds 10,000 "
            "photographs."
        )


def _rankings(
    copydays: Copydays, others: OtherImages, results: list[BlockResult]
) -> Iterator[Ranking]:
    """Yields one copy of each block with its most similar images, for the picture.

    These copies are evenly spaced in their blocks.
    """
    for number, (name, pairs) in enumerate(_pairs(copydays)):
        result = results[number]
        copy = number * len(pairs) // len(results)
        sample_id, original = pairs[copy].tolist()
        (query,) = thumbnails(copydays.files, [sample_id], _THUMBNAIL_PX)
        ranked = []
        for row in result.candidates.nearest[copy, :_DRAWN_NEAREST].tolist():
            is_own = row < copydays.num_originals
            source = copydays.files if is_own else others.distractors
            assert source is not None
            number_there = row if is_own else row - copydays.num_originals
            (image,) = thumbnails(source, [number_there], _THUMBNAIL_PX)
            caption = "original" if is_own else "distractor"
            ranked.append(Ranked(image, caption, Mark.of(row == original)))
        yield Ranking(query, f"{name}\nAP {100 * result.average_precision[copy]:.0f} %", ranked)
