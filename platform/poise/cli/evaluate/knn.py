"""`poise evaluate knn`: classifies images by their nearest neighbours.

In: a model and labelled datasets. Out: accuracies with their protocol, as a table or as JSON. Next:
nothing.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.arguments import PackageArgument
from poise.cli.completion import complete_dataset
from poise.cli.evaluate.options import (
    RayOption,
    image_progress,
    keep_figures,
    normalization_of,
    other_dataset,
    pretraining_dataset,
    spread_over_ray,
)
from poise.cli.evaluate.output import accuracies_document, print_knn, value_lines
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from poise.evaluation.neighbours.report import KnnReport


@dataclass(frozen=True)
class KnnRequest:
    """Arguments and options of `poise evaluate knn`."""

    model: PackageArgument
    dataset: Annotated[
        str,
        typer.Argument(
            help="Labelled prepared dataset to classify.", autocompletion=complete_dataset
        ),
    ]
    bank: Annotated[
        str | None,
        typer.Option(
            help="Labelled dataset that votes. Default: the training set of the model.",
            autocompletion=complete_dataset,
        ),
    ] = None
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Features to compare: cls, mean, cls_mean, last_4, cp1 … cp4, attn_lcte, "
            "attn_mn, pooled. May be given several times. Default: the output of the backbone, "
            "which is cls for most."
        ),
    ] = None
    k: Annotated[
        list[int],
        typer.Option(min=1, help="Number of neighbours that vote. May be given several times."),
    ] = field(default_factory=lambda: [10, 20, 100, 200])
    ray: RayOption = None


@prints
@options_of(KnnRequest)
def knn(request: KnnRequest) -> Output:
    """Classify images by their nearest neighbours' labels (protocol knn/dino-v1).

    Nothing is trained. The bank is the dataset whose images vote as neighbours. If the bank is
    DATASET itself, each image is classified by all other images (leave-one-out).

    Example: poise evaluate knn models:/shapes-vit/1 data/shapes-test --k 20
    """
    report, run_id = _measure(request)
    return Output(
        document=lambda: accuracies_document(request.model, run_id, report),
        result=value_lines(request.model, report),
        show=lambda: print_knn(request.model, run_id, report),
    )


def _measure(request: KnnRequest) -> "tuple[KnnReport, str | None]":
    """Measures the accuracies and logs them. Returns the report and the id of the run.

    The id is None if nothing was logged.
    """
    import torch

    from poise.evaluation.neighbours.report import report_knn
    from poise.evaluation.neighbours.sets import open_knn_sets
    from poise.evaluation.reading.inference import Bench
    from poise.models.package import loader_of
    from poise.tracking.registry.fetch import find_package

    model, features = request.model, list(dict.fromkeys(request.features or ()))
    trained, load = loader_of(model)
    package = find_package(trained)
    backbone, config = load(package)
    image_px = config.get("evaluation_px") or config["image_px"]
    bank = request.bank or pretraining_dataset(config, model, "--bank")
    sets = open_knn_sets(request.dataset, bank, image_px, rereads=len(features) > 1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    spread = spread_over_ray(request.ray, sets.num_images)
    changed = other_dataset(config, "--bank", request.bank)
    with image_progress(sets.num_images * max(1, len(features))) as on_images:
        bench = Bench(normalization_of(config, model), device, spread, on_images)
        report, answers = report_knn(backbone.to(device), sets, bench, request.k, features, changed)
    # values of random weights belong to no run
    return report, keep_figures(package, report, answers) if trained == model else None
