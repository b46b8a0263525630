"""`poise evaluate copies`: searches the originals of copied images by their features.

In: models and a dataset. Out: values with their protocol and a picture, logged to the runs that
trained the models. Next: nothing.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_dataset
from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.evaluation.neighbours.copydays import Copydays
    from poise.evaluation.report import EvaluationReport, EvaluationTask


@dataclass(frozen=True)
class CopiesOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate copies`."""

    dataset: Annotated[
        str,
        typer.Argument(
            help="Prepared dataset (labels are not needed), or a folder with Copydays.",
            autocompletion=complete_dataset,
        ),
    ]
    originals: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of images that are copied. Default: 250. Not for Copydays."
        ),
    ] = None
    distractors: Annotated[
        str | None,
        typer.Option(help="Prepared dataset with images to add to Copydays' originals."),
    ] = None
    whitening: Annotated[
        str | None,
        typer.Option(help="Prepared dataset that Copydays' whitening is learned on."),
    ] = None


@prints
@options_of(CopiesOptions)
def copies(options: CopiesOptions) -> Output:
    """Find the originals of copied images (protocols copies/made-v1, copies/copydays-v1).

    From a prepared dataset, the command makes the copies itself. The copies are compressed,
    cropped, blurred, drawn over or rotated. A folder with original/ and strong/, jpegqual/ or
    crops/ is evaluated as the benchmark Copydays.

    Example: poise evaluate copies models:/shapes-vit/1 data/shapes-test --originals 100
    """
    from poise.evaluation.neighbours.copydays import find_copydays

    copydays = find_copydays(options.dataset)
    return _make_copies(options) if copydays is None else _find_copies(options, copydays)


def _make_copies(options: CopiesOptions) -> Output:
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
    return evaluate_models(replace(COPIES, measure=measure, num_passes=passes), options)


def _find_copies(options: CopiesOptions, copydays: Copydays) -> Output:
    from poise.data.dataset import ImageDataset
    from poise.evaluation.neighbours.copydays_detection import OtherImages, measure_copydays

    if options.originals is not None:
        raise PoiseError(
            f"--originals {options.originals}: {options.dataset} is Copydays, which has its own "
            "copies; leave the option out"
        )
    given = (options.distractors, options.whitening)
    others = OtherImages(
        *(None if each is None else ImageDataset.for_one_pass(each) for each in given)
    )
    measure = partial(measure_copydays, copydays=copydays, others=others)
    passes = partial(operator.add, len(others))
    evaluation = replace(COPIES, measure=measure, num_passes=passes)
    return evaluate_models(evaluation, options, copydays.files)


def _measure(task: EvaluationTask) -> EvaluationReport:
    from poise.evaluation.neighbours.copy_detection import measure_made_copies

    return measure_made_copies(task)


def _num_passes(num_images: int) -> int:
    from poise.evaluation.neighbours.copy_detection import num_passes

    return num_passes(num_images)


COPIES = Evaluation("copies", _measure, num_passes=_num_passes, reads_patches=True)
"""Evaluation of copies that Poise makes. `poise evaluate all` also uses it."""
