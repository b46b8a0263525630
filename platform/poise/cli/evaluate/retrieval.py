"""`poise evaluate retrieval`: ranks images by their similarity to queries.

In: models and a dataset. Out: values with their protocol and a picture, logged to the runs that
trained the models. Next: nothing.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_dataset
from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.evaluation.neighbours.landmarks import Landmarks


@dataclass(frozen=True)
class RetrievalOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate retrieval`."""

    dataset: Annotated[
        str,
        typer.Argument(
            help="Labelled prepared dataset, or a folder with revisited Oxford or Paris.",
            autocompletion=complete_dataset,
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


@prints
@options_of(RetrievalOptions)
def retrieval(options: RetrievalOptions) -> Output:
    """Rank images by their similarity to queries (protocols retrieval/same-class-v1, revisited-v1).

    In a labelled dataset, every image is a query, and other images of its class are relevant. A
    folder with jpg/ and gnd_roxford5k.json or gnd_rparis6k.json is evaluated as the benchmark
    revisited Oxford or Paris.

    Example: poise evaluate retrieval models:/shapes-vit/1 data/shapes-test
    """
    from poise.evaluation.neighbours.landmarks import find_landmarks

    landmarks = find_landmarks(options.dataset)
    if landmarks is None:
        return _retrieve_classes(options)
    return _retrieve_landmarks(options, landmarks)


def _retrieve_classes(options: RetrievalOptions) -> Output:
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
    return evaluate_models(
        Evaluation("retrieval", partial(measure_retrieval, feature=options.feature)), options
    )


def _retrieve_landmarks(options: RetrievalOptions, landmarks: "Landmarks") -> Output:
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
    return evaluate_models(Evaluation("retrieval", measure), options, landmarks.files)
