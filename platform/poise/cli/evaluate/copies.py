"""`poise evaluate copies`: the originals of copied images, found or not.

In: models and a dataset. Out: figures with their protocol and a picture, logged to the runs that
made the models. Nothing comes after it.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.evaluation.neighbours.copydays import Copydays


@dataclass(frozen=True)
class CopiesOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate copies`."""

    dataset: Annotated[
        str,
        typer.Argument(help="Prepared dataset (labels are not needed), or a folder with Copydays."),
    ]
    originals: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of images of which copies are made. Default: 250. Not for Copydays."
        ),
    ] = None
    distractors: Annotated[
        str | None,
        typer.Option(help="Prepared dataset whose images are added to Copydays' originals."),
    ] = None
    whitening: Annotated[
        str | None,
        typer.Option(help="Prepared dataset that Copydays' whitening is learned on."),
    ] = None


@options_of(CopiesOptions)
def copies(options: CopiesOptions) -> None:
    """Find the originals of copied images (protocols copies/made-v1, copies/copydays-v1).

    Of a prepared dataset the command makes the copies itself: compressed, cut, blurred, drawn over
    and turned. A folder with original/ and strong/, jpegqual/ or crops/ is measured as Copydays.

    Example: poise evaluate copies models:/shapes-vit/1 data/shapes-test --originals 100
    """
    from poise.evaluation.neighbours.copydays import find_copydays

    copydays = find_copydays(options.dataset)
    if copydays is None:
        _make_copies(options)
    else:
        _find_copies(options, copydays)


def _make_copies(options: CopiesOptions) -> None:
    from poise.evaluation.neighbours.copy_detection import (
        NUM_ORIGINALS,
        measure_made_copies,
        num_passes,
    )

    for option, value in (
        ("--distractors", options.distractors),
        ("--whitening", options.whitening),
    ):
        if value is not None:
            raise PoiseError(
                f"{option} {value}: applies to Copydays, and {options.dataset} has no original/; "
                "leave the option out"
            )
    count = options.originals or NUM_ORIGINALS
    measure = partial(measure_made_copies, num_originals=count)
    passes = partial(num_passes, num_originals=count)
    evaluate_models(Evaluation("copies", measure, num_passes=passes), options)


def _find_copies(options: CopiesOptions, copydays: "Copydays") -> None:
    from poise.data.dataset import ImageDataset
    from poise.evaluation.neighbours.copydays_detection import OtherImages, measure_copydays

    if options.originals is not None:
        raise PoiseError(
            f"--originals {options.originals}: {options.dataset} is Copydays, which has its own "
            "copies; leave the option out"
        )
    given = (options.distractors, options.whitening)
    others = OtherImages(*(None if each is None else ImageDataset.open(each) for each in given))
    measure = partial(measure_copydays, copydays=copydays, others=others)
    evaluation = Evaluation(
        "copies", measure, num_passes=lambda num_images: num_images + len(others)
    )
    evaluate_models(evaluation, options, copydays.files)
