"""`poise evaluate objects` and `poise evaluate masks`: find objects by features and attention.

In: models and a dataset with boxes or masks. Out: tables, pictures and JSON, logged to the runs
that trained the models. Next: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from poise.evaluation.report import EvaluationReport, EvaluationTask

ShorterOption = Annotated[
    int | None,
    typer.Option(min=8, help="Resize images so that the shorter side has this many pixels."),
]
MaxPatchesOption = Annotated[
    int,
    typer.Option(min=1, help="Most patches of an image; larger images are shrunk to fit."),
]
KeptMassOption = Annotated[
    float,
    typer.Option(min=0.01, max=1, help="Share of attention that a mask keeps."),
]


class Features(StrEnum):
    """Projections of the last block that LOST (arXiv 2109.14279) can compare."""

    KEYS = "k"
    QUERIES = "q"
    VALUES = "v"


@dataclass(frozen=True)
class ObjectsRequest(EvaluationOptions):
    """Arguments and options of `poise evaluate objects`."""

    features: Annotated[
        Features,
        typer.Option(help="What LOST compares: keys (k), queries (q) or values (v)."),
    ] = Features.KEYS
    k_patches: Annotated[
        int, typer.Option(min=1, help="Most patches that may join the seed's group.")
    ] = 100
    kept_mass: KeptMassOption = 0.6
    bias: Annotated[
        float,
        typer.Option(help="Number added to every similarity, as the registers paper does."),
    ] = 0.0
    hard: Annotated[
        bool,
        typer.Option(help="Count boxes marked as difficult or truncated, as published."),
    ] = True
    shorter_px: ShorterOption = None
    max_patches: MaxPatchesOption = 6400


@dataclass(frozen=True)
class MasksRequest(EvaluationOptions):
    """Arguments and options of `poise evaluate masks`."""

    kept_mass: KeptMassOption = 0.6
    shorter_px: ShorterOption = None
    max_patches: MaxPatchesOption = 6400


@prints
@options_of(ObjectsRequest)
def objects(request: ObjectsRequest) -> Output:
    """Find objects without training and score them (protocol objects/lost-corloc-v1).

    LOST finds an object by comparing the keys of the last block. The baseline uses the patches with
    most of a head's attention. Both return one box for each image. The metric is CorLoc: the share
    of images whose box overlaps a true box by half. Images are not cropped. An image keeps its size
    if it has at most --max-patches patches. Small images, such as 32 px with patches of 14 px, have
    too few patches. For such images, use --shorter-px.

    Example: poise evaluate objects models:/photos-dino/1 data/voc07 --out objects-voc07
    """
    from poise.evaluation.objects.discovery import DiscoverySettings
    from poise.evaluation.objects.report import measure_objects

    settings = DiscoverySettings(
        features=request.features.value,
        k_patches=request.k_patches,
        bias=request.bias,
        kept_mass=request.kept_mass,
        with_hard=request.hard,
        max_patches=request.max_patches,
        shorter_px=request.shorter_px,
    )
    measure = partial(measure_objects, settings=settings)
    return evaluate_models(replace(OBJECTS, measure=measure), request)


@prints
@options_of(MasksRequest)
def masks(request: MasksRequest) -> Output:
    """Compare what [cls] attends to with true masks (protocol masks/attention-v1).

    A mask contains the patches with most of a head's attention. The metric is the mean overlap
    (Jaccard index) of this mask with the true mask of all objects. It is measured for every head
    and for the mean over heads. It is also given for the best head, and for the best head of each
    image (as published). Images are not cropped. Their shorter side is resized to the image size of
    the model.

    Example: poise evaluate masks models:/shapes-dino/1 data/scenes-test
    """
    from poise.evaluation.objects.mask_report import measure_masks
    from poise.evaluation.objects.overlap import MaskSettings

    settings = MaskSettings(request.kept_mass, request.shorter_px, request.max_patches)
    measure = partial(measure_masks, settings=settings)
    return evaluate_models(replace(MASKS, measure=measure), request)


def _measure_objects(task: EvaluationTask) -> EvaluationReport:
    from poise.evaluation.objects.report import measure_objects

    return measure_objects(task)


def _measure_masks(task: EvaluationTask) -> EvaluationReport:
    from poise.evaluation.objects.mask_report import measure_masks

    return measure_masks(task)


OBJECTS = Evaluation("objects", _measure_objects, reads_patches=True)
"""Evaluation of this command. `poise evaluate all` also uses it."""

MASKS = Evaluation("masks", _measure_masks, reads_patches=True)
"""Evaluation of this command. `poise evaluate all` also uses it."""
