"""Opens the images of a probe: to train heads, to choose among heads, and to test the chosen heads.

In: two folders of labelled datasets. Out: ``ProbeSets``. Next:
``poise.evaluation.trained_probes.probe``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest, check_same_ranges
from poise.evaluation.neighbours.sets import check_labelled, describe_classes
from poise.evaluation.reading.images import EvaluationImages
from poise.objectives.labelled import is_held_out


@dataclass(frozen=True)
class ProbeSets:
    """Images of a probe, resized and cropped as in the published evaluation."""

    train: EvaluationImages
    """All images of the training dataset, including the held-out images."""

    held_out: EvaluationImages
    test: EvaluationImages
    num_classes: int


def open_probe_sets(
    train: str | Path, test: str | Path, image_px: int, held_out: float
) -> ProbeSets:
    """Opens the training and the test dataset, and holds out a share of the training images.

    Args:
        train: folder of the training dataset.
        test: folder of the test dataset.
        image_px: side of the images in pixels.
        held_out: share of the training images that is held out to choose among heads.

    Raises:
        PoiseError: a dataset is not prepared or has no labels, the two datasets have different
            classes, both are the same dataset, or no image would be held out.
    """
    manifests = [Manifest.read(folder) for folder in (train, test)]
    for folder, manifest in zip((train, test), manifests, strict=True):
        check_labelled(folder, manifest, "a probe needs them")
    if manifests[0].classes != manifests[1].classes:
        there, here = map(describe_classes, manifests)
        raise PoiseError(
            f"{test} has {here} but {train} has {there}; "
            "a probe needs the same classes in the same order"
        )
    check_same_ranges(train, test)
    if manifests[0].fingerprint == manifests[1].fingerprint:
        raise PoiseError(
            f"{test}: holds the images that the probe learns from; name another dataset to learn "
            "from with --train"
        )
    train_images = EvaluationImages.for_one_pass(ImageDataset.for_one_pass(train), image_px)
    held = np.flatnonzero(is_held_out(train_images.sample_ids, held_out))
    if held_out and not len(held):
        raise PoiseError(
            f"{train}: none of its {len(train_images)} images is held out to choose a learning "
            f"rate by; raise objective.held_out={held_out:g}"
        )
    test_images = EvaluationImages.for_one_pass(ImageDataset.for_one_pass(test), image_px)
    classes = len(manifests[0].classes)
    return ProbeSets(train_images, train_images.only(held), test_images, classes)
