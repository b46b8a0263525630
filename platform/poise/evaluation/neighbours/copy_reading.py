"""Computes descriptors of whole images in one pass.

In: images. Out: ``Described``, in the order of the images. Next:
``poise.evaluation.neighbours.copy_detection`` and
``poise.evaluation.neighbours.copydays_detection``.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from poise.data.dataset import ImageDataset
from poise.evaluation.neighbours.copy_scores import Described
from poise.evaluation.neighbours.descriptors import Descriptors
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.images import choose_samples
from poise.evaluation.reading.square_images import Change, SquareImages
from poise.evaluation.report import EvaluationTask


def describe(
    task: EvaluationTask,
    dataset: ImageDataset,
    sample_ids: NDArray[np.int64],
    change: Change | None = None,
) -> Described:
    """Computes descriptors and pixels of images, resized to squares of ``task.image_px``.

    Args:
        task: task with a model that has patch tokens.
        dataset: dataset of the images, which may differ from the task's dataset.
        sample_ids: ids of the images, ascending.
        change: function that is applied to each image before it is resized.
    """
    images = SquareImages(dataset, task.image_px, sample_ids, change)
    found = [outputs for outputs, _ in image_pass(Descriptors(task.backbone), images, task.bench)]
    return {name: torch.cat([outputs[name] for outputs in found]) for name in found[0]}


def some_of(dataset: ImageDataset, limit: int | None) -> NDArray[np.int64]:
    """Chooses at most ``limit`` images of a dataset at random with seed 0: ascending sample ids."""
    return choose_samples(len(dataset), limit, 0)
