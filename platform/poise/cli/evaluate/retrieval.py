"""`poise evaluate retrieval`: the nearest images of queries, on labels or on landmarks.

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
    from poise.evaluation.neighbours.landmarks import Landmarks


@dataclass(frozen=True)
class RetrievalOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate retrieval`."""

    dataset: Annotated[
        str,
        typer.Argument(
            help="Labelled prepared dataset, or a folder with revisited Oxford or Paris."
        ),
    ]
    feature: Annotated[
        str | None,
        typer.Option(
            help="Feature to compare: cls, mean, cls_mean, last_4, cp1 … cp4, attn_lcte, attn_mn, "
            "pooled. Default: what k-NN reads. For labelled datasets."
        ),
    ] = None
    image_px: Annotated[
        int | None,
        typer.Option(min=32, help="Longest side of a landmark's image. Default: 224."),
    ] = None
    whole_queries: Annotated[
        bool, typer.Option("--whole-queries", help="Do not cut landmarks' queries to their boxes.")
    ] = False
    multiscale: Annotated[
        bool, typer.Option("--multiscale", help="Average three scales of a landmark's image.")
    ] = False


@options_of(RetrievalOptions)
def retrieval(options: RetrievalOptions) -> None:
    """Rank images by their similarity to queries (protocols retrieval/same-class-v1, revisited-v1).

    In a labelled dataset every image is a query, and images of its class are relevant. A folder
    with gnd_roxford5k.json or gnd_rparis6k.json and jpg/ is measured as the benchmark asks.

    Example: poise evaluate retrieval models:/shapes-vit/1 data/shapes-test
    """
    from poise.evaluation.neighbours.landmarks import find_landmarks

    landmarks = find_landmarks(options.dataset)
    if landmarks is None:
        _retrieve_classes(options)
    else:
        _retrieve_landmarks(options, landmarks)


def _retrieve_classes(options: RetrievalOptions) -> None:
    from poise.evaluation.neighbours.retrieval import measure_retrieval

    for option, value in (
        ("--image-px", options.image_px),
        ("--whole-queries", options.whole_queries),
        ("--multiscale", options.multiscale),
    ):
        if value:
            raise PoiseError(
                f"{option}: applies to revisited Oxford and Paris, and {options.dataset} holds no "
                "gnd_*.json; leave the option out"
            )
    evaluate_models(
        Evaluation("retrieval", partial(measure_retrieval, feature=options.feature)), options
    )


def _retrieve_landmarks(options: RetrievalOptions, landmarks: "Landmarks") -> None:
    from poise.evaluation.neighbours.landmark_retrieval import (
        DEFAULT_PX,
        LandmarkProtocol,
        measure_landmarks,
    )

    if options.feature is not None:
        raise PoiseError(
            f"--feature {options.feature}: applies to labelled datasets, and {options.dataset} is "
            "a benchmark of landmarks; leave the option out"
        )
    protocol = LandmarkProtocol(
        options.image_px or DEFAULT_PX, options.whole_queries, options.multiscale
    )
    measure = partial(measure_landmarks, landmarks=landmarks, protocol=protocol)
    evaluate_models(Evaluation("retrieval", measure), options, landmarks.files)
