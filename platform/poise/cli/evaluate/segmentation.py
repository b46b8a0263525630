"""`poise evaluate segmentation`: classifies pixels by a linear classifier on patch tokens.

In: models, a training set and a test set with masks. Out: values with their protocol, and a
picture. Next: nothing.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.evaluation.segmentation.report import TrainingSet


@dataclass(frozen=True)
class SegmentationOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate segmentation`."""

    train: Annotated[
        str | None, typer.Option(help="Prepared dataset with masks that the classifier learns.")
    ] = None
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="mask|object|label",
            help="What a pixel's class is: its mask's value, object or background, or the image's "
            "label on the object. Default: the mask's values, if they have names.",
        ),
    ] = None


@prints
@options_of(SegmentationOptions)
def segmentation(options: SegmentationOptions) -> Output:
    """Classify pixels by a linear classifier on patch tokens (segmentation/linear-poise-v1).

    The backbone stays frozen. The metrics are the mean intersection over union and the pixel
    accuracy. For comparison, both are also measured for a classifier on the pixels' colours, and
    for predicting the most frequent class.

    Example: poise evaluate segmentation models:/shapes-dino/1 data/test --train data/train
    """
    from typing import cast

    from poise.data.dataset import ImageDataset
    from poise.evaluation.segmentation.classes import MEANINGS, Meaning
    from poise.evaluation.segmentation.report import TrainingSet

    if options.train is None:
        raise PoiseError(
            f"{options.dataset}: the classifier needs a training set with masks; "
            "name it with --train"
        )
    if options.classes not in (None, *MEANINGS):
        raise PoiseError(f"--classes {options.classes}: choose from {', '.join(MEANINGS)}")
    dataset = ImageDataset.for_one_pass(options.train)
    train = TrainingSet(dataset, cast(Meaning | None, options.classes))
    return evaluate_models(segmentation_with(train, options.max_images), options)


def segmentation_with(train: TrainingSet, max_images: int | None) -> Evaluation:
    """Makes the evaluation of this command. `poise evaluate all` also uses it.

    Args:
        train: training set of the classifier.
        max_images: largest number of images of the training set. None takes all images.
    """
    from poise.evaluation.segmentation.patches import NUM_PATCHES
    from poise.evaluation.segmentation.report import report_segmentation

    learned = min(len(train.dataset), max_images or NUM_PATCHES, NUM_PATCHES)
    measure, passes = partial(report_segmentation, train=train), partial(operator.add, learned)
    return Evaluation("segmentation", measure, num_passes=passes, reads_patches=True)
