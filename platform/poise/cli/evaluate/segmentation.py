"""`poise evaluate segmentation`: classifies pixels by a linear classifier on patch tokens.

In: models, a training set and a test set with masks. Out: values with their protocol, and a
picture. Next: nothing.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError


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

    from poise.data.dataset import READ_ONCE_BYTES, ImageDataset
    from poise.evaluation.segmentation.classes import MEANINGS, Meaning
    from poise.evaluation.segmentation.patches import NUM_PATCHES
    from poise.evaluation.segmentation.report import TrainingSet, report_segmentation

    if options.train is None:
        raise PoiseError(
            f"{options.dataset}: the classifier needs a training set with masks; "
            "name it with --train"
        )
    if options.classes not in (None, *MEANINGS):
        raise PoiseError(f"--classes {options.classes}: choose from {', '.join(MEANINGS)}")
    dataset = ImageDataset.open(options.train, READ_ONCE_BYTES)
    train = TrainingSet(dataset, cast(Meaning | None, options.classes))
    learned = min(len(dataset), options.max_images or NUM_PATCHES, NUM_PATCHES)
    measure = partial(report_segmentation, train=train)
    evaluation = Evaluation(
        "segmentation",
        measure,
        num_passes=lambda tested: learned + tested,
        reads_patches=True,
    )
    return evaluate_models(evaluation, options)
