"""`poise evaluate objects` and `poise evaluate masks`: objects that features and attention find.

In: models and a dataset with boxes or masks. Out: tables, pictures and JSON, logged to the runs
that made the models. Nothing comes after it.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of

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
    """Projections of the last block that LOST can compare."""

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


@options_of(ObjectsRequest)
def objects(request: ObjectsRequest) -> None:
    """Find objects without training and score them (protocol objects/lost-corloc-v1).

    LOST compares the last block's keys. The baseline takes what each head's attention keeps. Both
    give one box for each image. The figure is CorLoc: the share of images whose box overlaps a true
    box by half. Images are read whole, at their own size. For small images, such as 32 px, choose
    --shorter-px: with patches of 14 px they have too few patches.

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
    evaluate_models(Evaluation("objects", partial(measure_objects, settings=settings)), request)


@options_of(MasksRequest)
def masks(request: MasksRequest) -> None:
    """Compare what [cls] attends to with true masks (protocol masks/attention-v1).

    A mask keeps the patches that get most of a head's attention. The figure is its mean overlap
    (Jaccard index) with the mask of all objects: of every head, of the best head, of the best head
    of each image (as published), and of the mean head. Images are read whole, their shorter side
    resized to the size that the model is for.

    Example: poise evaluate masks models:/shapes-dino/1 data/scenes-test
    """
    from poise.evaluation.objects.mask_report import measure_masks
    from poise.evaluation.objects.overlap import MaskSettings

    settings = MaskSettings(request.kept_mass, request.shorter_px, request.max_patches)
    evaluate_models(Evaluation("masks", partial(measure_masks, settings=settings)), request)
