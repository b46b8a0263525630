"""Copy detection on any dataset: makes copies of some images and searches for the originals.

In: a backbone and a dataset, with or without labels. Out: an ``EvaluationReport`` and a picture of
copies with their nearest images. Next: ``poise evaluate copies``.

Protocol ``copies/made-v1``: originals are chosen at random with seed 0. Each original gets one copy
of every kind in ``KINDS``, also with seed 0. All images of the dataset form the database. Images
are resized to squares. A descriptor is [cls] concatenated with GeM, as for Copydays
(``poise.evaluation.neighbours.copydays_detection``). The whitening is learned on the images that
have no copies. Metrics that begin with ``pixels_`` use pixels in place of features. For them,
images are shrunk to 16 × 16, and the mean image is subtracted.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from poise.config.wording import counted
from poise.evaluation.neighbours.copy_reading import describe, some_of
from poise.evaluation.neighbours.copy_scores import (
    BlockResult,
    CopyBlock,
    CopySearch,
    all_results,
    figures_of,
)
from poise.evaluation.neighbours.made_copies import KINDS, MadeCopies
from poise.evaluation.neighbours.ranking_pictures import Mark, Ranked, Ranking, draw_rankings
from poise.evaluation.reading.finite import warn_if_equal
from poise.evaluation.reading.images import choose_samples
from poise.evaluation.reading.thumbnails import thumbnails
from poise.evaluation.report import EvaluationReport, EvaluationTask

PROTOCOL = "copies/made-v1"
PICTURE = "copies.png"
NUM_ORIGINALS = 250
"""Number of images of which the protocol makes copies."""

_DRAWN_NEAREST = 7
_THUMBNAIL_PX = 96


def measure_made_copies(
    task: EvaluationTask, num_originals: int = NUM_ORIGINALS
) -> EvaluationReport:
    """Measures how well a backbone finds the original of a copy.

    Healthy: near 100 % for mild copies (``jpeg_30``), and ``map`` above ``pixels_map``. Pixels find
    compressed and blurred copies, but not cropped or rotated ones. Broken: ``map`` below
    ``pixels_map``.

    Args:
        task: a model that has patch tokens, and a dataset.
        num_originals: number of images of which every kind of copy is made.
    """
    sample_ids = some_of(task.dataset, task.max_images)
    rows = choose_samples(len(sample_ids), num_originals, 0)
    database = describe(task, task.dataset, sample_ids)
    warn_if_equal(database["descriptors"], task.dataset.folder)
    blocks = [
        CopyBlock(kind, describe(task, task.dataset, sample_ids[rows], MadeCopies(kind)), rows)
        for kind in KINDS
    ]
    others = np.delete(np.arange(len(sample_ids)), rows)
    search = CopySearch(database, blocks, database["descriptors"][others])
    results = all_results(search)
    draw_rankings(task.folder / PICTURE, list(_rankings(task, sample_ids, results[""])))
    changed = () if num_originals == NUM_ORIGINALS else (f"--originals={num_originals}",)
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=(*changed, *task.changed_by_limit()),
        dataset=str(task.dataset.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=task.image_px,
        num_images=len(sample_ids),
        figures_found=tuple(figures_of(results)),
        notes=(_task_note(len(rows), len(others)), *search.whitening_notes),
        pictures=(PICTURE,),
    )


def num_passes(num_images: int, num_originals: int = NUM_ORIGINALS) -> int:
    """Counts the images that pass through the backbone, including copies."""
    return num_images + min(num_images, num_originals) * len(KINDS)


def _task_note(num_originals: int, num_others: int) -> str:
    total = num_originals + num_others
    return (
        f"{counted(num_originals, 'image')} with {len(KINDS)} copies each, looked up among "
        f"{counted(total, 'image')}; a random order has a map below {100 * 2 / total:.2g} %."
    )


def _rankings(
    task: EvaluationTask, sample_ids: NDArray[np.int64], results: list[BlockResult]
) -> Iterator[Ranking]:
    """Yields one copy of each kind with its most similar images, for the picture.

    The originals of these copies are evenly spaced in the dataset.
    """
    for number, result in enumerate(results):
        originals = result.block.originals
        copy = number * len(originals) // len(results)
        kind, original = result.block.name, int(originals[copy])
        nearest = result.candidates.nearest[copy, :_DRAWN_NEAREST].numpy()
        (query,) = thumbnails(task.dataset, sample_ids[[original]], _THUMBNAIL_PX, MadeCopies(kind))
        images = thumbnails(task.dataset, sample_ids[nearest], _THUMBNAIL_PX)
        cosines = result.candidates.similarities[copy].tolist()
        ranked = [
            Ranked(image, f"{cosine:.2f}", Mark.of(row == original))
            for image, row, cosine in zip(images, nearest.tolist(), cosines, strict=False)
        ]
        yield Ranking(query, f"{kind}\nAP {100 * result.average_precision[copy]:.0f} %", ranked)
